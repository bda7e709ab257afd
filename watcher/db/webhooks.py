# SPDX-License-Identifier: Apache-2.0
"""Webhooks: the settings of EVENT audits, and the facts that decide about an event."""

import datetime
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, and_, bindparam, select
from sqlalchemy.orm import Session

from watcher.common.errors import NotFound
from watcher.common.states import RunState
from watcher.common.webhook import Facts
from watcher.db.lookup import canonical_uuid, exactly
from watcher.db.models import Audit, AuditEvent, AuditRun, Strategy, Webhook

MINUTE: Final = datetime.timedelta(minutes=1)


def facts(
    session: Session, ident: str, now: datetime.datetime, default_auth: str, max_recorded: int
) -> Facts:
    """What decides about an event that reaches the audit with that uuid or name.  NotFound.

    *max_recorded* is the number of events that are recorded in a minute.
    """
    (found,) = facts_of_all(session.connection(), [ident], now, default_auth, max_recorded)
    if found is None:
        raise NotFound(f"There is no audit {ident}.")
    return found


def facts_of_all(
    connection: Connection,
    idents: Sequence[str],
    now: datetime.datetime,
    default_auth: str,
    max_recorded: int,
) -> list[Facts | None]:
    """The facts of each; None where there is no audit.  UUIDs are looked up all at once."""
    when = {"since": now - MINUTE, "last": max_recorded - 1}
    uuids = [canonical_uuid(ident) for ident in idents]
    by_uuid = {}
    if wanted := sorted({uuid for uuid in uuids if uuid is not None}):
        rows = connection.execute(_BY_UUID, {"idents": wanted, **when})
        by_uuid = {row.audit_uuid: row for row in rows}
    found: list[Facts | None] = []
    for ident, uuid in zip(idents, uuids, strict=True):
        if uuid is None:
            # Each alone: it is for the database to say which names are the same.
            row = connection.execute(_BY_NAME, {"ident": ident, **when}).first()
        else:
            row = by_uuid.get(uuid)
        found.append(None if row is None else _of_row(connection, row, default_auth, now))
    return found


def _of_row(
    connection: Connection, row: Row[Any], default_auth: str, now: datetime.datetime
) -> Facts:
    values: dict[str, Any] = dict(row._mapping)
    oldest = values.pop("oldest")
    values.update(
        auth=values["auth"] or default_auth,
        debounce=values["debounce"] or 0,
        mapping=values["mapping"] or {},
        paused=bool(values["paused"]),
        waiting_parameters=values["waiting_parameters"] or {},
        full_until=oldest and min(oldest, now) + MINUTE,  # the clock may have gone back
    )
    if values["mapping"]:
        own, schema = connection.execute(_PARAMETERS, {"audit_id": row.audit_id}).one()
        values.update(own_parameters=own or {}, schema=schema or {})
    return Facts(**values)


def _facts(condition: Any) -> Executable:
    oldest = (
        select(AuditEvent.received_at)
        .where(AuditEvent.audit_id == Audit.id, AuditEvent.received_at > bindparam("since"))
        .order_by(AuditEvent.received_at.desc())
        .limit(1)
        .offset(bindparam("last"))
        .scalar_subquery()
    )
    return (
        select(
            Audit.id.label("audit_id"),
            Audit.uuid.label("audit_uuid"),
            Audit.audit_type,
            Audit.state,
            Audit.start_time,
            Audit.end_time,
            Webhook.auth,
            Webhook.secret_hash,
            Webhook.previous_secret_hash,
            Webhook.debounce,
            Webhook.filter,
            Webhook.parameters.label("mapping"),
            Webhook.paused,
            AuditRun.id.label("waiting_id"),
            AuditRun.parameters.label("waiting_parameters"),
            oldest.label("oldest"),
        )
        .outerjoin(Webhook, Webhook.audit_id == Audit.id)
        .outerjoin(AuditRun, and_(AuditRun.audit_id == Audit.id, AuditRun.slot == RunState.QUEUED))
        .where(Audit.deleted == 0, condition)
    )


# Every request asks these, and to build them takes longer than to answer them.
_BY_UUID = _facts(Audit.uuid.in_(bindparam("idents", expanding=True)))
_BY_NAME = _facts(exactly(Audit.name, bindparam("ident")))
_PARAMETERS = (
    select(Audit.parameters, Strategy.parameters_spec)
    .outerjoin(Strategy, Strategy.id == Audit.strategy_id)
    .where(Audit.id == bindparam("audit_id"))
)
