# SPDX-License-Identifier: Apache-2.0
"""The migrations that action plans have made, or have tried to make."""

import dataclasses
import datetime
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from watcher.common.states import ActionState, PlanState
from watcher.db.models import Action, ActionPlan, Audit


@dataclasses.dataclass(frozen=True, slots=True)
class EarlierMove:
    """A migration of a server that an action plan made (or failed to make)."""

    server: str
    """Uuid."""
    source: str
    """Hostname."""
    destination: str
    """Hostname; empty if the scheduler picked the host."""
    succeeded: bool
    ended: datetime.datetime
    """Naive UTC."""
    audit_id: int
    goal_id: int
    reason: str = ""
    """Why it failed."""


def since(session: Session, moment: datetime.datetime) -> Sequence[EarlierMove]:
    """The migrations that ended after *moment*, of the plans of all audits, oldest first.

    Actions of deleted plans are DELETED, and therefore not among them.  Neither are those that
    FAILED before the cloud was asked.
    """
    recent = or_(ActionPlan.updated_at >= moment, ActionPlan.state.in_(PlanState.UNDER_WAY))
    rows = session.execute(
        select(
            Action.input_parameters,
            Action.state,
            Action.updated_at,
            Action.status_message,
            Audit.id,
            Audit.goal_id,
        )
        .join(ActionPlan, ActionPlan.id == Action.action_plan_id)
        .join(Audit, Audit.id == ActionPlan.audit_id)
        .where(
            recent,
            Action.action_type == "migrate",
            _was_requested(),
            Action.updated_at >= moment,
        )
        .order_by(Action.updated_at, Action.id)
    )
    return [
        EarlierMove(
            server=(parameters or {}).get("resource_id") or "",
            source=(parameters or {}).get("source_node") or "",
            destination=(parameters or {}).get("destination_node") or "",
            succeeded=state == ActionState.SUCCEEDED,
            ended=ended,
            audit_id=audit_id,
            goal_id=goal_id,
            reason=message or "",
        )
        for parameters, state, ended, message, audit_id, goal_id in rows
    ]


def _was_requested() -> ColumnElement[bool]:
    """Of actions: succeeded, or failed after its request."""
    before = ActionState.FAILED_IN % ("%", ActionState.CHECK) + "%"
    message = func.coalesce(Action.status_message, "")
    failed = and_(Action.state == ActionState.FAILED, message.not_like(before))
    return or_(Action.state == ActionState.SUCCEEDED, failed)
