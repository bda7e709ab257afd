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

from sqlalchemy import Select, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from watcher.common import states
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
    statement = _due(now).order_by(AuditRun.not_before, AuditRun.id).limit(limit)
    if plan_under_way(session):
        statement = statement.where(
            Audit.force.is_(True) | (Audit.audit_type == AuditType.ONESHOT)
        )
        _tell_why(session, now)
    return session.scalars(statement).all()


def plan_under_way(session: Session) -> bool:
    """Whether any plan of the cloud waits for an applier, or is being carried out."""
    return bool(
        session.scalar(select(exists().where(ActionPlan.state.in_(PlanState.UNDER_WAY))))
    )


def next_due_at(session: Session) -> datetime.datetime | None:
    """When the earliest waiting run is due."""
    return session.scalar(
        select(func.min(AuditRun.not_before)).where(AuditRun.slot == RunState.QUEUED)
    )


def claim(
    session: Session, run_id: int, lease: Lease, now: datetime.datetime
) -> AuditRun | None:
    """Make a due run ONGOING, its audit with it, for this engine alone.

    None if another engine was faster, or if the audit no longer runs; in the
    latter case the run ends here.  DBDuplicateEntry (at flush) if another run of
    the audit became ONGOING meanwhile.
    """
    if not move(
        session,
        AuditRun,
        run_id,
        RunState.BY_ENGINE,
        RunState.ONGOING,
        engine=lease.engine,
        lease_expires_at=now + lease.duration,
        started_at=now,
        attempt=AuditRun.attempt + 1,
        wait_reason=None,
    ):
        return None
    return _start(session, _get(session, run_id), lease, now)


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
    return _start(session, _get(session, run_id), lease, now)


def extend(session: Session, lease: Lease, now: datetime.datetime) -> None:
    """Keep all claims of this engine for one more lease."""
    session.execute(
        update(AuditRun)
        .where(AuditRun.state == RunState.ONGOING, AuditRun.engine == lease.engine)
        .values(lease_expires_at=now + lease.duration)
        .execution_options(synchronize_session=False)
    )


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
        enqueue(session, audit.id, now, max(now, audit.next_run_time or now))
    return len(forlorn)


def _due(now: datetime.datetime) -> Select[tuple[int]]:
    other = aliased(AuditRun)
    return (
        select(AuditRun.id)
        .join(Audit, Audit.id == AuditRun.audit_id)
        .where(
            AuditRun.slot == RunState.QUEUED,
            AuditRun.not_before <= now,
            Audit.state != AuditState.SUSPENDED,
            ~exists().where(
                other.audit_id == AuditRun.audit_id, other.slot == RunState.ONGOING
            ),
        )
    )


def _tell_why(session: Session, now: datetime.datetime) -> None:
    """Note on the due runs that a plan under way is what they wait for."""
    blocked = (
        _due(now)
        .where(
            AuditRun.wait_reason.is_(None),
            Audit.audit_type != AuditType.ONESHOT,
            Audit.force.is_not(True),
        )
        .order_by(AuditRun.id)
    )
    ids = session.scalars(blocked).all()
    if ids:
        session.execute(
            update(AuditRun)
            .where(AuditRun.id.in_(ids), AuditRun.state == RunState.QUEUED)
            .values(wait_reason=PLAN_ONGOING)
            .execution_options(synchronize_session=False)
        )


def _release(session: Session, run: AuditRun, state: str, **values: Any) -> None:
    if not move(
        session,
        AuditRun,
        run.id,
        RunState.BY_ENGINE,
        state,
        AuditRun.engine == run.engine,
        **values,
    ):
        raise LostClaim(f"Run {run.uuid} is no longer this engine's; its result is dropped.")


def _get(session: Session, run_id: int) -> AuditRun:
    return session.scalars(
        select(AuditRun).where(AuditRun.id == run_id).execution_options(populate_existing=True)
    ).one()


def _start(
    session: Session, run: AuditRun, lease: Lease, now: datetime.datetime
) -> AuditRun | None:
    """Make the audit of a freshly claimed run ONGOING, or end the run if that cannot be."""
    audit_type = session.scalars(select(Audit.audit_type).where(Audit.id == run.audit_id)).one()
    runnable = states.AuditState.RUNNABLE.get(audit_type or "", frozenset())
    started = session.execute(
        update(Audit)
        .where(Audit.id == run.audit_id, Audit.deleted == 0, Audit.state.in_(runnable))
        .values(state=AuditState.ONGOING, hostname=lease.host, status_message=None)
        .execution_options(synchronize_session=False)
    )
    if started.rowcount == 1:  # type: ignore[attr-defined]
        return run
    state = session.scalars(select(Audit.state).where(Audit.id == run.audit_id)).one()
    if state == AuditState.SUSPENDED:
        put_back(session, run, now, run.not_before, "The audit is suspended.")
    else:
        finish(session, run, RunState.CANCELLED, now, f"The audit is {state}.")
    return None
