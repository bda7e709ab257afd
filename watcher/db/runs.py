# SPDX-License-Identifier: Apache-2.0
"""The queue: runs that wait, are claimed, and end.

A claim is a lease.  It names the engine process that holds it, the heartbeat
extends it, and after it has lapsed any engine may take the run over.  Every
write of a claimed run compares the holder, so an engine that lost its lease
cannot write anything any more.
"""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, select, update
from sqlalchemy.orm import Session, aliased, joinedload

from watcher.common.errors import LostClaim
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import models
from watcher.db.models import ActionPlan, Audit, AuditEvent, AuditRun
from watcher.db.transitions import move

PLAN_ONGOING = "plan_ongoing"
"""Why a due run waits: the cloud is being changed by an action plan."""


@dataclasses.dataclass(frozen=True)
class Lease:
    """Who claims, and for how long a claim holds without a heartbeat."""

    engine: str
    host: str
    duration: datetime.timedelta


def enqueue(
    session: Session, audit_id: int, now: datetime.datetime, not_before: datetime.datetime
) -> AuditRun:
    """Queue a run.  DBDuplicateEntry (at flush) if one waits already."""
    run = AuditRun(
        uuid=models.new_uuid(),
        audit_id=audit_id,
        state=RunState.QUEUED,
        not_before=not_before,
        created_at=now,
    )
    session.add(run)
    session.flush()
    return run


def waiting(session: Session, audit_id: int) -> AuditRun | None:
    """The QUEUED run of an audit; there is at most one."""
    return session.scalar(
        select(AuditRun).where(AuditRun.audit_id == audit_id, AuditRun.slot == RunState.QUEUED)
    )


def join(session: Session, run_id: int) -> bool:
    """Count one more event on a run that still waits.  False if it no longer does."""
    joined = session.execute(
        update(AuditRun)
        .where(AuditRun.id == run_id, AuditRun.state == RunState.QUEUED)
        .values(coalesced_count=AuditRun.coalesced_count + 1)
        .execution_options(synchronize_session=False)
    )
    return joined.rowcount == 1  # type: ignore[attr-defined, no-any-return]


def reschedule(session: Session, audit_id: int, not_before: datetime.datetime) -> None:
    """Move the waiting run of an audit, if any, to another time."""
    session.execute(
        update(AuditRun)
        .where(AuditRun.audit_id == audit_id, AuditRun.state == RunState.QUEUED)
        .values(not_before=not_before)
        .execution_options(synchronize_session=False)
    )


def cancel_waiting(session: Session, audit_id: int, now: datetime.datetime, why: str) -> None:
    """End the waiting run of an audit that will never run again."""
    session.execute(
        update(AuditRun)
        .where(AuditRun.audit_id == audit_id, AuditRun.state == RunState.QUEUED)
        .values(state=RunState.CANCELLED, finished_at=now, status_message=why)
        .execution_options(synchronize_session=False)
    )


def due(session: Session, now: datetime.datetime, limit: int) -> Sequence[int]:
    """Ids of runs that may be claimed now, longest due first.

    Left out are runs of suspended audits, of audits that have a run ONGOING, and,
    while a plan is under way, of all audits but those with ``force`` and ONESHOT
    ones (the claim decides about these).
    """
    return session.scalars(_CLAIMABLE, {"now": now, "limit": limit}).all()


def held_up(session: Session, now: datetime.datetime) -> Sequence[int]:
    """Ids of due runs that wait for the end of a plan and do not say so yet."""
    return session.scalars(_HELD_UP, {"now": now}).all()


def tell_held_up(session: Session, run_ids: Sequence[int]) -> None:
    """Note on waiting runs that a plan under way is what they wait for."""
    session.execute(
        update(AuditRun)
        .where(AuditRun.id.in_(run_ids), AuditRun.state == RunState.QUEUED)
        .values(wait_reason=PLAN_ONGOING)
        .execution_options(synchronize_session=False)
    )


def next_due_at(session: Session, now: datetime.datetime) -> datetime.datetime | None:
    """When the next run becomes due that is not due yet."""
    return session.scalar(
        select(func.min(AuditRun.not_before)).where(
            AuditRun.slot == RunState.QUEUED, AuditRun.not_before > now
        )
    )


