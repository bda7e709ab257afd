# SPDX-License-Identifier: Apache-2.0
"""The queue: runs that wait until they are due.

Runs are queued when an audit is created or resumed, for an event, at the end of a run of a
CONTINUOUS audit, and by ``adopt``.  ``db.claims`` claims them.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from watcher.common import schedule
from watcher.common.errors import Invalid
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import models
from watcher.db.models import ActionPlan, Audit, AuditRun, Webhook
from watcher.db.models.base import shortened
from watcher.db.transitions import move, update_rows

PLAN_ONGOING: Final = "plan_ongoing"
"""Why a due run waits: an action plan is PENDING, ONGOING or CANCELLING."""

COOLDOWN: Final = "cooldown"
"""Why a due run waits: the cooldown of its webhook after the last run is not over."""

SAME_METRICS: Final = "same_metrics"
"""Why a run waits: the last one found nothing to do, and there are no new metrics yet."""

_AHEAD: Final = datetime.timedelta(minutes=1)
"""If a ``queued_at`` or the end of a run is farther in the future, the clock was set back."""


def enqueue(
    session: Session,
    audit_id: int,
    now: datetime.datetime,
    not_before: datetime.datetime,
    parameters: Mapping[str, Any] | None = None,
) -> AuditRun:
    """Queue a run, with *parameters* over those of the audit.

    DBDuplicateEntry (at flush) if one waits already.
    """
    run = AuditRun(
        uuid=models.new_uuid(),
        audit_id=audit_id,
        state=RunState.QUEUED,
        not_before=not_before,
        queued_at=now,
        created_at=now,
        parameters=dict(parameters or {}),
    )
    session.add(run)
    session.flush()
    return run


def waiting(session: Session, audit_id: int) -> AuditRun | None:
    """The QUEUED run of an audit; there is at most one."""
    return session.scalar(
        select(AuditRun).where(AuditRun.audit_id == audit_id, AuditRun.slot == RunState.QUEUED)
    )


def count_coalesced(
    session: Session, run_id: int, number: int, *condition: ColumnElement[bool]
) -> bool:
    """Count *number* more events on a run, if it meets the *condition*."""
    total = AuditRun.coalesced_count + number
    condition = (AuditRun.id == run_id, *condition)
    return update_rows(session, AuditRun, *condition, coalesced_count=total) == 1


def backdate(session: Session, run_id: int, since: datetime.datetime) -> None:
    """Count the wait of a run from *since*, if that is earlier."""
    younger = AuditRun.created_at > since
    update_rows(session, AuditRun, AuditRun.id == run_id, younger, created_at=since)


def reschedule(
    session: Session, audit_id: int, now: datetime.datetime, not_before: datetime.datetime
) -> None:
    """Move the waiting run of an audit, if any, to another time."""
    waiting = (AuditRun.audit_id == audit_id, AuditRun.state == RunState.QUEUED)
    update_rows(session, AuditRun, *waiting, not_before=not_before, queued_at=now)


def cancel_waiting(
    session: Session, of_audits: ColumnElement[bool], now: datetime.datetime, why: str
) -> None:
    """End the waiting runs of audits that will never run again."""
    move(
        session,
        AuditRun,
        RunState.BY_ENGINE,
        RunState.CANCELLED,
        of_audits,
        AuditRun.state == RunState.QUEUED,
        finished_at=now,
        status_message=why,
    )


def due(session: Session, now: datetime.datetime, limit: int) -> Sequence[int]:
    """Ids of runs that may be claimed now, longest due first.

    Left out are runs of SUSPENDED audits and of audits with an ONGOING run.  While a plan is under
    way, only runs of ONESHOT audits, about which the claim decides, and of audits with ``force``
    are included.
    """
    return session.scalars(_CLAIMABLE, {"now": now, "ahead": now + _AHEAD, "limit": limit}).all()


def waiting_for_plan(session: Session, now: datetime.datetime) -> Sequence[int]:
    """Ids of due runs that wait for the end of a plan, but whose ``wait_reason`` is another."""
    return session.scalars(_WAITING_FOR_PLAN, {"now": now, "ahead": now + _AHEAD}).all()


def note_wait_for_plan(session: Session, run_ids: Sequence[int]) -> None:
    """Write to waiting runs that they wait for the end of a plan."""
    waiting = (AuditRun.id.in_(run_ids), AuditRun.state == RunState.QUEUED)
    update_rows(session, AuditRun, *waiting, wait_reason=PLAN_ONGOING)


def last_ended(session: Session, audit_id: int) -> AuditRun | None:
    """The youngest run of an audit that has succeeded or failed."""
    return session.scalar(
        select(AuditRun)
        .where(
            AuditRun.audit_id == audit_id,
            AuditRun.slot.is_(None),
            AuditRun.state.in_((RunState.SUCCEEDED, RunState.FAILED)),
        )
        .order_by(AuditRun.id.desc())
        .limit(1)
    )


def look_again(session: Session) -> None:
    """Make the runs due that wait for new metrics, because the cloud has changed."""
    waiting = (AuditRun.slot == RunState.QUEUED, AuditRun.wait_reason == SAME_METRICS)
    update_rows(session, AuditRun, *waiting, not_before=AuditRun.created_at, wait_reason=None)


def next_due_at(session: Session, now: datetime.datetime) -> datetime.datetime | None:
    """When the next run that is not due becomes due."""
    return session.scalar(
        select(func.min(AuditRun.not_before)).where(
            AuditRun.slot == RunState.QUEUED, AuditRun.not_before > now
        )
    )


def cooled_down_at(
    session: Session, audit: Audit, webhook: Webhook, now: datetime.datetime
) -> datetime.datetime | None:
    """When the cooldown of an audit's webhook ends; None without one, and if the clock was set back
    since it began.

    The cooldown begins with the end of the last run, or of its plan when that is over later.  A
    plan that never began does not count, and neither does a plan under way, because
    ``waits_for_plans`` decides whether runs wait for its end.
    """
    if not webhook.cooldown:
        return None
    last = session.execute(_LAST_RUN, {"audit_id": audit.id}).first()
    if last is None:
        return None
    over: datetime.datetime = max(last.finished_at, last.updated_at or last.finished_at)
    if over > now + _AHEAD:
        return None
    return over + datetime.timedelta(seconds=webhook.cooldown)


def plans_started(session: Session, audit_id: int, since: datetime.datetime) -> int:
    """How many plans of an audit were started automatically since then."""
    return session.scalars(
        select(func.count()).where(
            AuditRun.audit_id == audit_id,
            AuditRun.slot.is_(None),
            AuditRun.auto_started,
            AuditRun.finished_at > since,
        )
    ).one()


def waits_for_plans(audit: Audit) -> bool:
    """Whether runs of an audit begin only while no plan is under way."""
    return not audit.force and audit.audit_type != AuditType.ONESHOT


def adopt(session: Session, now: datetime.datetime) -> int:
    """Queue runs for audits that should have one and do not; the number of these runs.

    Such audits come from the service that used this database before.  It kept CONTINUOUS audits in
    a table of its scheduler, lost the messages of ONESHOT audits, and left EVENT audits ONGOING.
    CONTINUOUS audits whose interval cannot be read become CANCELLED, with a sentence.
    """
    without_run = session.scalars(
        select(Audit).where(
            Audit.deleted == 0,
            (
                Audit.audit_type.in_((AuditType.ONESHOT, AuditType.CONTINUOUS))
                & Audit.state.in_((AuditState.PENDING, AuditState.ONGOING))
            )
            | ((Audit.audit_type == AuditType.EVENT) & (Audit.state == AuditState.ONGOING)),
            ~exists().where(AuditRun.audit_id == Audit.id, AuditRun.slot.is_not(None)),
        )
    ).all()
    adopted = 0
    for audit in without_run:
        try:
            earliest = _adopted_time(audit, now)
        except Invalid as error:
            _refuse(session, audit, now, f"{error} Create the audit anew.")
        else:
            enqueue(session, audit.id, now, earliest)
            adopted += 1
    return adopted


def _adopted_time(audit: Audit, now: datetime.datetime) -> datetime.datetime:
    """When an audit of the former service runs next.

    The database may not know that of a CONTINUOUS one; then its interval decides.  Invalid for an
    interval that cannot be read.
    """
    earliest = max(now, audit.next_run_time or now, audit.start_time or now)
    if audit.audit_type != AuditType.CONTINUOUS:
        return earliest
    schedule.validate(audit.interval or "")
    if earliest == audit.next_run_time:
        return earliest
    return schedule.first_run(audit.interval or "", earliest, None)


def _refuse(session: Session, audit: Audit, now: datetime.datetime, sentence: str) -> None:
    move(
        session,
        Audit,
        AuditState.BY_ENGINE,
        AuditState.CANCELLED,
        Audit.id == audit.id,
        status_message=shortened(sentence),
        updated_at=now,
    )


def is_due(now: Any, ahead: Any) -> ColumnElement[bool]:
    """The condition that a run is due, even if the clock was set back since it was queued."""
    queued_at = func.coalesce(AuditRun.queued_at, AuditRun.created_at)
    return or_(AuditRun.not_before <= now, queued_at > ahead)


def waits_until(run: AuditRun, now: datetime.datetime) -> datetime.datetime:
    """When a QUEUED run becomes due: now if the clock was set back since it was queued."""
    queued_at = run.queued_at or run.created_at
    return now if queued_at > now + _AHEAD else run.not_before


def due_at(now: datetime.datetime) -> ColumnElement[bool]:
    """``is_due`` at a time."""
    return is_due(now, now + _AHEAD)


def _due() -> Select[int]:
    other = aliased(AuditRun)
    return (
        select(AuditRun.id)
        .join(Audit, Audit.id == AuditRun.audit_id)
        .where(
            AuditRun.slot == RunState.QUEUED,
            is_due(bindparam("now"), bindparam("ahead")),
            Audit.state != AuditState.SUSPENDED,
            ~exists().where(other.audit_id == AuditRun.audit_id, other.slot == RunState.ONGOING),
        )
    )


# Built once: to build a statement takes longer than to execute it.
PLAN_UNDER_WAY = exists().where(ActionPlan.state.in_(PlanState.UNDER_WAY))
WAITS_FOR_PLANS = Audit.force.is_not(True) & (Audit.audit_type != AuditType.ONESHOT)
_CLAIMABLE = (
    _due()
    .where(~PLAN_UNDER_WAY | ~WAITS_FOR_PLANS)
    .order_by(AuditRun.not_before, AuditRun.id)
    .limit(bindparam("limit"))
)
_WAITING_FOR_PLAN = _due().where(
    PLAN_UNDER_WAY,
    WAITS_FOR_PLANS,
    AuditRun.wait_reason.is_(None) | (AuditRun.wait_reason != PLAN_ONGOING),
)
_LAST_RUN = (
    select(AuditRun.finished_at, ActionPlan.updated_at)
    .outerjoin(
        ActionPlan,
        (ActionPlan.id == AuditRun.action_plan_id)
        & ActionPlan.state.in_(PlanState.EXECUTED)
        & ActionPlan.hostname.is_not(None),  # not if it was cancelled before it began
    )
    .where(
        AuditRun.audit_id == bindparam("audit_id"),
        AuditRun.slot.is_(None),
        AuditRun.state.in_((RunState.SUCCEEDED, RunState.FAILED)),
    )
    .order_by(AuditRun.id.desc())
    .limit(1)
)
