# SPDX-License-Identifier: Apache-2.0
"""Marks: up to which row a table is counted in ``tallies``, so that no row is counted twice.

All rows up to the mark are counted, except those that had not ended then (the open ones).  The mark
and the ids of open rows are in ``tallies`` as well, so that they change together with the counts.
A transaction that changes counted rows locks the mark.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.orm import Session

from watcher.db.models import Tally
from watcher.db.transitions import update_rows

MARK: Final = "counted_up_to"
OPEN: Final = "open"
KINDS: Final = (MARK, OPEN)


@dataclasses.dataclass(frozen=True)
class Mark:
    """Up to which id the rows of a table are counted, and which of them are not."""

    up_to: int = 0
    open: frozenset[int] = frozenset()

    def uncounted(self, column: Any) -> ColumnElement[bool]:
        """The condition that the row with the id in *column* is not counted yet."""
        uncounted: ColumnElement[bool] = (column > self.up_to) | column.in_(sorted(self.open))
        return uncounted


def name(*labels: str | int) -> str:
    """The name of the tally with these labels."""
    return json.dumps(labels, ensure_ascii=False)


def tallies(session: Session, *conditions: ColumnElement[bool]) -> dict[tuple[str, ...], int]:
    """The values of tallies, by their labels."""
    found = session.execute(select(Tally.name, Tally.value).where(*conditions))
    return {tuple(map(str, json.loads(name))): value for name, value in found}


def of(tallies: Mapping[tuple[str, ...], int], table: str) -> Mark:
    """The mark of a table."""
    open_ids = (int(labels[2]) for labels in tallies if labels[:2] == (OPEN, table))
    return Mark(tallies.get((MARK, table), 0), frozenset(open_ids))


def locked(session: Session, table: str) -> Mark:
    """The mark of a table, locked until this transaction ends.

    DBDuplicateEntry if another transaction inserts the first one at the same time.
    """
    mark = Tally.name == name(MARK, table)
    if not update_rows(session, Tally, mark, value=Tally.value):
        session.execute(insert(Tally).values(name=name(MARK, table), value=0))
    is_open = Tally.name.startswith(name(OPEN, table).removesuffix("]"), autoescape=True)
    return of(tallies(session, mark | is_open), table)


def move(session: Session, table: str, old: Mark, new: Mark) -> None:
    """Replace a mark that this transaction has locked."""
    update_rows(session, Tally, Tally.name == name(MARK, table), value=new.up_to)
    if closed := [name(OPEN, table, row_id) for row_id in sorted(old.open - new.open)]:
        session.execute(delete(Tally).where(Tally.name.in_(closed)))
    if opened := [name(OPEN, table, row_id) for row_id in sorted(new.open - old.open)]:
        session.execute(insert(Tally), [{"name": each, "value": 1} for each in opened])


def shorten(session: Session, table: str, column: Any) -> None:
    """Move a locked mark back to the last row, because SQLite uses ids of deleted rows again."""
    last = select(func.coalesce(func.max(column), 0)).scalar_subquery()
    mark = Tally.name == name(MARK, table)
    update_rows(session, Tally, mark, Tally.value > last, value=last)
