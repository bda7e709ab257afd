# SPDX-License-Identifier: Apache-2.0
"""Audit templates, with their goals and strategies."""

import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from watcher.db import lookup, paging
from watcher.db.lookup import identified, related_to, require_free_name
from watcher.db.models import AuditTemplate, Goal, Strategy
from watcher.db.paging import Page

_WITH_RELATED = (
    select(AuditTemplate)
    .outerjoin(AuditTemplate.goal)
    .outerjoin(AuditTemplate.strategy)
    .where(AuditTemplate.deleted == 0)
)
_RELATED = (contains_eager(AuditTemplate.goal), contains_eager(AuditTemplate.strategy))
_NAMED = (
    _RELATED[0].load_only(Goal.uuid, Goal.name, Goal.deleted),
    _RELATED[1].load_only(Strategy.uuid, Strategy.name, Strategy.deleted),
)
_KEYS = paging.sort_keys(
    AuditTemplate,
    goal_uuid=Goal.uuid,
    goal_name=Goal.name,
    strategy_uuid=Strategy.uuid,
    strategy_name=Strategy.name,
)


def get(session: Session, ident: str) -> AuditTemplate:
    """The template with a UUID or name, with its goal and strategy.  NotFound."""
    wanted = _WITH_RELATED.where(identified(AuditTemplate, ident)).options(*_RELATED)
    return lookup.first(session, wanted, f"audit template {ident}")


def list_page(
    session: Session, page: Page, goal: str | None = None, strategy: str | None = None
) -> list[AuditTemplate]:
    """A page of all templates, or of those of a goal or strategy (UUID or name)."""
    wanted = related_to(_WITH_RELATED, goal, strategy)
    return paging.fetch(session, wanted, page, _KEYS, *_NAMED)


def save(session: Session, template: AuditTemplate) -> None:
    """Write a new or changed template.  Conflict if its name is taken.

    Call it through ``Database.write``: if two transactions take a name at once, one is tried again.
    """
    require_free_name(session, template, "an audit template")
    session.add(template)
    session.flush()


def delete(session: Session, template: AuditTemplate, now: datetime.datetime) -> None:
    """Soft-delete a template.  Its name is free again; audits made from the template stay."""
    template.deleted, template.deleted_at = template.id, now
    session.flush()
