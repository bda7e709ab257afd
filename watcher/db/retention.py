# SPDX-License-Identifier: Apache-2.0
"""Forgetting: what would otherwise grow for ever, as the door may stand open."""

import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from watcher.db import counters
from watcher.db.models import AuditEvent, AuditRun

BATCH = 1000


def forget_events(session: Session, before: datetime.datetime) -> int:
    """Remove up to ``BATCH`` events from *before* a time; their number.

    Events of a run that waits or is under way stay, whatever their age.
    """
    active = exists().where(AuditRun.id == AuditEvent.run_id, AuditRun.slot.is_not(None))
    ids = session.scalars(
        select(AuditEvent.id)
        .where(AuditEvent.received_at < before, ~active)
        .order_by(AuditEvent.id)
        .limit(BATCH)
    ).all()
    if ids:
        rows = AuditEvent.id.in_(ids)
        with counters.preserved(session, AuditEvent.__table__, rows):
            session.execute(
                delete(AuditEvent).where(rows).execution_options(synchronize_session=False)
            )
    return len(ids)
