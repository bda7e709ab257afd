# SPDX-License-Identifier: Apache-2.0
"""Audit templates, with their goals and strategies."""

import datetime

from sqlalchemy.orm import Session

from watcher.db import rows
from watcher.db.lookup import require_free_name
from watcher.db.models import AuditTemplate
from watcher.db.rows import Rows

_ROWS: Rows[AuditTemplate] = rows.with_goal(AuditTemplate, "audit template")
get, list_page = _ROWS.get, _ROWS.list_page


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
