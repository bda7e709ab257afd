# SPDX-License-Identifier: Apache-2.0
"""The inbox: accepted events that no run acts on yet.

::

    accepted ── take ──▶ queued, with a run of its own, or coalesced, with the one that waits
        ▲                    │
        └──── give back ─────┘   the run ends, and has done nothing for them

The API appends to it (``db.events``) and does no more, so that no run, plan or user can make an
alarm wait.  Decision engines take events out: an audit's events queue a run or join the one
that waits, and whoever claims a run gives it all that have come until then.

An audit has one waiting run, and a run one set of parameters.  Events that want others stay in
the inbox until the waiting run is claimed; then the oldest of them queues the next one.

A run is locked before its events, everywhere, and an audit by none that joins.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, case, select, update
from sqlalchemy.orm import Session

from watcher.common.alarms import earliest_start
from watcher.common.states import AuditState, Decision, RunState
from watcher.db import runs, webhook_facts
from watcher.db.events import AUDIT_CANCELLED, same
from watcher.db.models import Audit, AuditEvent, AuditRun, Webhook
from watcher.db.session import Lost
from watcher.db.transitions import update_rows

_CHUNK: Final = 1000
"""Events that one statement names."""

_TAKEN: Final = (*AuditState.TRIGGERABLE, AuditState.SUSPENDED)
"""States of audits whose events get a run.  That of a suspended one waits until it goes on."""


def ready(session: Session) -> list[int]:
    """Ids of the audits with events that ``take`` can take, who waits longest first."""
    found = session.execute(_READY)
    return list(
        dict.fromkeys(
            row.inbox for row in found if row.run_id is None or same(row.of_run, row.parameters)
        )
    )


def take(session: Session, audit_id: int, max_recorded: int, now: datetime.datetime) -> None:
    """Queue a run for the events of an audit, or let them join the one that waits.

    *max_recorded* is the number of events that are recorded in a minute: the run of those
    beyond waits until the minute is over.  LockWait, at once, while somebody writes the audit;
    Lost or DBDuplicateEntry if another engine takes them, too.
    """
    arrived = _arrived(session, audit_id)
    if not arrived:
        return
    waiting = runs.waiting(session, audit_id)
    if waiting is not None:
        _join(session, audit_id, waiting.id, _like(arrived, waiting.parameters))
        return
    # Else the run, which refers to the audit, would wait for whoever writes that.
    audit = session.execute(_AUDIT, {"of_audit": audit_id}).first()
    if audit is None or audit.deleted or audit.state not in _TAKEN:
        session.execute(_REFUSE, {"of_audit": audit_id})
        return
    first = arrived[0]
    chosen = _like(arrived, first.parameters)
    received = min(first.received_at, now)  # the API's clock may be ahead, or have gone back
    full_until = webhook_facts.full_until(session, audit_id, received, max_recorded, first.id)
    not_before = earliest_start(received, audit.debounce or 0, full_until)
    run = runs.enqueue(session, audit_id, received, not_before, first.parameters)
    if first.decision == Decision.ACCEPTED:
        _give(session, audit_id, run.id, [first.id], Decision.QUEUED)
        chosen = chosen[1:]
        joined = len(chosen)
    else:
        joined = len(chosen) - any(each.decision == Decision.QUEUED for each in chosen)
    _give(session, audit_id, run.id, [each.id for each in chosen], Decision.COALESCED)
    runs.count_coalesced(session, run.id, joined)


def join(session: Session, run: AuditRun) -> None:
    """Give a run that is being claimed all events of its parameters that have come."""
    chosen = _like(_arrived(session, run.audit_id), run.parameters)
    if chosen:
        _give(session, run.audit_id, run.id, [each.id for each in chosen], Decision.COALESCED)
        runs.count_coalesced(session, run.id, len(chosen))
        session.refresh(run, ["coalesced_count"])


def give_back(session: Session, run: AuditRun) -> None:
    """Put the events of a run that ends, and that did nothing for them, into the inbox again.

    What was decided about them stays: they are counted as QUEUED or COALESCED already.
    """
    decisions = session.scalars(
        select(AuditEvent.decision).where(AuditEvent.run_id == run.id)
    ).all()
    if not decisions:
        return
    update_rows(session, AuditEvent, AuditEvent.run_id == run.id, run_id=None, inbox=run.audit_id)
    runs.count_coalesced(session, run.id, (Decision.QUEUED in decisions) - len(decisions))


def _join(session: Session, audit_id: int, run_id: int, chosen: Sequence[Row[Any]]) -> None:
    """Let events join a waiting run.  Lost if it is claimed by now."""
    if chosen:
        if not runs.count_coalesced(
            session, run_id, len(chosen), AuditRun.state == RunState.QUEUED
        ):
            raise Lost
        _give(session, audit_id, run_id, [each.id for each in chosen], Decision.COALESCED)


def _arrived(session: Session, audit_id: int) -> Sequence[Row[Any]]:
    return session.execute(_ARRIVED, {"of_audit": audit_id}).all()


def _like(events: Sequence[Row[Any]], parameters: Any) -> list[Row[Any]]:
    # Compared here, since databases compare text in ways of their own.
    return [each for each in events if same(each.parameters, parameters)]


def _give(
    session: Session, audit_id: int, run_id: int, event_ids: Sequence[int], decision: str
) -> None:
    """Take events out of the inbox, for a run.  Lost if another engine has taken one of them."""
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
            raise Lost


# Engines ask these all the time, and to build them takes longer than to answer them.
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
