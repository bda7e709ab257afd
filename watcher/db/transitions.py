# SPDX-License-Identifier: Apache-2.0
"""Compare and swap: a row changes only if it meets a condition.

``move`` and ``soft_delete`` are the only ways that a state changes.
"""

from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.orm import Session

from watcher.common import states

Queryable = Session | Connection


def update_rows(session: Queryable, row: Any, *conditions: Any, **values: Any) -> int:
    """Write *values* to the rows of a model that meet all *conditions*; how many these are."""
    if "state" in values:
        raise ValueError("A state changes only through move() and soft_delete().")
    return _update(session, row, *conditions, **values)


def move(
    session: Queryable,
    row: Any,
    table: states.Transitions,
    target: str,
    *conditions: Any,
    **values: Any,
) -> int:
    """Give the rows that meet all *conditions* the state *target*; the number of these rows.

    A row whose state may not become *target*, by *table*, stays as it is.  *values* are written
    along with the state.  For a single row, 0 means that somebody else was faster.
    """
    allowed = row.state.in_(states.sources(table, target))
    return _update(session, row, allowed, *conditions, state=target, **values)


def soft_delete(session: Queryable, row: Any, now: Any, *conditions: Any) -> int:
    """Soft-delete the rows that meet all *conditions* and are not deleted; how many these are."""
    state = {"state": states.DELETED} if hasattr(row, "state") else {}
    return _update(
        session, row, row.deleted == 0, *conditions, deleted=row.id, deleted_at=now, **state
    )


def _update(session: Queryable, row: Any, *conditions: Any, **values: Any) -> int:
    statement = update(row).where(*conditions).values(**values)
    # No object in the session is brought up to date: that would be one more query.
    done = session.execute(statement.execution_options(synchronize_session=False))
    return done.rowcount  # type: ignore[attr-defined, no-any-return]
