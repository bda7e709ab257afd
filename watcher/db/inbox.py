# SPDX-License-Identifier: Apache-2.0
"""The inbox: accepted events that no run covers yet.

The API only appends to it (``db.events``), so that no run, plan or user can delay an alarm.
Engines with a free worker take events out.  The events of an audit queue a run at once, or join
its QUEUED run within a second.  The claim of a run adds all events that have arrived until then.
Events with other parameters than the QUEUED run stay in the inbox; after its claim the oldest of
them queues the next run.

Order of locks: a run always before its events.  Events that join a run do not lock the audit.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, bindparam, case, func, select, update
from sqlalchemy.orm import Session

from watcher.common.alarms import AUDIT_CANCELLED, earliest_start
from watcher.common.states import AuditState, Decision, RunState
from watcher.db import runs, webhook_facts
from watcher.db.events import same
from watcher.db.models import Audit, AuditEvent, AuditRun, Webhook
from watcher.db.session import StaleRead
from watcher.db.transitions import update_rows

_CHUNK: Final = 1000
"""The number of events in one statement."""

_STATES_WITH_RUNS: Final = (*AuditState.TRIGGERABLE, AuditState.SUSPENDED)
"""States of audits whose events get a run.  The run of a SUSPENDED audit waits until the audit is
resumed."""


class Ready(NamedTuple):
    """What engines can take out of the inbox."""

    audit_ids: Sequence[int]
    """Ids of audits that have events and no QUEUED run, longest waiting first."""
    joining: Sequence[tuple[int, int]]
    """Pairs: the id of a QUEUED run, and that of an event that can join it."""


def ready(session: Session) -> Ready:
    audit_ids, joining = dict[int, None](), list[tuple[int, int]]()
    for row in session.execute(_READY):
        if row.run_id is None:
            audit_ids[row.inbox] = None
        elif same(row.of_run, row.parameters):
            joining.append((row.run_id, row.id))
    return Ready([*audit_ids], joining)


def join_waiting(session: Session) -> None:
    """Let events join the runs that wait.  StaleRead if another engine was faster with one."""
    joining = ready(session).joining
    for start in range(0, len(joining), _CHUNK):
        chunk = joining[start : start + _CHUNK]
        run_ids, event_ids = {run_id for run_id, _ in chunk}, [event_id for _, event_id in chunk]
        of_run = AuditEvent.id.in_(event_ids), AuditEvent.audit_id == AuditRun.audit_id
        joined = AuditEvent.decision != Decision.QUEUED
        number = select(func.count()).where(*of_run, joined).scalar_subquery()
        waiting = AuditRun.id.in_(run_ids), AuditRun.state == RunState.QUEUED
        total = AuditRun.coalesced_count + number
        if update_rows(session, AuditRun, *waiting, coalesced_count=total) != len(run_ids):
            raise StaleRead
        _assign(session, _WAITING, event_ids, Decision.COALESCED)


def queue_run(session: Session, audit_id: int, max_recorded: int, now: datetime.datetime) -> None:
    """Queue a run for the events of an audit; nothing if it has a QUEUED run already.

    *max_recorded* is the number of events that are recorded in a minute: if it is reached, the
    run waits until the minute is over.  LockWait, at once, while another transaction writes the
    audit; StaleRead or DBDuplicateEntry if another engine takes the same events.
    """
    arrived = _arrived(session, audit_id)
    if not arrived or runs.waiting(session, audit_id) is not None:
        return
    # Without this lock the INSERT of the run would wait for a transaction that writes the audit,
    # because of the foreign key.
    audit = session.execute(_AUDIT, {"of_audit": audit_id}).first()
    if audit is None or audit.deleted or audit.state not in _STATES_WITH_RUNS:
        session.execute(_REFUSE, {"of_audit": audit_id})
        return
    first = arrived[0]
    chosen = _with_parameters(arrived, first.parameters)
    received = min(first.received_at, now)  # the clock of the API may be ahead, or was set back
    limited_until = webhook_facts.limited_until(session, audit_id, received, max_recorded, first.id)
    not_before = earliest_start(received, audit.debounce or 0, limited_until)
    run = runs.enqueue(session, audit_id, received, not_before, first.parameters)
    if first.decision == Decision.ACCEPTED:
        _assign(session, run.id, [first.id], Decision.QUEUED)
        chosen = chosen[1:]
    _coalesce(session, run.id, chosen)


def join(session: Session, run: AuditRun) -> None:
    """Add to a run that is being claimed all events in the inbox that have its parameters."""
    chosen = _with_parameters(_arrived(session, run.audit_id), run.parameters)
    if chosen:
        _coalesce(session, run.id, chosen)
        session.refresh(run, ["coalesced_count"])


def give_back(session: Session, run: AuditRun) -> None:
    """Put the events of a run into the inbox again, because the run ends without handling them.

    They keep their decision, because they are counted as QUEUED or COALESCED already.
    """
    decisions = session.scalars(
        select(AuditEvent.decision).where(AuditEvent.run_id == run.id)
    ).all()
    if not decisions:
        return
    update_rows(session, AuditEvent, AuditEvent.run_id == run.id, run_id=None, inbox=run.audit_id)
    runs.count_coalesced(session, run.id, -decisions.count(Decision.COALESCED))


def _arrived(session: Session, audit_id: int) -> Sequence[Row[Any]]:
    return session.execute(_ARRIVED, {"of_audit": audit_id}).all()


def _with_parameters(events: Sequence[Row[Any]], parameters: Any) -> list[Row[Any]]:
    # Compared in Python, because collations of databases may differ.
    return [each for each in events if same(each.parameters, parameters)]


def _coalesce(session: Session, run_id: int, events: Sequence[Row[Any]]) -> None:
    """Let events join a run.  QUEUED ones (given back) are not counted."""
    _assign(session, run_id, [each.id for each in events], Decision.COALESCED)
    joined = sum(each.decision != Decision.QUEUED for each in events)
    runs.count_coalesced(session, run_id, joined)


def _assign(session: Session, run_id: Any, event_ids: Sequence[int], decision: str) -> None:
    """Move events from the inbox to a run.  StaleRead if another engine has taken one of them."""
    for start in range(0, len(event_ids), _CHUNK):
        ids = event_ids[start : start + _CHUNK]
        undecided = AuditEvent.decision == Decision.ACCEPTED
        given = update_rows(
            session,
            AuditEvent,
            AuditEvent.id.in_(ids),
            AuditEvent.inbox.is_not(None),
            run_id=run_id,
            inbox=None,
            decision=case((undecided, decision), else_=AuditEvent.decision),
        )
        if given != len(ids):
            raise StaleRead


# Built once: to build a statement takes longer than to execute it.
_READY: Final = (
    select(
        AuditEvent.id,
        AuditEvent.inbox,
        AuditEvent.parameters,
        AuditRun.id.label("run_id"),
        AuditRun.parameters.label("of_run"),
    )
    .outerjoin(
        AuditRun, (AuditRun.audit_id == AuditEvent.inbox) & (AuditRun.slot == RunState.QUEUED)
    )
    .where(AuditEvent.inbox.is_not(None))
    .order_by(AuditEvent.id)
)
_ARRIVED: Final = (
    select(AuditEvent.id, AuditEvent.decision, AuditEvent.parameters, AuditEvent.received_at)
    .where(AuditEvent.inbox == bindparam("of_audit"))
    .order_by(AuditEvent.id)
)
_AUDIT: Final = (
    select(Audit.state, Audit.deleted, Webhook.debounce)
    .outerjoin(Webhook, Webhook.audit_id == Audit.id)
    .where(Audit.id == bindparam("of_audit"))
    .with_for_update(read=True, key_share=True, nowait=True, of=Audit)
)
_WAITING: Final = (
    select(AuditRun.id)
    .where(AuditRun.audit_id == AuditEvent.audit_id, AuditRun.slot == RunState.QUEUED)
    .scalar_subquery()
)
_REFUSE: Final = (
    update(AuditEvent)
    .where(AuditEvent.inbox == bindparam("of_audit"))
    .values(
        inbox=None,
        decision_reason=case(
            (AuditEvent.decision == Decision.ACCEPTED, AUDIT_CANCELLED),
            else_=AuditEvent.decision_reason,
        ),
        decision=case(
            (AuditEvent.decision == Decision.ACCEPTED, Decision.REJECTED),
            else_=AuditEvent.decision,
        ),
    )
    .execution_options(synchronize_session=False)
)
