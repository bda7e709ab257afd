# SPDX-License-Identifier: Apache-2.0
"""The queries and changes of an applier for a plan that it has claimed."""

import collections
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from watcher.common.errors import LostClaim
from watcher.common.states import ActionState, PlanState
from watcher.db import action_plans, plan_claims, reviews
from watcher.db.models import (
    Action,
    ActionDescription,
    ActionOrigin,
    ActionPlan,
    ActionPlanLease,
    Audit,
    Strategy,
)
from watcher.db.models.base import shortened
from watcher.db.transitions import move, update_rows

SOME_SKIPPED = "At least one action of the plan was skipped."


@dataclasses.dataclass(frozen=True, slots=True)
class HeldAction:
    """An action as the applier found it."""

    id: int
    uuid: str
    action_type: str
    parameters: Mapping[str, Any]
    parents: Sequence[str]
    state: str


@dataclasses.dataclass(frozen=True)
class HeldPlan:
    """A plan and its actions as the applier found them, for one holder of its lease."""

    id: int
    uuid: str
    audit_uuid: str
    strategy: str
    state: str
    actions: Sequence[HeldAction]
    engine: str
    """The applier process: ``Holder.engine``."""
    attempt: int = 1
    """1, plus the number of appliers that have died since the last end of an action."""


@dataclasses.dataclass(frozen=True)
class PlanEnd:
    """How a plan ended, and which of its actions ended with it."""

    old_state: str
    state: str
    actions: Mapping[str, Sequence[int]]
    """Their ids, by the state that they were in."""


def load(session: Session, plan_id: int, engine: str) -> HeldPlan:
    """The plan that *engine* holds, in two statements whatever its size."""
    uuid, state, audit_uuid, strategy, attempt = session.execute(
        select(
            ActionPlan.uuid,
            ActionPlan.state,
            Audit.uuid,
            Strategy.name,
            ActionPlanLease.attempt,
        )
        .join(Audit, Audit.id == ActionPlan.audit_id)
        .join(Strategy, Strategy.id == ActionPlan.strategy_id)
        .outerjoin(ActionPlanLease, ActionPlanLease.action_plan_id == ActionPlan.id)
        .where(ActionPlan.id == plan_id)
    ).one()
    rows = session.execute(
        select(
            Action.id,
            Action.uuid,
            Action.action_type,
            Action.input_parameters,
            Action.parents,
            Action.state,
        )
        .where(Action.action_plan_id == plan_id, Action.deleted == 0)
        .order_by(Action.id)
    )
    actions = [
        HeldAction(id_, uuid, action_type, parameters or {}, parents or (), state or "")
        for id_, uuid, action_type, parameters, parents, state in rows
    ]
    return HeldPlan(
        plan_id, uuid or "", audit_uuid or "", strategy, state or "", actions, engine, attempt or 1
    )


