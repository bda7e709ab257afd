# SPDX-License-Identifier: Apache-2.0
"""Operations that can be repeated: each does nothing if it was done before.

MySQL commits each of them by itself, so a revision that was killed starts again in the middle.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op


def create_table(name: str, *parts: Any, **options: Any) -> None:
    """Create a table, or add the columns that it lacks."""
    if not _inspector().has_table(name):
        op.create_table(name, *parts, **options)
        return
    present = _columns(name)
    for part in parts:
        if isinstance(part, sa.Column) and part.name not in present:
            op.add_column(name, part)


def drop_table(name: str) -> None:
    if _inspector().has_table(name):
        op.drop_table(name)


def add_column(table: str, column: "sa.Column[Any]") -> None:
    if column.name not in _columns(table):
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    if name in _columns(table):
        op.drop_column(table, name)


def create_index(name: str, table: str, columns: Sequence[str], **options: Any) -> None:
    if name not in _indexes(table):
        op.create_index(name, table, columns, **options)


def drop_index(name: str, table: str) -> None:
    if name in _indexes(table):
        op.drop_index(name, table)


def _inspector() -> sa.Inspector:
    """A new one each time, because an inspector caches what it has read."""
    return sa.inspect(op.get_bind())


def _columns(table: str) -> set[str]:
    return {column["name"] for column in _inspector().get_columns(table)}


def _indexes(table: str) -> set[str | None]:
    return {index["name"] for index in _inspector().get_indexes(table)}
