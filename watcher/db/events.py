# SPDX-License-Identifier: Apache-2.0
"""What reached the webhooks, and the run that each event queued or joined."""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.common.webhook import Facts
from watcher.db import models, runs
from watcher.db.models import AuditEvent, AuditRun

Parameters = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What became of one event."""

    decision: str
    reason: str | None = None
    event_uuid: str | None = None
    """None if there is no row: the event was one too many in its minute."""
    run_id: int | None = None
    repeated: bool = False
    """The sender had delivered it before."""


def covered(facts: Facts, parameters: Parameters) -> bool:
    """Whether an event needs no write, since all that it would change is a count.

    The run that waits was seen QUEUED in the database after the event had come, so
    whoever claims it reads the cloud as it is after the event, even if that happens
    before the answer.
    """
    return (
        facts.full_until is not None
        and facts.waiting_id is not None
        and same(facts.waiting_parameters, parameters)
    )


def due(facts: Facts, now: datetime.datetime) -> datetime.datetime:
    """Before when a run that an event queues now does not begin."""
    quiet = now + datetime.timedelta(seconds=facts.debounce)
    return max(quiet, facts.full_until) if facts.full_until else quiet


def repeated(session: Session, facts: Facts, event: Event) -> Recorded | None:
    """What became of the event when it was delivered first; None if this is the first time."""
    if event.delivery is None:
        return None
    row = (
        session.connection()
        .execute(_DELIVERED, {"audit_id": facts.audit_id, "delivery_key": key(event.delivery)})
        .first()
    )
    return row and Recorded(row.decision, row.decision_reason, row.uuid, row.run_id, repeated=True)


def accept(
    session: Session, facts: Facts, event: Event, parameters: Parameters, now: datetime.datetime
) -> Recorded:
    """Write an event, with the run that acts on it.

    The event joins the run that waits, or queues one.  Call it through
    ``Database.write``: when two events queue at once, the second one starts over
    and joins.
    """
    first = _count_repetition(session, facts, event)
    if first is not None:
        return first
    run_id = _join(session, facts)
    if run_id is None:
        # Recorded however many there are: it is one event a run, and a run should be
        # able to say where it came from.
        run = runs.enqueue(session, facts.audit_id, now, due(facts, now), parameters)
        uuid = _write(session, facts, event, now, Decision.QUEUED, None, run.id, parameters)
        return Recorded(Decision.QUEUED, None, uuid, run.id)
    if facts.full_until is not None and _has(session, run_id, parameters):
        return Recorded(Decision.COALESCED, run_id=run_id)
    uuid = _write(session, facts, event, now, Decision.COALESCED, None, run_id, parameters)
    return Recorded(Decision.COALESCED, None, uuid, run_id)


def refuse(
    session: Session,
    facts: Facts,
    event: Event,
    decision: str,
    reason: str | None,
    now: datetime.datetime,
) -> Recorded:
    """Write an event that causes no run, and the named reason for that.

    One that is REJECTED may be delivered again when the reason is gone, so its
    delivery is not kept.
    """
    first = _count_repetition(session, facts, event)
    if first is not None:
        return first
    if facts.full_until is not None:
        return Recorded(decision, reason)
    if decision == Decision.REJECTED:
        event = dataclasses.replace(event, delivery=None)
    return Recorded(decision, reason, _write(session, facts, event, now, decision, reason))


def split(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """Move the events of a run that is over, whose parameters it did not have, to the next run.

    Each set of parameters gets a run like this, one after another, the oldest first.
    """
    others = [
        (event_id, parameters or {})
        for event_id, parameters in session.execute(_PARAMETERS_OF, {"run_id": run.id})
        if not same(parameters, run.parameters)
    ]
    if not others:
        return
    waiting = runs.waiting(session, run.audit_id)
    queued = waiting is None
    if waiting is None:
        waiting = runs.enqueue(session, run.audit_id, now, now, others[0][1])
    elif _has_event(session, waiting.id, waiting.parameters):
        # Else events that keep coming would go first for ever.
        _set_parameters(session, waiting.id, others[0][1])
    chosen = AuditEvent.id.in_([event_id for event_id, _ in others])
    first = session.scalars(select(func.min(AuditEvent.received_at)).where(chosen)).one()
    runs.backdate(session, waiting.id, first)
    session.execute(
        update(AuditEvent)
        .where(chosen)
        .values(run_id=waiting.id)
        .execution_options(synchronize_session=False)
    )
    moved = len(others) - queued
    count_coalesced(session, run.id, -moved)
    count_coalesced(session, waiting.id, moved)


def count_coalesced(session: Session, run_id: int, number: int) -> None:
    """Count events without a row of their own on the run that covers them."""
    session.execute(
        update(AuditRun)
        .where(AuditRun.id == run_id)
        .values(coalesced_count=AuditRun.coalesced_count + number)
        .execution_options(synchronize_session=False)
    )


def same(one: Parameters | None, other: Parameters | None) -> bool:
    """As JSON, where 1 is not true."""
    return (not one and not other) or (
        json.dumps(one or {}, sort_keys=True) == json.dumps(other or {}, sort_keys=True)
    )


def _join(session: Session, facts: Facts) -> int | None:
    """The id of the waiting run, one event richer; None if none waits."""
    if facts.waiting_id is not None and runs.join(session, facts.waiting_id):
        return facts.waiting_id
    waiting = runs.waiting(session, facts.audit_id)
    return waiting.id if waiting is not None and runs.join(session, waiting.id) else None


def _has(session: Session, run_id: int, parameters: Parameters) -> bool:
    """Whether the run, or one that follows for an event of it, runs with these parameters."""
    own = session.scalars(select(AuditRun.parameters).where(AuditRun.id == run_id)).one()
    return same(own, parameters) or _has_event(session, run_id, parameters)


def _has_event(session: Session, run_id: int, parameters: Parameters | None) -> bool:
    # Compared here, since databases compare text in ways of their own.
    rows = session.execute(_PARAMETERS_OF, {"run_id": run_id})
    return any(same(found, parameters) for _, found in rows)


def _set_parameters(session: Session, run_id: int, parameters: Parameters) -> None:
    session.execute(
        update(AuditRun)
        .where(AuditRun.id == run_id)
        .values(parameters=dict(parameters))
        .execution_options(synchronize_session=False)
    )


def _count_repetition(session: Session, facts: Facts, event: Event) -> Recorded | None:
    first = repeated(session, facts, event)
    if first is not None:
        session.execute(
            update(AuditEvent)
            .where(AuditEvent.uuid == first.event_uuid)
            .values(deliveries=AuditEvent.deliveries + 1)
            .execution_options(synchronize_session=False)
        )
    return first


def key(delivery: str) -> str:
    return hashlib.sha256(delivery.encode("utf-8", "replace")).hexdigest()


def row(
    facts: Facts,
    event: Event,
    now: datetime.datetime,
    decision: str,
    reason: str | None,
    run_id: int | None = None,
    parameters: Parameters | None = None,
) -> dict[str, Any]:
    """The values of an event's row, with a new UUID."""
    return {
        "uuid": models.new_uuid(),
        "audit_id": facts.audit_id,
        "run_id": run_id,
        "received_at": now,
        "source": event.source,
        "alarm_name": event.alarm_name,
        "alarm_id": event.alarm_id,
        "severity": event.severity,
        "previous_state": event.previous_state,
        "current_state": event.current_state,
        "reason": event.reason,
        "request_id": event.request_id,
        "decision": decision,
        "decision_reason": reason,
        "payload": json.dumps(event.payload) if event.stored is None else event.stored,
        "parameters": dict(parameters or {}),
        "delivery_key": event.delivery and key(event.delivery),
    }


def _write(session: Session, *what: Any) -> str:
    values = row(*what)
    session.connection().execute(_INSERT, values)
    return str(values["uuid"])


# Each event of a storm asks these; they have no need of the ORM, which takes its time.
_INSERT = insert(AuditEvent.__table__)  # type: ignore[arg-type]
_DELIVERED = select(
    AuditEvent.uuid, AuditEvent.decision, AuditEvent.decision_reason, AuditEvent.run_id
).where(
    AuditEvent.audit_id == bindparam("audit_id"),
    AuditEvent.delivery_key == bindparam("delivery_key"),
)
_PARAMETERS_OF = (
    select(AuditEvent.id, AuditEvent.parameters)
    .where(AuditEvent.run_id == bindparam("run_id"))
    .order_by(AuditEvent.id)
)
