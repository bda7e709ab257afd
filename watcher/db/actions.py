# SPDX-License-Identifier: Apache-2.0
"""The actions of action plans."""

from collections.abc import Iterable, Mapping

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, contains_eager

from watcher.common.errors import Conflict, Invalid
from watcher.common.states import ActionState, PlanState
from watcher.db import paging
from watcher.db.models import Action, ActionDescription, ActionPlan, Audit, PlanReasons
from watcher.db.models.base import MESSAGE_LENGTH
from watcher.db.rows import Rows
from watcher.db.transitions import move, update_rows

_ROWS = Rows[Action](
    Action,
    "action",
    joined=(Action.action_plan,),
    keys=paging.sort_keys(Action, action_plan_uuid=ActionPlan.uuid),
    # The plan and the audit of an action may be deleted.
    filters={
        "action_plan_uuid": lambda uuid: ActionPlan.uuid == uuid,
        "audit_uuid": lambda uuid: ActionPlan.audit_id.in_(
            select(Audit.id).where(Audit.uuid == uuid)
        ),
    },
    shown=(
        contains_eager(Action.action_plan).load_only(
            ActionPlan.uuid, ActionPlan.state, ActionPlan.deleted, raiseload=True
        ),
    ),
)
get, list_page = _ROWS.get, _ROWS.list_page

SKIPPED_BY_USER = "Action skipped by user."
_SKIPPABLE_IN = (PlanState.RECOMMENDED, PlanState.PENDING)


def descriptions(session: Session) -> Mapping[str, str]:
    """The description of each action type, by its name."""
    rows = select(ActionDescription.action_type, ActionDescription.description)
    return dict(session.execute(rows.where(ActionDescription.deleted == 0)).all())


def reasons(session: Session, actions: Iterable[Action]) -> Mapping[str, str]:
    """Action uuid to its reason; actions without one are left out.

    The result may also have other actions of the same plans.
    """
    plan_ids = {action.action_plan_id for action in actions}
    found = session.scalars(
        select(PlanReasons.reasons).where(PlanReasons.action_plan_id.in_(plan_ids))
    )
    return {uuid: reason for reasons in found for uuid, reason in reasons.items()}


def skip(session: Session, action: Action, reason: str | None) -> None:
    """Make an action SKIPPED, so that the applier does not execute it, or change the reason of one
    that is SKIPPED.

    Conflict unless it is PENDING, in a plan that has not begun.
    """
    message = _message(reason)
    if not _change_reason(session, action, message) and not move(
        session,
        Action,
        ActionState.BY_USER,
        ActionState.SKIPPED,
        Action.id == action.id,
        exists().where(ActionPlan.id == Action.action_plan_id, ActionPlan.state.in_(_SKIPPABLE_IN)),
        Action.deleted == 0,
        status_message=message,
    ):
        action = get(session, action.uuid)
        raise Conflict(
            f"state: an action can be skipped while it is PENDING and its plan is "
            f"{' or '.join(_SKIPPABLE_IN)}; this one is {action.state}, "
            f"its plan {action.action_plan.state}."
        )


def explain(session: Session, action: Action, reason: str | None) -> None:
    """Give the reason why a user skipped an action.  Conflict unless it is SKIPPED."""
    if not _change_reason(session, action, _message(reason)):
        raise Conflict(
            f"status_message: can be given to actions that are SKIPPED; this one is {action.state}."
        )


def _change_reason(session: Session, action: Action, message: str) -> bool:
    skipped = (Action.id == action.id, Action.state == ActionState.SKIPPED, Action.deleted == 0)
    return update_rows(session, Action, *skipped, status_message=message) == 1


def _message(reason: str | None) -> str:
    if not reason:
        return SKIPPED_BY_USER
    message = f"{SKIPPED_BY_USER} Reason: {reason}"
    if len(message) > MESSAGE_LENGTH:
        allowed = MESSAGE_LENGTH - len(message) + len(reason)
        raise Invalid(f"status_message: is longer than the {allowed} characters that are allowed.")
    return message
