# SPDX-License-Identifier: Apache-2.0
"""The inbox: accepted events that no run covers yet.

::

    ACCEPTED ── take ──▶ QUEUED, with a run of its own, or COALESCED, with the run that waits
        ▲                    │
        └──── give back ─────┘   the run ended without doing anything for them

The API only appends to it (``db.events``), so that no run, plan or user can delay an alarm.
Decision engines take events out: the events of an audit queue a run or join the run that waits,
and the claim of a run adds all events that have arrived until then.

An audit has at most one waiting run, and a run has one set of parameters.  Events with other
parameters stay in the inbox until the waiting run is claimed; then the oldest of them queues the
next run.

Order of locks: a run always before its events.  Events that join a run do not lock the audit.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, bindparam, case, select, update
from sqlalchemy.orm import Session

from watcher.common.alarms import earliest_start
from watcher.common.states import AuditState, Decision, RunState
from watcher.db import runs, webhook_facts
from watcher.db.events import AUDIT_CANCELLED, same
from watcher.db.models import Audit, AuditEvent, AuditRun, Webhook
from watcher.db.session import StaleRead
from watcher.db.transitions import update_rows

_CHUNK: Final = 1000
"""The number of events in one statement."""

_STATES_WITH_RUNS: Final = (*AuditState.TRIGGERABLE, AuditState.SUSPENDED)
"""States of audits whose events get a run.  The run of a SUSPENDED audit waits until the audit is
resumed."""


class Ready(NamedTuple):
    """Ids of the audits with events that ``take`` can take, longest waiting first."""

    new: Sequence[int]
    """Those that get a run."""
    joining: Sequence[int]
    """Those that have a waiting run, which also takes its events when it is claimed."""


def ready(session: Session) -> Ready:
    new, joining = dict[int, None](), dict[int, None]()
    for row in session.execute(_READY):
        if row.run_id is None:
            new[row.inbox] = None
        elif same(row.of_run, row.parameters):
            joining[row.inbox] = None
    return Ready([*new], [*joining])


def take(session: Session, audit_id: int, max_recorded: int, now: datetime.datetime) -> None:
    """Queue a run for the events of an audit, or let them join the run that waits.

    *max_recorded* is the number of events that are recorded in a minute: if it is reached, the
    run waits until the minute is over.  LockWait, at once, while another transaction writes the
    audit; StaleRead or DBDuplicateEntry if another engine takes the events, too.
    """
    arrived = _arrived(session, audit_id)
    if not arrived:
        return
    waiting = runs.waiting(session, audit_id)
    if waiting is not None:
        _join(session, audit_id, waiting.id, _with_parameters(arrived, waiting.parameters))
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
    full_until = webhook_facts.full_until(session, audit_id, received, max_recorded, first.id)
    not_before = earliest_start(received, audit.debounce or 0, full_until)
    run = runs.enqueue(session, audit_id, received, not_before, first.parameters)
    if first.decision == Decision.ACCEPTED:
        _assign(session, audit_id, run.id, [first.id], Decision.QUEUED)
        chosen = chosen[1:]
        joined = len(chosen)
    else:
        joined = len(chosen) - any(each.decision == Decision.QUEUED for each in chosen)
    _assign(session, audit_id, run.id, [each.id for each in chosen], Decision.COALESCED)
    runs.count_coalesced(session, run.id, joined)


def join(session: Session, run: AuditRun) -> None:
    """Add all events with its parameters that have arrived to a run that is being claimed."""
    chosen = _with_parameters(_arrived(session, run.audit_id), run.parameters)
    if chosen:
        _assign(session, run.audit_id, run.id, [each.id for each in chosen], Decision.COALESCED)
        runs.count_coalesced(session, run.id, len(chosen))
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
    runs.count_coalesced(session, run.id, (Decision.QUEUED in decisions) - len(decisions))


def _join(session: Session, audit_id: int, run_id: int, chosen: Sequence[Row[Any]]) -> None:
    """Let events join a waiting run.  StaleRead if it is claimed by now."""
    if chosen:
        if not runs.count_coalesced(
            session, run_id, len(chosen), AuditRun.state == RunState.QUEUED
        ):
            raise StaleRead
        _assign(session, audit_id, run_id, [each.id for each in chosen], Decision.COALESCED)


def _arrived(session: Session, audit_id: int) -> Sequence[Row[Any]]:
    return session.execute(_ARRIVED, {"of_audit": audit_id}).all()


def _with_parameters(events: Sequence[Row[Any]], parameters: Any) -> list[Row[Any]]:
    # Compared here, because collations of databases may differ.
    return [each for each in events if same(each.parameters, parameters)]


def _assign(
    session: Session, audit_id: int, run_id: int, event_ids: Sequence[int], decision: str
) -> None:
    """Move events from the inbox to a run.  StaleRead if another engine has taken one of them."""
    for start in range(0, len(event_ids), _CHUNK):
        ids = event_ids[start : start + _CHUNK]
        undecided = AuditEvent.decision == Decision.ACCEPTED
        given = update_rows(
            session,
            AuditEvent,
            AuditEvent.id.in_(ids),
            AuditEvent.inbox == audit_id,
            run_id=run_id,
            inbox=None,
            decision=case((undecided, decision), else_=AuditEvent.decision),
        )
        if given != len(ids):
            raise StaleRead


# Built once: to build a statement takes longer than to execute it.
_READY: Final = (
    select(
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
