# SPDX-License-Identifier: Apache-2.0
"""The events of the webhook of an audit, and the runs that they caused."""

import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager, defer, joinedload

from watcher.common.states import AuditState, Decision, RunState
from watcher.db import lookup, paging, runs
from watcher.db.lookup import canonical_uuid
from watcher.db.models import ActionPlan, Audit, AuditEvent, AuditRun, Webhook
from watcher.db.paging import Page

_EVENT_KEYS: Final[paging.Keys] = {
    "id": AuditEvent.id,
    "uuid": AuditEvent.uuid,
    "received_at": AuditEvent.received_at,
}
_RUN_KEYS: Final[paging.Keys] = {
    "id": AuditRun.id,
    "uuid": AuditRun.uuid,
    "created_at": AuditRun.created_at,
    "finished_at": AuditRun.finished_at,
}


def events_page(
    session: Session,
    audit_id: int,
    page: Page,
    decision: str | None = None,
    source: str | None = None,
    since: datetime.datetime | None = None,
) -> list[AuditEvent]:
    """Events of an audit with their runs and plans, and without their payloads."""
    wanted = _EVENTS.where(AuditEvent.audit_id == audit_id)
    if decision is not None:
        wanted = wanted.where(AuditEvent.decision == decision)
    if source is not None:
        wanted = wanted.where(AuditEvent.source == source)
    if since is not None:
        wanted = wanted.where(AuditEvent.received_at >= since)
    return paging.fetch(
        session, wanted, page, _EVENT_KEYS, _WITH_RUN, defer(AuditEvent.payload, raiseload=True)
    )


def event(session: Session, audit_id: int, uuid: str) -> AuditEvent:
    """One event of an audit with its run and plan.  NotFound."""
    one = _EVENTS.where(AuditEvent.audit_id == audit_id, AuditEvent.uuid == canonical_uuid(uuid))
    return lookup.first(session, one.options(_WITH_RUN), f"event {uuid[:63]} of this audit")


def runs_page(session: Session, audit_id: int, page: Page) -> list[AuditRun]:
    """Runs of an audit, with their plans."""
    wanted = _RUNS.where(AuditRun.audit_id == audit_id)
    return paging.fetch(session, wanted, page, _RUN_KEYS, _WITH_PLAN)


def run(session: Session, audit_id: int, uuid: str) -> AuditRun:
    """One run of an audit with its plan.  NotFound."""
    one = _RUNS.where(AuditRun.audit_id == audit_id, AuditRun.uuid == canonical_uuid(uuid))
    return lookup.first(session, one.options(_WITH_PLAN), f"run {uuid[:63]} of this audit")


def next_run(
    session: Session, audit: Audit, webhook: Webhook, now: datetime.datetime
) -> tuple[datetime.datetime | None, str | None]:
    """When the next run of an audit may begin, and what it waits for until then.

    If no run waits, that is the run of an event that arrives *now*.  None while the audit accepts
    no events.
    """
    if audit.state not in AuditState.TRIGGERABLE:
        return None, None
    waiting = runs.waiting(session, audit.id)
    if waiting is not None:
        earliest, reason = waiting.not_before, waiting.wait_reason
    else:
        earliest, reason = now + datetime.timedelta(seconds=webhook.debounce), None
    ready_at = runs.cooled_down_at(session, audit, webhook, now)
    if ready_at is not None and ready_at > earliest:
        return ready_at, runs.COOLDOWN
    return earliest, reason


def last_run(session: Session, audit_id: int) -> AuditRun | None:
    """The youngest run of an audit that has begun, with its plan."""
    return session.scalars(
        select(AuditRun)
        .where(
            AuditRun.audit_id == audit_id,
            AuditRun.state != RunState.QUEUED,
            AuditRun.started_at.is_not(None),
        )
        .order_by(AuditRun.id.desc())
        .limit(1)
        .options(joinedload(AuditRun.action_plan))
    ).first()


def counts(session: Session, audit_id: int) -> dict[str, int]:
    """Events of an audit by decision, with those that have no row (unrecorded events)."""
    number = dict.fromkeys(Decision.ALL, 0)
    in_runs = dict[str, int]()
    for decision, count, with_run in session.execute(
        select(AuditEvent.decision, func.count(), func.count(AuditEvent.run_id))
        .where(AuditEvent.audit_id == audit_id)
        .group_by(AuditEvent.decision)
    ):
        number[decision], in_runs[decision] = count, with_run
    # ``coalesced_count`` of a run is the number of its COALESCED events, recorded or not.
    joined = session.scalar(
        select(func.sum(AuditRun.coalesced_count)).where(
            AuditRun.audit_id == audit_id, AuditRun.coalesced_count > 0
        )
    )
    unrecorded = int(joined or 0) - in_runs.get(Decision.COALESCED, 0)
    number[Decision.COALESCED] += max(0, unrecorded)
    return number


_RUNS = select(AuditRun).outerjoin(AuditRun.action_plan)
_WITH_PLAN = contains_eager(AuditRun.action_plan).load_only(
    ActionPlan.uuid, ActionPlan.deleted, raiseload=True
)
_EVENTS = select(AuditEvent).outerjoin(AuditEvent.run).outerjoin(AuditRun.action_plan)
_WITH_RUN = contains_eager(AuditEvent.run).options(_WITH_PLAN)
