# SPDX-License-Identifier: Apache-2.0
"""Present values: the queue, the inbox, the plans."""

import dataclasses
import datetime
from typing import Final

from sqlalchemy import case, exists, func, select
from sqlalchemy.orm import Session, aliased

from watcher.common.states import AuditState, PlanState, RunState
from watcher.db import counters, runs
from watcher.db.models import Audit, AuditEvent, AuditRun

DUE: Final = "due"
"""The run could begin, but no engine has claimed it yet."""
NOT_BEFORE: Final = "not_before"
"""The run is due later: a debounce, a retry, the schedule of a CONTINUOUS audit."""
AUDIT_SUSPENDED: Final = "audit_suspended"
RUN_ONGOING: Final = "run_ongoing"

WAIT_REASONS: Final = (
    DUE,
    NOT_BEFORE,
    runs.COOLDOWN,
    runs.SAME_METRICS,
    runs.PLAN_ONGOING,
    RUN_ONGOING,
    AUDIT_SUSPENDED,
)

_TIMED: Final = (runs.COOLDOWN, runs.SAME_METRICS)
"""Reasons of runs whose time has not come; runs without one of these wait for NOT_BEFORE."""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The number of runs or events, and the seconds since the first of them could begin, began or
    came."""

    number: int = 0
    oldest: float = 0.0


def queue(session: Session, now: datetime.datetime) -> dict[str, Waiting]:
    """The runs that wait, by what they wait for at this moment."""
    later = AuditRun.not_before > now
    other = aliased(AuditRun)
    ongoing = exists().where(other.audit_id == AuditRun.audit_id, other.slot == RunState.ONGOING)
    waiting = (
        select(
            case(
                (Audit.state == AuditState.SUSPENDED, AUDIT_SUSPENDED),
                (later & AuditRun.wait_reason.in_(_TIMED), AuditRun.wait_reason),
                (later, NOT_BEFORE),
                (runs.PLAN_UNDER_WAY & runs.WAITS_FOR_PLANS, runs.PLAN_ONGOING),
                (ongoing, RUN_ONGOING),
                else_=DUE,
            ).label("reason"),
            AuditRun.not_before,
        )
        .join(Audit, Audit.id == AuditRun.audit_id)
        .where(AuditRun.slot == RunState.QUEUED)
        .subquery()
    )
    found = session.execute(
        select(waiting.c.reason, func.count(), func.min(waiting.c.not_before)).group_by(
            waiting.c.reason
        )
    )
    return dict.fromkeys(WAIT_REASONS, Waiting()) | {
        reason: Waiting(number, max(0.0, (now - first).total_seconds()))
        for reason, number, first in found
    }


def inbox(session: Session, now: datetime.datetime) -> Waiting:
    """The events that no run covers yet, and for how many seconds the first of them has waited."""
    number, first = session.execute(
        select(func.count(), func.min(AuditEvent.received_at)).where(AuditEvent.inbox.is_not(None))
    ).one()
    return Waiting(number, max(0.0, (now - first).total_seconds()) if first else 0.0)


def ongoing_runs(session: Session, now: datetime.datetime) -> Waiting:
    """The number of runs under way, and the seconds since the first of them began."""
    number, first = session.execute(
        select(func.count(), func.min(AuditRun.started_at)).where(AuditRun.slot == RunState.ONGOING)
    ).one()
    return Waiting(number, max(0.0, (now - (first or now)).total_seconds()))


def plans(session: Session) -> dict[str, int]:
    """The number of plans that are not deleted, by state."""
    states = [state for state in PlanState.ALL if state != PlanState.DELETED]
    return dict.fromkeys(states, 0) | counters.plans(session)
