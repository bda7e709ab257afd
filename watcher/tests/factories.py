# SPDX-License-Identifier: Apache-2.0
"""Rows for tests: only what a test is about needs to be named."""

import datetime
import itertools
from typing import Any

from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.states import AuditState, AuditType
from watcher.common.webhook import Facts
from watcher.db import events, models

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


def facts(audit_id: int = 1, **values: Any) -> Facts:
    values.setdefault("audit_uuid", "9a9b1e2c-0c5c-4a3e-8f5e-1a2b3c4d5e6f")
    values.setdefault("audit_type", AuditType.EVENT)
    values.setdefault("state", AuditState.PENDING)
    return Facts(audit_id=audit_id, **values)


def accepted(
    session: Session,
    audit_id: int,
    now: datetime.datetime,
    event: Event | None = None,
    parameters: dict[str, Any] | None = None,
    **values: Any,
) -> events.Recorded:
    """An event that was let in; *values* are facts."""
    event = event or Event(source="generic")
    return events.accept(session, facts(audit_id, **values), event, parameters or {}, now)


def _added(session: Session, row: Any) -> Any:
    session.add(row)
    session.flush()
    return row
