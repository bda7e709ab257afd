# SPDX-License-Identifier: Apache-2.0
"""Events: the API appends them to the inbox, and ``db.inbox`` takes them out of it."""

import datetime
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from watcher.common.alarms import AlarmMessage, WebhookFacts
from watcher.common.states import Decision
from watcher.db import models
from watcher.db.models import AuditEvent

Parameters = Mapping[str, Any]

DeliveryKey = tuple[int, str]
"""An audit id and a delivery key, which are unique together."""


def same(one: Parameters | None, other: Parameters | None) -> bool:
    """Whether two sets of parameters are equal as JSON, where 1 and true differ."""
    return (not one and not other) or (
        json.dumps(one or {}, sort_keys=True) == json.dumps(other or {}, sort_keys=True)
    )


def delivery_key(facts: WebhookFacts, message: AlarmMessage) -> DeliveryKey | None:
    return None if message.delivery is None else (facts.audit_id, _hash(message.delivery))


def known(connection: Connection, deliveries: Collection[DeliveryKey]) -> dict[DeliveryKey, Any]:
    """The recorded events of these deliveries, by delivery: uuid, decision and its reason."""
    if not deliveries:
        return {}
    rows = connection.execute(_KNOWN, {"keys": sorted(deliveries)})
    return {(row.audit_id, row.delivery_key): row for row in rows}


def append(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write events.  DBDuplicateEntry if another request has recorded a delivery meanwhile."""
    connection.execute(_INSERT, rows)


def repeat(session: Session, numbers: Mapping[str, int]) -> None:
    """Count repeated deliveries, by the UUID of their event.

    LockWait, at once, while another transaction has locked one of these events.
    """
    session.execute(_LOCK, {"uuids": sorted(numbers)})
    session.execute(_REPEAT, [{"of": uuid, "more": more} for uuid, more in numbers.items()])


def row(
    facts: WebhookFacts,
    message: AlarmMessage,
    now: datetime.datetime,
    decision: str,
    reason: str | None = None,
    parameters: Parameters | None = None,
) -> dict[str, Any]:
    """The values of an event's row, with a new UUID.

    A REJECTED event may be delivered again when the reason has gone, so its row has no delivery
    key.
    """
    kept = message.delivery is not None and decision != Decision.REJECTED
    return {
        "uuid": models.new_uuid(),
        "audit_id": facts.audit_id,
        "inbox": facts.audit_id if decision == Decision.ACCEPTED else None,
        "received_at": now,
        "source": message.source,
        "alarm_name": message.alarm_name,
        "alarm_id": message.alarm_id,
        "severity": message.severity,
        "previous_state": message.previous_state,
        "current_state": message.current_state,
        "reason": message.reason,
        "request_id": message.request_id,
        "decision": decision,
        "decision_reason": reason,
        "payload": json.dumps(message.payload) if message.stored is None else message.stored,
        "parameters": dict(parameters or {}),
        "delivery_key": _hash(message.delivery or "") if kept else None,
        "replay_of": message.replay_of,
    }


def _hash(delivery: str) -> str:
    return hashlib.sha256(delivery.encode("utf-8", "replace")).hexdigest()


_EVENTS: Final = AuditEvent.__table__
_INSERT: Final = insert(_EVENTS)  # type: ignore[arg-type]
_KNOWN: Final = select(
    _EVENTS.c.audit_id,
    _EVENTS.c.delivery_key,
    _EVENTS.c.uuid,
    _EVENTS.c.decision,
    _EVENTS.c.decision_reason,
).where(tuple_(_EVENTS.c.audit_id, _EVENTS.c.delivery_key).in_(bindparam("keys", expanding=True)))
_LOCK: Final = (
    select(_EVENTS.c.id)
    .where(_EVENTS.c.uuid.in_(bindparam("uuids", expanding=True)))
    .with_for_update(nowait=True)
)
_REPEAT: Final = (
    update(_EVENTS)  # type: ignore[arg-type]
    .where(_EVENTS.c.uuid == bindparam("of"))
    .values(deliveries=_EVENTS.c.deliveries + bindparam("more"))
)