def claim(session: Session, run_id: int, lease: Lease, now: datetime.datetime) -> AuditRun | None:
    """Make a due run ONGOING, its audit with it, for this engine alone.

    None if another engine was faster, even if the run waits again since, for a
    later time.  None also if somebody ended the audit; then the run ends here.  If it
    is the claim that ends both of them, as the audit has no more time or no right to
    run now, the run is CANCELLED.  Its ``audit`` is as it was before the claim in all
    cases.  DBDuplicateEntry (at flush) if another run of the audit became ONGOING
    meanwhile.
    """
    if not move(
        session,
        AuditRun,
        run_id,
        RunState.BY_ENGINE,
        RunState.ONGOING,
        AuditRun.not_before <= now,
        engine=lease.engine,
        lease_expires_at=now + lease.duration,
        started_at=now,
        attempt=AuditRun.attempt + 1,
        wait_reason=None,
    ):
        return None
    return _start(session, run_id, lease, now)


def lapsed(session: Session, now: datetime.datetime, limit: int) -> Sequence[int]:
    """Ids of ONGOING runs whose engine has not been heard of for a whole lease."""
    return session.scalars(
        select(AuditRun.id)
        .where(AuditRun.slot == RunState.ONGOING, AuditRun.lease_expires_at < now)
        .order_by(AuditRun.lease_expires_at)
        .limit(limit)
    ).all()


def take_over(
    session: Session, run_id: int, lease: Lease, now: datetime.datetime
) -> AuditRun | None:
    """Claim a lapsed run.  None if another engine was faster, or the audit no longer runs."""
    taken = session.execute(
        update(AuditRun)
        .where(
            AuditRun.id == run_id,
            AuditRun.state == RunState.ONGOING,
            AuditRun.lease_expires_at < now,
        )
        .values(
            engine=lease.engine,
            lease_expires_at=now + lease.duration,
            started_at=now,
            attempt=AuditRun.attempt + 1,
        )
        .execution_options(synchronize_session=False)
    )
    if taken.rowcount != 1:  # type: ignore[attr-defined]
        return None
    return _start(session, run_id, lease, now)


def extend(session: Session, run_ids: Sequence[int], lease: Lease, now: datetime.datetime) -> None:
    """Keep the claims on those runs for one more lease."""
    session.execute(
        update(AuditRun)
        .where(
            AuditRun.id.in_(run_ids),
            AuditRun.state == RunState.ONGOING,
            AuditRun.engine == lease.engine,
        )
        .values(lease_expires_at=now + lease.duration)
        .execution_options(synchronize_session=False)
    )


def settle(
    session: Session, run: AuditRun, state: str, now: datetime.datetime, **values: Any
) -> bool:
    """Give the audit of a claimed run the state that the run leaves it in.

    False if somebody changed the audit's state meanwhile.  Then the result is to be
    dropped, and the run has ended here: a suspended audit's goes back into the
    queue, any other's is CANCELLED.
    """
    settled = session.execute(
        update(Audit)
        .where(Audit.id == run.audit_id, Audit.deleted == 0, Audit.state == AuditState.ONGOING)
        .values(state=state, **values)
        .execution_options(synchronize_session=False)
    )
    if settled.rowcount == 1:  # type: ignore[attr-defined]
        return True
    _end_unwanted(session, run, now)
    return False


def finish(
    session: Session,
    run: AuditRun,
    state: str,
    now: datetime.datetime,
    status_message: str | None = None,
    action_plan_id: int | None = None,
) -> None:
    """End a claimed run.  LostClaim if it is no longer this engine's."""
    _release(
        session,
        run,
        state,
        finished_at=now,
        status_message=status_message,
        action_plan_id=action_plan_id,
    )


def put_back(
    session: Session,
    run: AuditRun,
    now: datetime.datetime,
    not_before: datetime.datetime,
    status_message: str,
) -> None:
    """Let a claimed run wait again, until *not_before*.

    If a younger run of the audit waits already, that one stands for both: it
    takes over the events, and this one ends.
    """
    successor = waiting(session, run.audit_id)
    if successor is None:
        _release(
            session,
            run,
            RunState.QUEUED,
            not_before=not_before,
            engine=None,
            lease_expires_at=None,
            status_message=status_message,
        )
        return
    finish(session, run, RunState.CANCELLED, now, status_message)
    session.execute(
        update(AuditEvent)
        .where(AuditEvent.run_id == run.id)
        .values(run_id=successor.id)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(AuditRun)
        .where(AuditRun.id == successor.id)
        .values(
            coalesced_count=AuditRun.coalesced_count + run.coalesced_count + 1,
            attempt=run.attempt,
            not_before=not_before,
        )
        .execution_options(synchronize_session=False)
    )