def move_action(
    session: Session,
    plan: HeldPlan,
    action: HeldAction,
    target: str,
    message: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> str | None:
    """Give an action the state *target*, and keep its *origin*, if there is one, with it.

    If its state was changed meanwhile, nothing is written, and the result is that state.  LostClaim
    if the plan is no longer held.
    """
    values = {} if message is None else {"status_message": shortened(message)}
    held = (Action.id == action.id, plan_claims.held(plan.id, plan.engine))
    if move(session, Action, ActionState.BY_ENGINE, target, *held, **values):
        if plan.attempt > 1 and target in ActionState.OVER:
            plan_claims.progress(session, plan.id, plan.engine)
        if origin is not None:
            session.add(ActionOrigin(action_id=action.id, origin=dict(origin)))
        return None
    if not plan_claims.held_states(session, [plan.id], plan.engine):
        raise _lost(plan)
    return session.scalars(select(Action.state).where(Action.id == action.id)).one() or ""


def origins(session: Session, plan_id: int) -> Mapping[int, Mapping[str, Any]]:
    """Action id to origin, of the actions to revert: none unless an action of the plan FAILED."""
    if not count(session, plan_id)[ActionState.FAILED]:
        return {}
    rows = session.execute(
        select(ActionOrigin.action_id, ActionOrigin.origin)
        .join(Action, Action.id == ActionOrigin.action_id)
        .where(Action.action_plan_id == plan_id, Action.state == ActionState.SUCCEEDED)
    )
    return dict(rows.all())


def record_revert(session: Session, plan: HeldPlan, action: HeldAction, message: str) -> None:
    """Write how the revert of an action ended, and remove its origin and the review of its plan.

    LostClaim if the plan is no longer held.
    """
    held = (Action.id == action.id, plan_claims.held(plan.id, plan.engine))
    if not update_rows(session, Action, *held, status_message=shortened(message)):
        raise _lost(plan)
    session.execute(delete(ActionOrigin).where(ActionOrigin.action_id == action.id))
    reviews.remove(session, plan.id)
    plan_claims.progress(session, plan.id, plan.engine)


def finish(session: Session, plan: HeldPlan, now: datetime.datetime, *remarks: str) -> PlanEnd:
    """End a plan without actions under way, and release it.  LostClaim if it is no longer held.

    The *remarks* are sentences for its users, on what was rolled back and which hosts were enabled.
    """
    counts = count(session, plan.id)
    outcome = PlanState.FAILED if counts[ActionState.FAILED] else PlanState.SUCCEEDED
    skipped = [SOME_SKIPPED] if counts[ActionState.SKIPPED] else []
    failed = _failed(session, plan, counts) if counts[ActionState.FAILED] else ""
    message = with_remarks(session, plan, *skipped, *remarks, failed)
    values = {"status_message": message} if message else {}
    end = PlanEnd(PlanState.ONGOING, outcome, {})
    if not _move_plan(session, plan, outcome, ActionPlan.state == PlanState.ONGOING, **values):
        # A user has cancelled the plan.
        ended = _end_actions(session, plan, {ActionState.PENDING: ActionState.CANCELLED})
        end = PlanEnd(PlanState.CANCELLING, PlanState.CANCELLED, ended)
        if not _move_plan(session, plan, end.state, **values):
            raise _lost(plan)
    reviews.plan_ended(session, plan.id, end.state, now)
    _close(session, plan)
    return end


def with_remarks(session: Session, plan: HeldPlan, *remarks: str) -> str | None:
    """The sentences of the decision engine about a plan, followed by the *remarks* of the
    applier."""
    said = session.scalar(select(ActionPlan.status_message).where(ActionPlan.id == plan.id))
    new = [remark for remark in remarks if remark and remark not in (said or "")]
    return shortened(" ".join(filter(None, [said, *new]))) or None


def _failed(session: Session, plan: HeldPlan, counts: collections.Counter[str]) -> str:
    """How many actions failed, and why the first of them."""
    message = session.scalar(
        select(Action.status_message)
        .where(Action.action_plan_id == plan.id, Action.state == ActionState.FAILED)
        .order_by(Action.id)
        .limit(1)
    )
    return f"{counts[ActionState.FAILED]} of {counts.total()} actions failed; the first: {message}"


def fail(
    session: Session, plan: HeldPlan, now: datetime.datetime, why: str, *remarks: str
) -> PlanEnd:
    """End a plan that cannot be continued, and release it.  LostClaim as in ``finish``.

    PENDING actions become CANCELLED; actions under way become FAILED, because their end is not
    known.
    """
    old_state = plan_claims.held_states(session, [plan.id], plan.engine).get(plan.id, "")
    message = with_remarks(session, plan, *remarks, why)
    if not _move_plan(session, plan, PlanState.FAILED, status_message=message):
        raise _lost(plan)
    ends = {
        ActionState.PENDING: ActionState.CANCELLED,
        ActionState.ONGOING: ActionState.FAILED,
        ActionState.CANCELLING: ActionState.FAILED,
    }
    ended = _end_actions(session, plan, ends, shortened(why))
    reviews.plan_ended(session, plan.id, PlanState.FAILED, now)
    _close(session, plan)
    return PlanEnd(old_state, PlanState.FAILED, ended)


def count(session: Session, plan_id: int) -> collections.Counter[str]:
    """How many actions of a plan are in each state."""
    rows = session.execute(
        select(Action.state, func.count())
        .where(Action.action_plan_id == plan_id, Action.deleted == 0)
        .group_by(Action.state)
    )
    return collections.Counter({state or "": number for state, number in rows})


def sync_descriptions(session: Session, descriptions: Mapping[str, str]) -> None:
    """Write the description of each action type, for the API to show."""
    known = {row.action_type: row for row in session.scalars(select(ActionDescription))}
    for action_type, description in descriptions.items():
        row = known.get(action_type)
        if row is None:
            session.add(ActionDescription(action_type=action_type, description=description))
        else:
            row.description = description
    session.flush()


def _move_plan(
    session: Session, plan: HeldPlan, target: str, *conditions: Any, **values: Any
) -> bool:
    held = (ActionPlan.id == plan.id, plan_claims.held(plan.id, plan.engine))
    return bool(
        move(session, ActionPlan, PlanState.BY_ENGINE, target, *held, *conditions, **values)
    )


def _end_actions(
    session: Session, plan: HeldPlan, ends: Mapping[str, str], why: str | None = None
) -> Mapping[str, Sequence[int]]:
    """Change actions' states by the map *ends*; ids by old state.  FAILED ones get *why*."""
    ended = {}
    for state, target in ends.items():
        present = (
            (Action.action_plan_id == plan.id) & (Action.deleted == 0) & (Action.state == state)
        )
        ended[state] = session.scalars(select(Action.id).where(present)).all()
        message = why if target == ActionState.FAILED else None
        move(session, Action, ActionState.BY_ENGINE, target, present, status_message=message)
    return ended


def _close(session: Session, plan: HeldPlan) -> None:
    """Remove the lease and the origins of a plan that has ended, and count its end."""
    of_plan = select(Action.id).where(Action.action_plan_id == plan.id)
    session.execute(
        delete(ActionOrigin)
        .where(ActionOrigin.action_id.in_(of_plan))
        .execution_options(synchronize_session=False)
    )
    action_plans.count_end(session)
    plan_claims.release(session, plan.id, plan.engine)


def _lost(plan: HeldPlan) -> LostClaim:
    return LostClaim(f"Action plan {plan.uuid} is no longer this applier's.")
