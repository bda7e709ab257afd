# SPDX-License-Identifier: Apache-2.0
"""Rows for tests: only what a test is about needs to be named."""

import datetime
import functools
import itertools
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.alarms import AlarmMessage, WebhookFacts
from watcher.common.states import AuditState, AuditType, Decision
from watcher.db import events, inbox, models
from watcher.db.models import AuditEvent
from watcher.db.session import Database

_number = itertools.count(1)


def goal(session: Session, **values: Any) -> models.Goal:
    values.setdefault("name", f"goal-{next(_number)}")
    values.setdefault("display_name", values["name"])
    values.setdefault("efficacy_specification", [])
    return _added(session, models.Goal(**values))


def strategy(session: Session, goal: models.Goal, **values: Any) -> models.Strategy:
    values.setdefault("name", f"strategy-{next(_number)}")
    values.setdefault("display_name", values["name"])
    values.setdefault("parameters_spec", {})
    return _added(session, models.Strategy(goal_id=goal.id, **values))


def audit(
    session: Session,
    goal: models.Goal | None = None,
    strategy: models.Strategy | None = None,
    **values: Any,
) -> models.Audit:
    if goal is None and strategy is None:
        goal = globals()["goal"](session)
    values.setdefault("name", f"audit-{next(_number)}")
    values.setdefault("audit_type", AuditType.ONESHOT)
    values.setdefault("goal_id", goal.id if goal else strategy.goal_id if strategy else None)
    values.setdefault("strategy_id", strategy.id if strategy else None)
    return _added(session, models.Audit(**values))


def action_plan(
    session: Session, audit: models.Audit, strategy: models.Strategy, **values: Any
) -> models.ActionPlan:
    return _added(session, models.ActionPlan(audit_id=audit.id, strategy_id=strategy.id, **values))


def action(session: Session, action_plan: models.ActionPlan, **values: Any) -> models.Action:
    values.setdefault("action_type", "nop")
    values.setdefault("input_parameters", {"message": "hello"})
    return _added(session, models.Action(action_plan_id=action_plan.id, **values))


def facts(audit_id: int = 1, **values: Any) -> WebhookFacts:
    values.setdefault("audit_uuid", "9a9b1e2c-0c5c-4a3e-8f5e-1a2b3c4d5e6f")
    values.setdefault("audit_type", AuditType.EVENT)
    values.setdefault("state", AuditState.PENDING)
    return WebhookFacts(audit_id=audit_id, **values)


def accepted(
    session: Session,
    audit_id: int,
    now: datetime.datetime,
    event: AlarmMessage | None = None,
    parameters: dict[str, Any] | None = None,
    max_recorded: int = 60,
) -> AuditEvent:
    """An event that was let in and that an engine has looked at."""
    row = appended(session, audit_id, now, event, parameters)
    inbox.queue_run(session, audit_id, max_recorded, now)
    inbox.join_waiting(session)
    session.refresh(row)
    return row


def appended(
    session: Session,
    audit_id: int,
    now: datetime.datetime,
    event: AlarmMessage | None = None,
    parameters: dict[str, Any] | None = None,
    decision: str = Decision.ACCEPTED,
    reason: str | None = None,
) -> AuditEvent:
    """An event as the API writes it."""
    event = event or AlarmMessage(source="generic")
    row = events.row(facts(audit_id), event, now, decision, reason, parameters)
    events.append(session.connection(), [row])
    return session.scalars(select(AuditEvent).where(AuditEvent.uuid == row["uuid"])).one()


def _added(session: Session, row: Any) -> Any:
    session.add(row)
    session.flush()
    return row


def take(
    database: Database,
    max_recorded: int = 60,
    now: datetime.datetime = datetime.datetime(9999, 1, 1),
) -> None:
    """What an engine does with the inbox."""
    with database.reader() as session:
        ready = inbox.ready(session)
    for audit_id in ready.audit_ids:
        database.write(
            functools.partial(
                inbox.queue_run, audit_id=audit_id, max_recorded=max_recorded, now=now
            )
        )
    database.write(inbox.join_waiting)