def adopt(session: Session, now: datetime.datetime) -> int:
    """Queue runs for audits that should have one and do not; the number of them.

    Such audits come from the service that used this database before: CONTINUOUS
    ones that a scheduler kept in its own table, ONESHOT ones whose message is lost,
    and EVENT ones that hang in ONGOING.
    """
    forlorn = session.scalars(
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
    for audit in forlorn:
        earliest = max(now, audit.next_run_time or now, audit.start_time or now)
        enqueue(session, audit.id, now, earliest)
    return len(forlorn)


def _due() -> Select[int]:
    other = aliased(AuditRun)
    return (
        select(AuditRun.id)
        .join(Audit, Audit.id == AuditRun.audit_id)
        .where(
            AuditRun.slot == RunState.QUEUED,
            AuditRun.not_before <= bindparam("now"),
            Audit.state != AuditState.SUSPENDED,
            ~exists().where(other.audit_id == AuditRun.audit_id, other.slot == RunState.ONGOING),
        )
    )


# Engines ask these all the time, and to build them takes longer than to answer them.
_PLAN_UNDER_WAY = exists().where(ActionPlan.state.in_(PlanState.UNDER_WAY))
_WAITS_FOR_PLANS = Audit.force.is_not(True) & (Audit.audit_type != AuditType.ONESHOT)
_CLAIMABLE = (
    _due()
    .where(~_PLAN_UNDER_WAY | ~_WAITS_FOR_PLANS)
    .order_by(AuditRun.not_before, AuditRun.id)
    .limit(bindparam("limit"))
)
_HELD_UP = _due().where(_PLAN_UNDER_WAY, _WAITS_FOR_PLANS, AuditRun.wait_reason.is_(None))


def _release(session: Session, run: AuditRun, state: str, **values: Any) -> None:
    if not move(
        session,
        AuditRun,
        run.id,
        RunState.BY_ENGINE,
        state,
        AuditRun.engine == run.engine,
        AuditRun.attempt == run.attempt,  # the same engine may have claimed it anew
        **values,
    ):
        raise LostClaim(f"Run {run.uuid} is no longer this engine's; its result is dropped.")


def _get(session: Session, run_id: int) -> AuditRun:
    return session.scalars(
        select(AuditRun)
        .where(AuditRun.id == run_id)
        .options(
            joinedload(AuditRun.audit).options(joinedload(Audit.goal), joinedload(Audit.strategy))
        )
        .execution_options(populate_existing=True)
    ).one()


def _start(session: Session, run_id: int, lease: Lease, now: datetime.datetime) -> AuditRun | None:
    """Make the audit of a freshly claimed run ONGOING, or end the run if that cannot be."""
    run = _get(session, run_id)
    audit = run.audit
    ended = _ended_by_now(session, audit, now)
    if ended:
        state, why = ended
        session.execute(
            update(Audit)
            .where(Audit.id == audit.id, Audit.state.in_(_runnable(audit)))
            .values(state=state, status_message=why)
            .execution_options(synchronize_session=False)
        )
        finish(session, run, RunState.CANCELLED, now, why)
        session.refresh(run, ["state"])
        return run
    started = session.execute(
        update(Audit)
        .where(Audit.id == audit.id, Audit.deleted == 0, Audit.state.in_(_runnable(audit)))
        .values(state=AuditState.ONGOING, hostname=lease.host, status_message=None)
        .execution_options(synchronize_session=False)
    )
    if started.rowcount == 1:  # type: ignore[attr-defined]
        return run
    _end_unwanted(session, run, now)
    return None


def _runnable(audit: Audit) -> frozenset[str]:
    return AuditState.RUNNABLE.get(audit.audit_type or "", frozenset())


def _ended_by_now(session: Session, audit: Audit, now: datetime.datetime) -> tuple[str, str] | None:
    """The audit's new state and the reason, if its next run is not to happen at all."""
    if audit.audit_type == AuditType.CONTINUOUS and audit.end_time and audit.end_time <= now:
        return AuditState.SUCCEEDED, "The end time of the audit has passed."
    if audit.audit_type == AuditType.ONESHOT and not audit.force:
        ongoing = session.scalar(
            select(ActionPlan.uuid).where(ActionPlan.state == PlanState.ONGOING).limit(1)
        )
        if ongoing:
            return (
                AuditState.CANCELLED,
                f"Action plan {ongoing} was ongoing; use force to ignore it.",
            )
    return None


def _end_unwanted(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """End a claimed run whose audit somebody cancelled, suspended or deleted meanwhile."""
    state = session.scalars(select(Audit.state).where(Audit.id == run.audit_id)).one()
    if state == AuditState.SUSPENDED:
        put_back(session, run, now, now, "The audit was suspended.")
    else:
        finish(session, run, RunState.CANCELLED, now, f"The audit is {state}; nothing was kept.")
