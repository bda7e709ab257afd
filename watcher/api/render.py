# SPDX-License-Identifier: Apache-2.0
"""How values of rows are spelled in answers."""

import datetime
from typing import Any


def aware(time: datetime.datetime | None) -> str | None:
    """A time with its zone: when a row was created, changed or deleted, and all of webhooks."""
    return None if time is None else f"{time.isoformat()}+00:00"


def naive(time: datetime.datetime | None) -> str | None:
    """A time as clients of audits and plans know it, UTC without saying so."""
    return None if time is None else time.isoformat()


def record(row: Any) -> dict[str, str | None]:
    """The times of the record of a row."""
    return {
        "created_at": aware(row.created_at),
        "updated_at": aware(row.updated_at),
        "deleted_at": aware(row.deleted_at),
    }


def related(name: str, row: Any) -> dict[str, str | None]:
    """UUID and name of a related row, null when there is none or it is deleted."""
    uuid = uuid_of(row)
    return {f"{name}_uuid": uuid, f"{name}_name": row.name if uuid else None}


def uuid_of(row: Any) -> str | None:
    """UUID of a related row, null when there is none or it is deleted."""
    return row.uuid if row is not None and not row.deleted else None
