# SPDX-License-Identifier: Apache-2.0
"""Scoring engines, as the API reads them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.errors import NotFound
from watcher.db import paging
from watcher.db.lookup import identified
from watcher.db.models import ScoringEngine
from watcher.db.paging import Page

_KEYS = paging.sort_keys(ScoringEngine)


def get(session: Session, ident: str) -> ScoringEngine:
    """The scoring engine with a UUID or name.  NotFound."""
    wanted = select(ScoringEngine).where(identified(ScoringEngine, ident))
    engine = session.scalars(wanted).first()
    if engine is None:
        raise NotFound(f"There is no scoring engine {ident}.")
    return engine


def list_page(session: Session, page: Page) -> list[ScoringEngine]:
    listed = select(ScoringEngine).where(ScoringEngine.deleted == 0)
    return paging.fetch(session, listed, page, _KEYS)
