# SPDX-License-Identifier: Apache-2.0
"""When a run is executed again: after a passing failure, or because the cloud has changed."""

import datetime
from typing import Final

from oslo_config import cfg
from sqlalchemy.orm import Session

from watcher.common.periodic import jittered
from watcher.common.states import AuditType
from watcher.db import action_plans, run_ends, runs
from watcher.db.models import AuditRun

_LONGEST_PAUSE: Final = {AuditType.EVENT: 300}
"""The longest time between two attempts, in seconds; for other audits it is an hour."""

_CHANGED: Final = "The cloud changed meanwhile, by action plan"


def may_retry(run: AuditRun, now: datetime.datetime, conf: cfg.ConfigOpts) -> bool:
    """Whether a run that failed for a passing cause is tried again.

    The attempts at a run of an EVENT audit are limited by time, because its alarm is not sent
    again; attempts at other runs are limited by number.
    """
    options = conf.watcher_decision_engine
    if run.audit.audit_type != AuditType.EVENT:
        return bool(run.attempt < options.max_attempts)
    first = datetime.datetime.fromisoformat(run.errors[0]["at"]) if run.errors else now
    return bool((now - first).total_seconds() < options.retry_for)


def pause(run: AuditRun, conf: cfg.ConfigOpts) -> datetime.timedelta:
    """How long a run waits after a failed attempt.  A random part keeps runs from beginning
    together."""
    longest = _LONGEST_PAUSE.get(run.audit.audit_type or "", 3600)
    doublings = min(run.attempt - 1, 32)
    backoff = conf.watcher_decision_engine.retry_backoff * 2**doublings
    return datetime.timedelta(seconds=jittered(min(backoff, longest)))


def repeat(
    session: Session, run: AuditRun, other_plan: str, now: datetime.datetime, conf: cfg.ConfigOpts
) -> bool:
    """Let a run begin again, because *other_plan* keeps its own plan from starting.

    False if *other_plan* is under way and the run may not wait, or after too many repeats.
    """
    waits = runs.waits_for_plans(run.audit)
    ready = waits or not action_plans.is_under_way(session, other_plan)
    lost = sum(each["error"].startswith(_CHANGED) for each in run.errors or ())
    if not ready or lost + 1 >= conf.watcher_decision_engine.max_attempts:
        return False
    why = f"{_CHANGED} {other_plan}; the run is repeated."
    run_ends.retry(session, run, now, now, why)
    return True
