# SPDX-License-Identifier: Apache-2.0
"""Removal of soft-deleted rows from the database, with all rows that belong to them.

``find`` looks up the ids of the rows that go, from goals down to actions, and ``remove``
deletes these rows in batches from the bottom up.  A row goes when its parent goes, so that
the foreign keys hold by construction.  Only ids are loaded: a million take some 40 MB.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Table,
    and_,
    delete,
    exists,
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

RowIds = Mapping[Table, Sequence[int]]
"""Ids of the rows that go, by their table."""

_TABLES = models.Base.metadata.tables
_PURGED = [
    _TABLES[name]
    for name in ("goals", "strategies", "audit_templates", "audits", "action_plans", "actions")
]
"""Parents before children.  A row of another table is removed with the row here that it belongs
to."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which deleted rows are removed.  None stands for any time, and for all goals.

    With ``orphans`` the live rows below them are removed, too; otherwise a row with a live row
    anywhere below it stays.
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


def find(session: Session, selection: Selection) -> RowIds:
    """The rows that go."""
    found: dict[Table, Sequence[int]] = {}
    for table in _PURGED:
        reasons = [_deleted(table, selection)]
        for column, parent in _references(table):
            reasons += [column.in_(ids) for ids in _batches(found[parent])]
        not_alive = [] if selection.orphans else [~_alive(table, table)]
        ids: set[int] = set()
        for reason in reasons:
            ids.update(session.scalars(select(table.c.id).where(reason, *not_alive)))
        found[table] = sorted(ids)
    return found


def within(session: Session, selection: Selection, most: int) -> Selection:
    """Narrow a selection to goals that go completely without exceeding *most* rows."""
    goals = _TABLES["goals"].c.id
    chosen: list[int] = []
    for goal_id in selection.goal_ids or session.scalars(select(goals).order_by(goals)).all():
        group = dataclasses.replace(selection, goal_ids=(goal_id,))
        size = sum(map(len, find(session, group).values()))
        if 0 < size <= most:
            chosen.append(goal_id)
            most -= size
    return dataclasses.replace(selection, goal_ids=tuple(chosen))


def remove(database: Database, found: RowIds) -> None:
    """Delete rows and their dependants, each ``BATCH`` of rows in one transaction."""
    for table in reversed(models.Base.metadata.sorted_tables):
        if table in found:
            for ids in _batches(found[table]):
                _change(database, table, table.c.id.in_(ids), delete(table))
            continue
        for column, owner in _references(table):
            if owner not in found:
                continue
            change: Any = update(table).values({column: None}) if column.nullable else delete(table)
            for ids in _batches(found[owner]):
                _change(database, table, column.in_(ids), change)
            if (
                "of" in column.info
            ):  # rows that were inserted while their owner was removed, or after it
                with database.reader() as session:
                    missing = _missing(session, column, owner)
                for ids in _batches(missing):
                    _change(database, table, column.in_(ids), delete(table))


def _change(database: Database, table: Table, wanted: ColumnElement[bool], change: Any) -> None:
    """Delete or update the *wanted* rows, however many these are."""
    (key,) = table.primary_key.columns
    last = 0
    while True:
        with database.reader() as session:
            following = select(key).where(key > last, wanted).order_by(key).limit(BATCH)
            keys = session.scalars(following).all()
        if not keys:
            return
        database.write(partial(_commit, table=table, rows=key.in_(keys), change=change))
        last = keys[-1]


def _commit(session: Session, table: Table, rows: ColumnElement[bool], change: Any) -> None:
    with counters.preserved(session, table, rows):
        session.execute(change.where(rows))


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _missing(session: Session, column: Column[Any], owner: Table) -> Sequence[int]:
    """The values of a reference that are ids of no row."""
    # DISTINCT lets the database skip through an index instead of reading all of it.
    values = select(column.label("id")).where(column.is_not(None)).distinct().subquery()
    known = exists(select(owner.c.id).where(owner.c.id == values.c.id))
    return session.scalars(select(values.c.id).where(~known)).all()


def _deleted(table: Table, selection: Selection) -> ColumnElement[bool]:
    """Whether a row was deleted itself."""
    deleted: list[ColumnElement[bool]] = [table.c.deleted_at.is_not(None)]
    if selection.deleted_before is not None:
        deleted.append(table.c.deleted_at < selection.deleted_before)
    if selection.goal_ids is not None:
        deleted.append(_goal_of(table).in_(selection.goal_ids))
    return and_(*deleted)


def _alive(table: Table, row: FromClause) -> ColumnElement[bool]:
    """Whether a row, or any row below it, is live."""
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
        if key.column.table in _PURGED:
            yield key.parent, key.column.table
    for column in table.columns:
        if "of" in column.info:
            yield column, _TABLES[column.info["of"]]
