# SPDX-License-Identifier: Apache-2.0
"""Strategies, as the API reads them: with their goals."""

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from watcher.common.errors import NotFound
from watcher.db import paging
from watcher.db.lookup import identified
from watcher.db.models import Goal, Strategy
from watcher.db.paging import Page

_LISTED = select(Strategy).outerjoin(Strategy.goal).where(Strategy.deleted == 0)
_GOAL = contains_eager(Strategy.goal).load_only(Goal.uuid, Goal.name, Goal.deleted)
_KEYS = paging.sort_keys(Strategy, goal_uuid=Goal.uuid, goal_name=Goal.name)


def get(session: Session, ident: str) -> Strategy:
    """The strategy with a UUID or name, and its goal.  NotFound."""
    wanted = _LISTED.where(identified(Strategy, ident)).options(_GOAL)
    strategy = session.scalars(wanted).first()
    if strategy is None:
        raise NotFound(f"There is no strategy {ident}.")
    return strategy


def list_page(session: Session, page: Page, goal: str | None = None) -> list[Strategy]:
    """A page of all strategies, or of those of the goal with a UUID or name."""
    listed = _LISTED if goal is None else _LISTED.where(identified(Goal, goal))
    return paging.fetch(session, listed, page, _KEYS, _GOAL)
