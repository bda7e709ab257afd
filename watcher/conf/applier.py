# SPDX-License-Identifier: Apache-2.0
import os

from oslo_config import cfg, types

OPTIONS = [
    cfg.StrOpt(
        "conductor_topic",
        default="watcher.applier.control",
        help="Topic on which the applier takes messages.",
    ),
    cfg.IntOpt(
        "workers", default=1, min=1, help="Action plans that one applier carries out at once."
    ),
    cfg.IntOpt(
        "poll_interval",
        default=5,
        min=1,
        help="Seconds after which the applier looks for PENDING plans when nobody rings.",
    ),
    cfg.IntOpt(
        "max_pending_hours",
        default=24,
        min=0,
        mutable=True,
        help="Hours after which a PENDING plan that no applier has begun is CANCELLED, as after "
        "an outage or in a database that was taken over; 0 carries out plans of any age.",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        help="Appliers that may die of a plan, one after another and without any action of it "
        "ending in between, before the plan is given up as FAILED.",
    ),
    cfg.IntOpt(
        "max_concurrent_actions",
        default=0,
        min=0,
        help="Actions that one applier has under way at once, of all its plans together; 0 "
        "limits them by workers and max_workers alone. What has to wait stays PENDING.",
    ),
    cfg.Opt(
        "max_concurrent_by_type",
        type=types.Dict(types.Integer(min=1)),
        default={},
        help="Action type to the number of its actions that one applier has under way at once, of "
        "all its plans together, such as migrate:8. Other types have no limit of their own.",
    ),
    cfg.BoolOpt(
        "rollback_when_actionplan_failed",
        default=False,
        help="When a plan has FAILED, revert its actions that succeeded, the last first. Actions "
        "that cannot be reverted stay as they are; the status_message of each action tells.",
    ),
]
WORKFLOW_OPTIONS = [
    cfg.IntOpt(
        "max_workers",
        default=os.cpu_count() or 1,
        sample_default="number of CPUs",
        min=1,
        help="Actions of one plan that are carried out at once.",
    ),
    cfg.DictOpt(
        "action_execution_rule",
        default={},
        help="Strategy name to execution rule. ALWAYS, the default, starts an action when its "
        "parents have ended; ANY leaves out those whose first parent has succeeded.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"watcher_applier": OPTIONS, "watcher_workflow_engines.taskflow": WORKFLOW_OPTIONS}
