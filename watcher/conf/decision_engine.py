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
        help="Topics on which services of the cloud send notifications of changes, each as "
        "exchange.topic. With an empty list no notifications are received; audits read "
        "changes in any case.",
    ),
    cfg.IntOpt(
        "max_audit_workers", default=2, min=1, help="Audits that one decision engine runs at once."
    ),
    cfg.IntOpt(
        "max_run_seconds",
        default=900,
        min=1,
        help="Seconds after which a run that has not ended is FAILED. Its later results are "
        "dropped, and another run may begin although its thread continues.",
    ),
    cfg.IntOpt(
        "max_lost_workers",
        default=3,
        min=1,
        help="Number of threads whose run took longer than max_run_seconds and that have not "
        "ended, at which the decision engine hands back its other runs and restarts.",
    ),
    cfg.IntOpt(
        "max_general_workers",
        default=4,
        min=1,
        help="Number of requests that are sent at once where many are needed: to placement for "
        "the inventories of hosts, and to a datasource for the parts of a metric.",
    ),
    cfg.IntOpt(
        "poll_interval",
        default=5,
        min=1,
        help="Seconds between two queries for due runs, if no doorbell comes before.",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        help="Attempts at a run of a ONESHOT or CONTINUOUS audit that fails for a passing "
        "cause, such as a cloud or a datasource that does not answer; also, of any audit, "
        "the attempts at a run that another plan outdates, and the number of engines that "
        "may die in a row while they execute the same run.",
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
        "but never more than an hour, and of an EVENT audit five minutes. It varies by up "
        "to a tenth, so that runs that failed together are not repeated together.",
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
        "having been started; plans of CONTINUOUS audits that a younger one replaced are "
        "removed after 7 days. 0 keeps all of them. The metrics still count removed ones.",
    ),
    cfg.IntOpt(
        "check_periodic_interval",
        default=1800,
        min=1,
        mutable=True,
        help="Seconds between two checks for expired action plans and for rows to remove.",
    ),
]
