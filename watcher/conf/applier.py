# SPDX-License-Identifier: Apache-2.0
import os

from oslo_config import cfg, types

OPTIONS = [
    cfg.StrOpt(
        "conductor_topic",
        default="watcher.applier.control",
        help="Topic on which the applier takes messages.",
    ),
    cfg.IntOpt("workers", default=1, min=1, help="Action plans that one applier executes at once."),
    cfg.IntOpt(
        "poll_interval",
        default=5,
        min=1,
        help="Seconds between two queries for PENDING plans, if no doorbell comes before.",
    ),
    cfg.IntOpt(
        "max_pending_hours",
        default=24,
        min=0,
        mutable=True,
        help="Hours after which a PENDING plan that no applier has begun is CANCELLED, for "
        "example after an outage; 0 executes plans of any age.",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        help="Number of appliers that may die while they execute the same plan, without any of "
        "its actions ending in between, before the plan becomes FAILED.",
    ),
    cfg.IntOpt(
        "max_concurrent_actions",
        default=0,
        min=0,
        help="Actions that one applier has under way at once, of all its plans together; 0 "
        "limits them by workers and max_workers alone. Actions that have to wait stay "
        "PENDING.",
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
        help="When an action of a plan has FAILED and the others have ended, revert those that "
        "succeeded, the last first, before the plan becomes FAILED. Actions that cannot be "
        "reverted stay as they are. The status_message of each action has the result. Plans "
        "that the applier refuses or cannot continue are not rolled back.",
    ),
]
WORKFLOW_OPTIONS = [
    cfg.IntOpt(
        "max_workers",
        default=os.cpu_count() or 1,
        sample_default="number of CPUs",
        min=1,
        help="Actions of one plan that are executed at once.",
    ),
    cfg.DictOpt(
        "action_execution_rule",
        default={},
        help="Strategy name to execution rule. ALWAYS, the default, starts an action when its "
        "parents have ended; ANY leaves out an action whose first parent has succeeded or was "
        "left out: it stays PENDING, also when the plan has ended.",
    ),
]
