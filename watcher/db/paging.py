# SPDX-License-Identifier: Apache-2.0
"""Pages of a list: any sort key, a stable order, and one statement that can use an index."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    inspect,
    literal,
    or_,
    type_coerce,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption

from watcher.common.errors import Invalid, NotFound
from watcher.db.models.base import JsonDict, JsonList

R = TypeVar("R")
Keys = Mapping[str, SQLColumnExpression[Any]]


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list to read: *limit* rows after the one that *marker* identifies."""

    limit: int
    marker: str | int | None = None
    sort_key: str = "id"
    descending: bool = False


def sort_keys(row: type[Any], **computed: SQLColumnExpression[Any]) -> Keys:
    """The columns of a table by name, and *computed* ones.  JSON sorts as its text."""
    stored = {
        column.key: type_coerce(column, Text)
        if isinstance(column.type, JsonDict | JsonList)
        else column
        for attribute in inspect(row).column_attrs
        if (column := getattr(row, attribute.key)).key != "deleted"
    }
    return {**stored, **computed}


def fetch(
    session: Session,
    statement: Select[R],
    page: Page,
    keys: Keys,
    *options: ExecutableOption,
    marker: str = "uuid",
) -> list[R]:
    """The rows of a page, in one statement, and one more for its marker.

    *statement* selects a row class with whatever *keys* need joined; *options* load related
    rows.  Rows with equal keys are ordered by id, so that no row is missed or seen twice.
    Invalid for a sort key that is not one of *keys*, NotFound for an unknown marker.
    """
    if page.sort_key not in keys:
        raise Invalid(f"sort_key: must be one of {', '.join(sorted(keys))}.")
    key, row_id = keys[page.sort_key], keys["id"]
    order = [key, row_id] if key is not row_id else [row_id]
    wanted = statement.order_by(*(c.desc() if page.descending else c.asc() for c in order))
    if page.marker is not None:
        found = session.execute(
            statement.with_only_columns(key, row_id, maintain_column_froms=True).where(
                keys[marker] == page.marker
            )
        ).first()
        if found is None:
            raise NotFound(f"marker: there is no {str(page.marker)[:63]} in this list.")
        wanted = wanted.where(follows(session, key, row_id, found, page.descending))
    return list(session.scalars(wanted.limit(page.limit).options(*options)))


def follows(
    session: Session,
    key: SQLColumnExpression[Any],
    row_id: SQLColumnExpression[int],
    found: Any,
    descending: bool,
) -> ColumnElement[bool]:
    """Whether a row comes after the marker, where *found* is the marker's key and id.

    Nulls stay where the database puts them, because ordering by ``key IS NULL`` would keep it
    from using an index: PostgreSQL takes null for the greatest value, the others for the least.
    """
    value, marker_id = found
    later_id: ColumnElement[bool] = row_id < marker_id if descending else row_id > marker_id
    if key is row_id:
        return later_id
    nulls_first = (session.get_bind().dialect.name == "postgresql") == descending
    if value is None:
        later_null = and_(key.is_(None), later_id)
        return or_(key.is_not(None), later_null) if nulls_first else later_null
    # A parameter, because SQLAlchemy refuses to compare with a plain true or false.
    edge = literal(value)
    # A range and a condition on its edge, so that the range can use an index.
    if descending:
        rest = and_(key <= edge, or_(key < edge, later_id))
    else:
        rest = and_(key >= edge, or_(key > edge, later_id))
    return rest if nulls_first else or_(rest, key.is_(None))
