# SPDX-License-Identifier: Apache-2.0
"""Action plans: what a run of an audit recommends, with its actions and indicators."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from watcher.common.states import ActionState, PlanState, sources
from watcher.db import models
from watcher.db.models import Action, ActionPlan, EfficacyIndicator


class Planned(Protocol):
    """A step of a plan that is about to be written."""

    @property
    def uuid(self) -> str: ...

    @property
    def action_type(self) -> str: ...

    @property
    def input_parameters(self) -> Mapping[str, Any]: ...

    @property
    def parents(self) -> Sequence[str]: ...


def create(
    session: Session,
    *,
    audit_id: int,
    strategy_id: int,
    state: str,
    global_efficacy: list[Any],
    indicators: Sequence[Mapping[str, Any]],
    actions: Sequence[Planned],
    now: datetime.datetime,
) -> ActionPlan:
    """Write a plan with all that belongs to it, in three statements whatever its size.

    An indicator has a ``name``, ``description``, ``unit`` and ``value``.
    """
    plan = ActionPlan(
        uuid=models.new_uuid(),
        audit_id=audit_id,
        strategy_id=strategy_id,
        state=state,
        global_efficacy=global_efficacy,
        created_at=now,
    )
    session.add(plan)
    session.flush()
    if actions:
        session.execute(insert(Action), [_action_row(plan.id, action, now) for action in actions])
    if indicators:
        session.execute(
            insert(EfficacyIndicator),
            [_indicator_row(plan.id, indicator, now) for indicator in indicators],
        )
    return plan


def replace_recommended(session: Session, audit_id: int, state: str, now: datetime.datetime) -> int:
    """Give all RECOMMENDED plans of an audit *state*, SUPERSEDED or CANCELLED; their number."""
    return _retire(session, state, now, ActionPlan.audit_id == audit_id)


def expire(session: Session, before: datetime.datetime, now: datetime.datetime) -> int:
    """Make the RECOMMENDED plans from *before* a time SUPERSEDED; the number of them."""
    return _retire(session, PlanState.SUPERSEDED, now, ActionPlan.created_at < before)


def _retire(session: Session, state: str, now: datetime.datetime, condition: Any) -> int:
    if PlanState.RECOMMENDED not in sources(PlanState.BY_ENGINE, state):
        raise ValueError(f"A RECOMMENDED plan cannot become {state}")
    retired = session.execute(
        update(ActionPlan)
        .where(
            ActionPlan.state == PlanState.RECOMMENDED,
            ActionPlan.deleted == 0,
            condition,
        )
        .values(state=state, updated_at=now)
        .execution_options(synchronize_session=False)
    )
    return retired.rowcount  # type: ignore[attr-defined, no-any-return]


def _action_row(plan_id: int, action: Planned, now: datetime.datetime) -> dict[str, Any]:
    return {
        "uuid": action.uuid,
        "action_plan_id": plan_id,
        "action_type": action.action_type,
        "input_parameters": dict(action.input_parameters),
        "state": ActionState.PENDING,
        "parents": list(action.parents),
        "created_at": now,
    }


def _indicator_row(
    plan_id: int, indicator: Mapping[str, Any], now: datetime.datetime
) -> dict[str, Any]:
    return {
        "action_plan_id": plan_id,
        "name": indicator["name"],
        "description": indicator["description"],
        "unit": indicator["unit"],
        "data": indicator["value"],
        "created_at": now,
    }
