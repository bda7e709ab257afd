# SPDX-License-Identifier: Apache-2.0
"""Webhooks: the settings of EVENT audits, and the facts that decide about an event."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, and_, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from watcher.common.alarms import PendingRun, WebhookFacts
from watcher.common.errors import NotFound
from watcher.common.states import RunState
from watcher.db.lookup import canonical_uuid, exactly
from watcher.db.models import Audit, AuditEvent, AuditRun, Strategy, Webhook

MINUTE: Final = datetime.timedelta(minutes=1)


def read(
    session: Session, ident: str, now: datetime.datetime, default_auth: str, max_recorded: int
) -> WebhookFacts:
    """The facts that decide about an event for the audit with that uuid or name.  NotFound.

    *max_recorded* is the number of events that are recorded in a minute.
    """
    (found,) = read_all(session.connection(), [ident], now, default_auth, max_recorded)
    if found is None:
        raise NotFound(f"There is no audit {ident}.")
    return found


def read_all(
    connection: Connection,
    idents: Sequence[str],
    now: datetime.datetime,
    default_auth: str,
    max_recorded: int,
) -> list[WebhookFacts | None]:
    """The facts of each audit; None if there is none.

    One statement reads all UUIDs, one more each name, and more are needed for a mapping.
    """
    rate = {"since": now - MINUTE, "offset": max_recorded - 1}
    uuids = [canonical_uuid(ident) for ident in idents]
    by_uuid = {}
    if wanted := sorted({uuid for uuid in uuids if uuid is not None}):
        rows = connection.execute(_BY_UUID, {"idents": wanted, **rate})
        by_uuid = {row.audit_uuid: row for row in rows}
    found: list[WebhookFacts | None] = []
    for ident, uuid in zip(idents, uuids, strict=True):
        if uuid is None:
            # One statement for each name, because the database decides which names are equal.
            row = connection.execute(_BY_NAME, {"ident": ident, **rate}).first()
        else:
            row = by_uuid.get(uuid)
        found.append(None if row is None else _of_row(connection, row, default_auth, now))
    return found


def limited_until(
    session: Session, audit_id: int, at: datetime.datetime, max_recorded: int, before: int
) -> datetime.datetime | None:
    """The end of the rate limit, if it was reached at *at*; else None.

    Events with ids below *before* count.
    """
    oldest = session.scalar(
        select(AuditEvent.received_at)
        .where(
            AuditEvent.audit_id == audit_id,
            AuditEvent.received_at > at - MINUTE,
            AuditEvent.received_at <= at,
            AuditEvent.id < before,
        )
        .order_by(AuditEvent.received_at.desc())
        .limit(1)
        .offset(max_recorded - 1)
    )
    return oldest and oldest + MINUTE


def _of_row(
    connection: Connection, row: Row[Any], default_auth: str, now: datetime.datetime
) -> WebhookFacts:
    values: dict[str, Any] = dict(row._mapping)
    oldest = values.pop("oldest")
    run_id, of_run = values.pop("run_id"), values.pop("run_parameters")
    event_id, of_event = values.pop("event_id"), values.pop("event_parameters")
    values.update(
        auth=values["auth"] or default_auth,
        debounce=values["debounce"] or 0,
        mapping=values["mapping"] or {},
        paused=bool(values["paused"]),
        limited_until=oldest and min(oldest, now) + MINUTE,  # the clock may have been set back
    )
    if values["mapping"]:
        own, schema = connection.execute(_PARAMETERS, {"audit_id": row.audit_id}).one()
        values.update(own_parameters=own or {}, schema=schema or {})
    in_inbox: Mapping[int, Any] = {} if event_id is None else {event_id: of_event}
    if in_inbox and values["mapping"] and oldest:
        in_inbox = {
            each.id: each.parameters
            for each in connection.execute(_IN_INBOX, {"audit_id": row.audit_id})
        }
    pending_runs = [
        PendingRun(parameters or {}, event_id=id_) for id_, parameters in in_inbox.items()
    ]
    if run_id is not None:
        pending_runs.insert(0, PendingRun(of_run or {}, run_id=run_id))
    return WebhookFacts(**values, pending_runs=pending_runs)


def _statement(condition: Any) -> Executable:
    # The event that has to be a minute old before one more is recorded; null below the limit.
    oldest = (
        select(AuditEvent.received_at)
        .where(AuditEvent.audit_id == Audit.id, AuditEvent.received_at > bindparam("since"))
        .order_by(AuditEvent.received_at.desc())
        .limit(1)
        .offset(bindparam("offset"))
        .scalar_subquery()
    )
    youngest = select(func.max(AuditEvent.id)).where(AuditEvent.inbox == Audit.id).scalar_subquery()
    in_inbox = aliased(AuditEvent)
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
            AuditRun.id.label("run_id"),
            AuditRun.parameters.label("run_parameters"),
            in_inbox.id.label("event_id"),
            in_inbox.parameters.label("event_parameters"),
            oldest.label("oldest"),
        )
        .outerjoin(Webhook, Webhook.audit_id == Audit.id)
        .outerjoin(AuditRun, and_(AuditRun.audit_id == Audit.id, AuditRun.slot == RunState.QUEUED))
        .outerjoin(in_inbox, and_(in_inbox.inbox == Audit.id, in_inbox.id == youngest))
        .where(Audit.deleted == 0, condition)
    )


# Built once: to build a statement takes longer than to execute it.
_BY_UUID = _statement(Audit.uuid.in_(bindparam("idents", expanding=True)))
_BY_NAME = _statement(exactly(Audit.name, bindparam("ident")))
_IN_INBOX = select(AuditEvent.id, AuditEvent.parameters).where(
    AuditEvent.inbox == bindparam("audit_id")
)
_PARAMETERS = (
    select(Audit.parameters, Strategy.parameters_spec)
    .outerjoin(Strategy, Strategy.id == Audit.strategy_id)
    .where(Audit.id == bindparam("audit_id"))
)
