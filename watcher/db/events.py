# SPDX-License-Identifier: Apache-2.0
"""What reached the webhooks, and the run that each event queued or joined."""

import datetime
import json
from typing import Any

from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.db import models, runs
from watcher.db.models import AuditEvent, AuditRun


def accept(
    session: Session, audit_id: int, event: Event, now: datetime.datetime
) -> tuple[AuditEvent, AuditRun]:
    """Write an event, with the run that acts on it.

    The event joins the run that waits, or queues one.  Call it through
    ``Database.write``: when two events queue at once, the second one starts over
    and joins.
    """
    run = runs.waiting(session, audit_id)
    if run is not None and runs.join(session, run.id):
        decision = Decision.COALESCED
    else:
        run = runs.enqueue(session, audit_id, now, not_before=now)
        decision = Decision.QUEUED
    return _write(session, audit_id, event, now, decision=decision, run_id=run.id), run


def ignore(
    session: Session, audit_id: int, event: Event, now: datetime.datetime, reason: str
) -> AuditEvent:
    """Write an event that causes no run, and the named reason for that."""
    return _write(session, audit_id, event, now, decision=Decision.IGNORED, decision_reason=reason)


def _write(
    session: Session, audit_id: int, event: Event, now: datetime.datetime, **values: Any
) -> AuditEvent:
    row = AuditEvent(
        uuid=models.new_uuid(),
        audit_id=audit_id,
        received_at=now,
        source=event.source,
        alarm_name=event.alarm_name,
        alarm_id=event.alarm_id,
        severity=event.severity,
        previous_state=event.previous_state,
        current_state=event.current_state,
        reason=event.reason,
        request_id=event.request_id,
        payload=json.dumps(event.payload),
        **values,
    )
    session.add(row)
    session.flush()
    return row
