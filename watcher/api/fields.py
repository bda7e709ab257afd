# SPDX-License-Identifier: Apache-2.0
"""The form of fields: UUIDs in requests; times and related rows in responses."""

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from watcher.common.errors import Invalid, NotFound
from watcher.db import audits
from watcher.db.lookup import canonical_uuid, is_uuid


def aware(time: datetime.datetime | None) -> str | None:
    """A time with its zone: for the record of rows, and for all times of webhooks."""
    return None if time is None else f"{time.isoformat()}+00:00"


def naive(time: datetime.datetime | None) -> str | None:
    """A time in UTC without its zone, as clients of audits and plans expect it."""
    return None if time is None else time.isoformat()


def columns(row: Any, names: str) -> dict[str, Any]:
    """Columns of a row as they are; *names* has spaces between them."""
    return {name: getattr(row, name) for name in names.split()}


def times(row: Any, *names: str) -> dict[str, str | None]:
    """Columns of a row, as times with their zone."""
    return {name: aware(getattr(row, name)) for name in names}


def record(row: Any) -> dict[str, str | None]:
    """When a row was created, changed and deleted."""
    return times(row, "created_at", "updated_at", "deleted_at")


def related(name: str, row: Any) -> dict[str, str | None]:
    """UUID and name of a related row, null when there is none or it is deleted."""
    uuid = uuid_of(row)
    return {f"{name}_uuid": uuid, f"{name}_name": row.name if uuid else None}


def uuid_of(row: Any) -> str | None:
    """UUID of a related row, null when there is none or it is deleted."""
    return row.uuid if row is not None and not row.deleted else None


def require_uuid(text: str, field: str) -> str:
    """*text* as the database spells it.  Invalid if it is no uuid."""
    uuid = canonical_uuid(text)
    if uuid is None:
        raise Invalid(f"{field}: '{text[:60]}' is not a uuid.")
    return uuid


def of_audit(session: Session, filters: Mapping[str, str]) -> dict[str, str]:
    """*filters* whose ``audit_uuid``, the uuid or name of an audit, is replaced by the uuid.

    An audit with that uuid need not be there: plans outlive theirs.  Invalid for a name that no
    audit has.
    """
    ident = filters.get("audit_uuid")
    if ident is None:
        return {**filters}
    if is_uuid(ident):
        return {**filters, "audit_uuid": require_uuid(ident, "audit_uuid")}
    try:
        return {**filters, "audit_uuid": audits.get(session, ident).uuid or ""}
    except NotFound:
        raise Invalid(f"audit_uuid: there is no audit '{ident[:63]}'.") from None
