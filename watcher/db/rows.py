# SPDX-License-Identifier: Apache-2.0
"""How users read the rows of a table: one by its UUID or name, or a page of all of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, contains_eager
from sqlalchemy.sql.base import ExecutableOption

from watcher.db import lookup, paging
from watcher.db.lookup import called, identified
from watcher.db.models import Goal, Strategy
from watcher.db.paging import Keys, Page

R = TypeVar("R")
Condition = Callable[[Any], ColumnElement[bool]]

OF_GOAL: Final[Condition] = functools.partial(identified, Goal)
OF_STRATEGY: Final[Condition] = functools.partial(identified, Strategy)
"""Filters of rows by the UUID or name of their goal and their strategy."""


def with_goal(row: Any, what: str) -> "Rows[Any]":
    """Rows that have a goal, and perhaps a strategy: audits and their templates."""
    goal, strategy = contains_eager(row.goal), contains_eager(row.strategy)
    return Rows(
        row,
        what,
        joined=(row.goal, row.strategy),
        keys=paging.sort_keys(
            row,
            goal_uuid=Goal.uuid,
            goal_name=Goal.name,
            strategy_uuid=Strategy.uuid,
            strategy_name=Strategy.name,
        ),
        filters={"goal": OF_GOAL, "strategy": OF_STRATEGY},
        shown=(
            goal.load_only(Goal.uuid, Goal.name, Goal.deleted, raiseload=True),
            strategy.load_only(Strategy.uuid, Strategy.name, Strategy.deleted, raiseload=True),
        ),
        whole=(goal, strategy),
    )


class Rows(Generic[R]):
    """The live rows of a table, for users.

    *what* is what users call a row.  *joined* are the relationships that the other arguments need.
    A list can be sorted by *keys*, by default the columns of the row, and *filters* make conditions
    of what users ask for.  *shown* are the options of lists, *whole* those of a single row, by
    default the same.
    """

    def __init__(
        self,
        row: Any,
        what: str,
        *,
        joined: Sequence[Any] = (),
        keys: Keys | None = None,
        filters: Mapping[str, Condition] | None = None,
        shown: Sequence[ExecutableOption] = (),
        whole: Sequence[ExecutableOption] | None = None,
    ) -> None:
        self._row, self._what = row, what
        self._listed: Select[Any] = select(row)
        for relationship in joined:
            self._listed = self._listed.outerjoin(relationship)
        if hasattr(row, "deleted"):
            self._listed = self._listed.where(row.deleted == 0)
        self._keys = keys or paging.sort_keys(row)
        self._filters = filters or {}
        self._shown, self._whole = shown, shown if whole is None else whole

    def get(self, session: Session, ident: str, **filters: Any) -> R:
        """The row with that UUID or name.  NotFound."""
        wanted = self._filtered(filters).where(called(self._row, ident)).options(*self._whole)
        fresh = wanted.execution_options(populate_existing=True)
        row: R = lookup.first(session, fresh, f"{self._what} {ident[:63]}")
        return row

    def list_page(
        self, session: Session, page: Page, *, marker: str = "uuid", **filters: Any
    ) -> list[R]:
        """A page of all rows, or of those that *filters* leave."""
        return paging.fetch(
            session, self._filtered(filters), page, self._keys, *self._shown, marker=marker
        )

    def _filtered(self, filters: Mapping[str, Any]) -> Select[Any]:
        return self._listed.where(
            *(self._filters[name](value) for name, value in filters.items() if value is not None)
        )
