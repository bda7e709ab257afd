# SPDX-License-Identifier: Apache-2.0
"""Goals, as the API reads them."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from watcher.common.errors import NotFound
from watcher.db import paging
from watcher.db.lookup import identified, is_uuid
from watcher.db.models import Goal
from watcher.db.paging import Page

_LISTED = select(Goal).where(Goal.deleted == 0)
_KEYS = paging.sort_keys(Goal)


def get(session: Session, ident: str) -> Goal:
    """The goal with a UUID, or with a name in any case.  NotFound."""
    if is_uuid(ident):
        wanted = _LISTED.where(identified(Goal, ident))
    else:
        alike = func.lower(Goal.name) == ident.lower()
        wanted = _LISTED.where(alike).order_by(Goal.name != ident).limit(1)
    goal = session.scalars(wanted).first()
    if goal is None:
        raise NotFound(f"There is no goal {ident}.")
    return goal


def list_page(session: Session, page: Page) -> list[Goal]:
    return paging.fetch(session, _LISTED, page, _KEYS)
