# SPDX-License-Identifier: Apache-2.0
"""The events of the webhook of an audit, and the runs that they caused."""

import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager, defer, joinedload

from watcher.common.states import AuditState, Decision, RunState
from watcher.db import runs
from watcher.db.models import ActionPlan, Audit, AuditEvent, AuditRun, Webhook
from watcher.db.rows import Rows

_WITH_PLAN: Final = contains_eager(AuditRun.action_plan).load_only(
    ActionPlan.uuid, ActionPlan.deleted, raiseload=True
)
_WITH_RUN: Final = contains_eager(AuditEvent.run).options(_WITH_PLAN)

EVENTS: Final = Rows[AuditEvent](
    AuditEvent,
    "event of this audit",
    joined=(AuditEvent.run, AuditRun.action_plan),
    keys={
        "id": AuditEvent.id,
        "uuid": AuditEvent.uuid,
        "received_at": AuditEvent.received_at,
    },
    filters={
        "audit_id": lambda audit_id: AuditEvent.audit_id == audit_id,
        "decision": lambda decision: AuditEvent.decision == decision,
        "source": lambda source: AuditEvent.source == source,
        "since": lambda time: AuditEvent.received_at >= time,
    },
    shown=(_WITH_RUN, defer(AuditEvent.payload, raiseload=True)),
    whole=(_WITH_RUN,),
)
RUNS: Final = Rows[AuditRun](
    AuditRun,
    "run of this audit",
    joined=(AuditRun.action_plan,),
    keys={
        "id": AuditRun.id,
        "uuid": AuditRun.uuid,
        "created_at": AuditRun.created_at,
        "finished_at": AuditRun.finished_at,
    },
    filters={"audit_id": lambda audit_id: AuditRun.audit_id == audit_id},
    shown=(_WITH_PLAN,),
)


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
