# SPDX-License-Identifier: Apache-2.0
"""Removing for good what was deleted, with everything that hangs on it.

A purge first notes the ids of the rows that go in temporary tables, a statement a table
from goals down to actions, and then removes these rows in batches from the bottom up.
No row is loaded, and what the foreign keys need is right by construction: a row goes
when its parent goes.
"""

import dataclasses
import datetime
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from oslo_db import api as db_api
from oslo_db.exception import DBDuplicateEntry
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    MetaData,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from watcher.common.errors import NotFound
from watcher.db import counters, models
from watcher.db.lookup import exactly
from watcher.db.session import Database

BATCH = 1000

_TABLES = models.Base.metadata.tables
_PURGED = [
    _TABLES[name]
    for name in (
        "goals",
        "strategies",
        "audit_templates",
        "audits",
        "action_plans",
        "actions",
    )
]
"""Parents before children.  Rows of other tables go with the one of these they belong to."""

_notes = MetaData()
_DOOMED = {
    table: Table(
        f"doomed_{table.name}",
        _notes,
        Column("id", Integer, primary_key=True, autoincrement=False),
        prefixes=["TEMPORARY"],
    )
    for table in _PURGED
}


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which deleted rows go.  None stands for any time, and for all goals.

    With ``orphans`` the living rows below them go too; without, a row with a living
    row anywhere below it stays.
    """

    deleted_before: datetime.datetime | None = None
    goal_ids: tuple[int, ...] | None = None
    orphans: bool = True


def deleted_goals(session: Session, ident: str) -> tuple[int, ...]:
    """Ids of the deleted goals with this uuid or name.  NotFound if there are none."""
    goal = models.Goal
    ids = session.scalars(
        select(goal.id).where(
            or_(goal.uuid == ident, exactly(goal.name, ident)), goal.deleted_at.is_not(None)
        )
    ).all()
    if not ids:
        raise NotFound(f"goal: '{ident}' is not the uuid or name of a deleted goal.")
    return tuple(ids)


class Purge:
    """One purge, on a connection of its own for as long as its ``with`` lasts."""

    def __init__(self, database: Database) -> None:
        self._connection = database.engine.connect()

    def __enter__(self) -> "Purge":
        # A detached connection is closed and not pooled, and its temporary tables go
        # with it.
        self._connection.detach()
        with self._connection.begin():
            _notes.create_all(self._connection, checkfirst=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def select(self, selection: Selection) -> dict[str, int]:
        """Note the rows that go; how many, by table."""
        with self._connection.begin():
            for table in _PURGED:
                self._connection.execute(delete(_DOOMED[table]))
            for table in _PURGED:
                self._connection.execute(
                    insert(_DOOMED[table]).from_select(["id"], _doom(table, selection))
                )
            return {table.name: self._count(table) for table in _PURGED}

    def within(self, selection: Selection, most: int) -> Selection:
        """Narrow a selection to goals that go completely without exceeding *most* rows."""
        goals = _TABLES["goals"]
        with self._connection.begin():
            ids = self._connection.scalars(select(goals.c.id).order_by(goals.c.id)).all()
        chosen: list[int] = []
        for goal_id in selection.goal_ids or ids:
            group = dataclasses.replace(selection, goal_ids=(goal_id,))
            size = sum(self.select(group).values())
            if 0 < size <= most:
                chosen.append(goal_id)
                most -= size
        return dataclasses.replace(selection, goal_ids=tuple(chosen))

    def remove(self) -> None:
        """Delete the noted rows, and what belongs to them, in transactions of a bearable size."""
        for table in reversed(models.Base.metadata.sorted_tables):
            if table in _DOOMED:
                self._in_batches(table, table.c.id, _DOOMED[table], delete(table))
                continue
            for column, owner in _references(table):
                change: Any = (
                    update(table).values({column: None}) if column.nullable else delete(table)
                )
                self._in_batches(table, column, _DOOMED[owner], change)
                if "of" in column.info:  # what came while its owner was removed, or after that
                    self._remove_orphans(table, column, owner)

    def _count(self, table: Table) -> int:
        return self._connection.scalar(select(func.count()).select_from(_DOOMED[table])) or 0

    def _remove_orphans(self, table: Table, column: Column[Any], owner: Table) -> None:
        known = exists(select(owner.c.id).where(owner.c.id == column))
        self._change(table, ~known, delete(table))

    def _in_batches(
        self, table: Table, column: ColumnElement[Any], doomed: Table, change: Any
    ) -> None:
        self._change(table, column.in_(select(doomed.c.id)), change)

    def _change(self, table: Table, wanted: ColumnElement[bool], change: Any) -> None:
        (key,) = table.primary_key.columns
        last = 0
        while True:
            with self._connection.begin():
                keys = self._connection.scalars(
                    select(key).where(key > last, wanted).order_by(key).limit(BATCH)
                ).all()
            if not keys:
                return
            _commit(self._connection, table, key.in_(keys), change)
            last = keys[-1]


@db_api.wrap_db_retry(  # type: ignore[untyped-decorator]
    max_retries=5,
    retry_on_deadlock=True,
    exception_checker=lambda error: isinstance(error, DBDuplicateEntry),
)
def _commit(connection: Connection, table: Table, rows: ColumnElement[bool], change: Any) -> None:
    with connection.begin(), counters.preserved(connection, table, rows):
        connection.execute(change.where(rows))


def _doom(table: Table, selection: Selection) -> Any:
    """Ids of the rows of a table that go, once those of its parents are noted."""
    deleted: list[ColumnElement[bool]] = [table.c.deleted_at.is_not(None)]
    if selection.deleted_before is not None:
        deleted.append(table.c.deleted_at < selection.deleted_before)
    if selection.goal_ids is not None:
        deleted.append(_goal_of(table).in_(selection.goal_ids))
    reasons = [and_(*deleted)]
    for column, parent in _references(table):
        reasons.append(column.in_(select(_DOOMED[parent].c.id)))
        if selection.orphans and selection.goal_ids is None:
            present = exists(select(parent.c.id).where(parent.c.id == column))
            reasons.append(and_(column.is_not(None), ~present))
    doomed = select(table.c.id).where(or_(*reasons))
    return doomed if selection.orphans else doomed.where(~_alive(table, table))


def _alive(table: Table, row: FromClause) -> ColumnElement[bool]:
    """Whether a row lives, or one anywhere below it does."""
    lives: list[ColumnElement[bool]] = [row.c.deleted_at.is_(None)]
    for child in _PURGED:
        for column, parent in _references(child):
            if parent is table:
                below = child.alias()
                lives.append(
                    exists(
                        select(below.c.id).where(
                            below.c[column.name] == row.c.id, _alive(child, below)
                        )
                    )
                )
    return or_(*lives)


def _goal_of(table: Table) -> ColumnElement[int]:
    if table.name == "goals":
        return table.c.id
    if "goal_id" in table.c:
        return table.c.goal_id
    audits, plans = _TABLES["audits"], _TABLES["action_plans"]
    if table is plans:
        return select(audits.c.goal_id).where(audits.c.id == table.c.audit_id).scalar_subquery()
    return (
        select(audits.c.goal_id)
        .join(plans, plans.c.audit_id == audits.c.id)
        .where(plans.c.id == table.c.action_plan_id)
        .scalar_subquery()
    )


def _references(table: Table) -> Iterator[tuple[Column[Any], Table]]:
    """The columns of a table that point to a purged table, with that table."""
    for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
        if key.column.table in _DOOMED:
            yield key.parent, key.column.table
    for column in table.columns:
        if "of" in column.info:
            yield column, _TABLES[column.info["of"]]
