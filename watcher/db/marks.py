# SPDX-License-Identifier: Apache-2.0
"""Marks: up to which row a table is counted in ``tallies``, so that no row is counted twice.

All rows up to the mark are counted, except those that had not ended then (the open ones).  The mark
and the ids of open rows are in ``tallies`` as well, so that they change together with the counts.
A transaction that changes counted rows locks the mark.
"""

import dataclasses
import json
from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, select

from watcher.db.models import Tally
from watcher.db.transitions import Queryable, update_rows

MARK: Final = "counted_up_to"
OPEN: Final = "open"


@dataclasses.dataclass(frozen=True)
class Mark:
    """Up to which id the rows of a table are counted, and which of them are not."""

    up_to: int = 0
    open: frozenset[int] = frozenset()

    def uncounted(self, column: Any) -> ColumnElement[bool]:
        """The condition that the row with the id in *column* is not counted yet."""
        uncounted: ColumnElement[bool] = (column > self.up_to) | column.in_(sorted(self.open))
        return uncounted


def of(tallies: Iterable[tuple[str, int]], table: str) -> Mark:
    """The mark of a table, from names and values of tallies."""
    up_to, open_ids = 0, set()
    for name, value in tallies:
        what, *labels = json.loads(name)
        if what == MARK and labels == [table]:
            up_to = value
        elif what == OPEN and labels[0] == table:
            open_ids.add(int(labels[1]))
    return Mark(up_to, frozenset(open_ids))


def locked(queryable: Queryable, table: str) -> Mark:
    """The mark of a table, locked until this transaction ends.

    DBDuplicateEntry if another transaction inserts the first one at the same time.
    """
    if not update_rows(queryable, Tally, Tally.name == _mark(table), value=Tally.value):
        queryable.execute(insert(Tally).values(name=_mark(table), value=0))
    rows = queryable.execute(
        select(Tally.name, Tally.value).where(
            (Tally.name == _mark(table)) | Tally.name.startswith(_open(table), autoescape=True)
        )
    )
    return of([(name, value) for name, value in rows], table)


def move(queryable: Queryable, table: str, old: Mark, new: Mark) -> None:
    """Replace a mark that this transaction has locked."""
    update_rows(queryable, Tally, Tally.name == _mark(table), value=new.up_to)
    _close(queryable, table, old.open - new.open)
    if opened := sorted(new.open - old.open):
        rows = [{"name": _open(table, row_id), "value": 1} for row_id in opened]
        queryable.execute(insert(Tally), rows)


def shorten(queryable: Queryable, table: str, column: Any) -> None:
    """Move a locked mark back to the last row, because SQLite uses ids of deleted rows again."""
    last = select(func.coalesce(func.max(column), 0)).scalar_subquery()
    update_rows(queryable, Tally, Tally.name == _mark(table), Tally.value > last, value=last)


def _close(queryable: Queryable, table: str, ids: Collection[int]) -> None:
    if ids:
        names = [_open(table, row_id) for row_id in sorted(ids)]
        queryable.execute(delete(Tally).where(Tally.name.in_(names)))


def _mark(table: str) -> str:
    return json.dumps([MARK, table])


def _open(table: str, row_id: int | None = None) -> str:
    """The name of the tally of an open row, or the common prefix of those of a table."""
    if row_id is None:
        return json.dumps([OPEN, table])[:-1] + ", "
    return json.dumps([OPEN, table, row_id])
