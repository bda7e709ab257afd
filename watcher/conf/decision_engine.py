# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        "conductor_topic",
        default="watcher.decision.control",
        help="Topic on which the decision engine takes messages.",
    ),
    cfg.ListOpt(
        "notification_topics",
        default=["nova.versioned_notifications", "openstack.notifications"],
        help="Topics on which services of the cloud tell what changes, each as exchange.topic. "
        "Empty hears nothing; audits read what has changed in any case.",
    ),
    cfg.IntOpt(
        "max_audit_workers",
        default=2,
        min=1,
        help="Audits that one decision engine runs at once.",
    ),
    cfg.IntOpt(
        "max_run_seconds",
        default=900,
        min=1,
        help="Seconds after which a run that has not ended is FAILED. What it does then is no "
        "longer written, and another thread takes the place of the one that carries it out.",
    ),
    cfg.IntOpt(
        "max_lost_workers",
        default=3,
        min=1,
        help="Threads whose run took longer than max_run_seconds and that still do not end, "
        "after which the decision engine hands back its other runs and restarts.",
    ),
    cfg.IntOpt(
        "max_general_workers",
        default=4,
        min=1,
        help="Requests that are sent at a time where many are wanted: to placement for the "
        "inventories of hosts, and to a datasource for metrics in pieces.",
    ),
    cfg.IntOpt(
        "poll_interval",
        default=5,
        min=1,
        help="Seconds after which the engine looks for due runs when nobody rings.",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        help="Attempts at a run of a ONESHOT or CONTINUOUS audit that fails for a passing cause, "
        "such as a cloud or a datasource that does not answer; and engines that may die in a row "
        "with the same run of any audit in hand.",
    ),
    cfg.IntOpt(
        "retry_for",
        default=3600,
        min=0,
        max=7 * 86400,
        help="Seconds for which a run of an EVENT audit that fails for a passing cause is tried "
        "again, counted from its first failure.",
    ),
    cfg.IntOpt(
        "retry_backoff",
        default=10,
        min=0,
        max=3600,
        help="Seconds before the second attempt at a run; each further one waits twice as long, "
        "but never more than an hour, and of an EVENT audit five minutes. Up to a tenth more or "
        "less, so that runs that failed together do not come back together.",
    ),
    cfg.IntOpt(
        "action_plan_expiry",
        default=24,
        min=0,
        mutable=True,
        help="Hours after which a RECOMMENDED action plan becomes SUPERSEDED; 0 keeps it.",
    ),
    cfg.IntOpt(
        "keep_runs_days",
        default=90,
        min=0,
        mutable=True,
        help="Days after which runs that ended are removed, and action plans that ended without "
        "having been started; of CONTINUOUS audits, plans that a younger one replaced go after 7 "
        "days. 0 keeps all of them. The metrics go on counting them.",
    ),
    cfg.IntOpt(
        "check_periodic_interval",
        default=1800,
        min=1,
        mutable=True,
        help="Seconds between two looks for expired action plans, and for what is to be removed.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"watcher_decision_engine": OPTIONS}
