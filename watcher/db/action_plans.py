# SPDX-License-Identifier: Apache-2.0
"""Action plans: what a run of an audit recommends, with its actions and indicators."""

import collections
import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.orm import Session, contains_eager, defer, selectinload

from watcher.common.errors import Invalid
from watcher.common.states import ActionState, PlanState
from watcher.db import counters, models, paging, runs
from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    EfficacyIndicator,
    PlanReasons,
    Review,
    Strategy,
)
from watcher.db.rows import OF_STRATEGY, Rows
from watcher.db.transitions import move, soft_delete

_ROWS = Rows[ActionPlan](
    ActionPlan,
    "action plan",
    joined=(ActionPlan.audit, ActionPlan.strategy),
    keys=paging.sort_keys(
        ActionPlan, audit_uuid=Audit.uuid, strategy_uuid=Strategy.uuid, strategy_name=Strategy.name
    ),
    # The audit of a plan may be deleted.
    filters={"audit_uuid": lambda uuid: Audit.uuid == uuid, "strategy": OF_STRATEGY},
    shown=(
        contains_eager(ActionPlan.audit).load_only(Audit.uuid, Audit.deleted, raiseload=True),
        contains_eager(ActionPlan.strategy).load_only(
            Strategy.uuid, Strategy.name, Strategy.deleted, raiseload=True
        ),
        selectinload(ActionPlan.indicators),
    ),
)
get, list_page = _ROWS.get, _ROWS.list_page

_ENDS: Final = ("plan_ends",)
"""A count of the plans that appliers have ended."""

_STARTS_LOCK: Final = ("plan_starts_lock",)
"""A count that serves as a lock: transactions that may make a plan PENDING write it, except
runs with ``force``."""


@dataclasses.dataclass(frozen=True)
class PlannedAction:
    """An action of a plan: ready to be written, and to start after all its parents."""

    uuid: str
    action_type: str
    input_parameters: Mapping[str, Any]
    parents: Sequence[str]
    reason: str = ""
    owned: bool = False
    """Whether its ``disabled_reason`` names the plan, too: see ``solution.with_owner``."""


def create(
    session: Session,
    *,
    audit_id: int,
    strategy_id: int,
    state: str,
    global_efficacy: list[Any],
    indicators: Sequence[Mapping[str, Any]],
    actions: Sequence[PlannedAction],
    now: datetime.datetime,
    status_message: str | None = None,
    summary: Mapping[str, Any] | None = None,
    uuid: str | None = None,
) -> ActionPlan:
    """Write a plan with all that belongs to it, in four statements whatever its size.

    An indicator has a ``name``, ``description``, ``unit`` and ``value``; *summary* is
    as in ``PlanReasons``.
    """
    plan = ActionPlan(
        uuid=uuid or models.new_uuid(),
        audit_id=audit_id,
        strategy_id=strategy_id,
        state=state,
        global_efficacy=global_efficacy,
        status_message=status_message,
        created_at=now,
    )
    session.add(plan)
    session.flush()
    _insert(session, Action, [_action_row(plan.id, each, now) for each in actions])
    _insert(session, EfficacyIndicator, [_indicator_row(plan.id, each, now) for each in indicators])
    reasons = {action.uuid: action.reason for action in actions if action.reason}
    if summary or reasons:
        session.add(
            PlanReasons(action_plan_id=plan.id, summary=dict(summary or {}), reasons=reasons)
        )
    return plan


def change_state(session: Session, plan: ActionPlan, state: str) -> None:
    """Give a plan the state that a user wants: start it, cancel it, or ask for its end.

    The actions of a plan that is cancelled before its start are cancelled here; those of a plan
    under way are cancelled by the applier.  Invalid for a state that a user may not give it now.
    """
    if state not in PlanState.ALL:
        raise Invalid(f"state: '{state[:36]}' is not one of {', '.join(PlanState.ALL)}.")
    if state == PlanState.PENDING:
        lock_plan_starts(session)
    live = (ActionPlan.id == plan.id, ActionPlan.deleted == 0)
    if not move(session, ActionPlan, PlanState.BY_USER, state, *live):
        plan = get(session, plan.uuid or "")
        allowed = ", ".join(sorted(PlanState.BY_USER.get(plan.state or "", ()))) or "none"
        raise Invalid(
            f"state: State transition not allowed: {plan.state} -> {state}; allowed: {allowed}."
        )
    if state == PlanState.CANCELLED:
        cancel_actions(session, Action.action_plan_id == plan.id)


def cancel_actions(session: Session, of_plans: ColumnElement[bool]) -> None:
    """Cancel the actions of plans that never begin."""
    waiting = Action.state == ActionState.PENDING
    move(session, Action, ActionState.BY_ENGINE, ActionState.CANCELLED, waiting, of_plans)


def delete(session: Session, plan: ActionPlan, now: datetime.datetime) -> None:
    """Soft-delete a plan with its actions and indicators.  Invalid while it is under way."""
    deletable = ActionPlan.state.in_(PlanState.DELETABLE)
    with counters.preserved(session, ActionPlan.__table__, ActionPlan.id == plan.id):
        deleted = soft_delete(session, ActionPlan, now, ActionPlan.id == plan.id, deletable)
    if not deleted:
        plan = get(session, plan.uuid or "")
        raise Invalid(
            f"Couldn't delete when state is '{plan.state}'; "
            f"allowed are {', '.join(sorted(PlanState.DELETABLE))}."
        )
    actions = Action.action_plan_id == plan.id
    with counters.preserved(session, Action.__table__, actions):
        soft_delete(session, Action, now, actions)
    soft_delete(session, EfficacyIndicator, now, EfficacyIndicator.action_plan_id == plan.id)


def replace_recommended(
    session: Session, audit_id: int, state: str, now: datetime.datetime
) -> Sequence[int]:
    """Give all RECOMMENDED plans of an audit *state*, SUPERSEDED or CANCELLED; their ids."""
    return _end_recommended(session, state, now, ActionPlan.audit_id == audit_id)


def expire(session: Session, before: datetime.datetime, now: datetime.datetime) -> Sequence[int]:
    """Make the RECOMMENDED plans from *before* a time SUPERSEDED; their ids."""
    return _end_recommended(session, PlanState.SUPERSEDED, now, ActionPlan.created_at < before)


def cancel_overdue(
    session: Session, before: datetime.datetime, now: datetime.datetime
) -> Mapping[int, str]:
    """Cancel the plans that have waited for an applier since *before* a time; their uuids by id.

    The cloud may have changed too much since they were made.
    """
    since = func.coalesce(ActionPlan.updated_at, ActionPlan.created_at)
    overdue = (ActionPlan.state == PlanState.PENDING) & (ActionPlan.deleted == 0) & (since < before)
    columns = ActionPlan.id, ActionPlan.uuid, since.label("since")
    cancelled = {
        plan.id: plan.uuid
        for plan in session.execute(select(*columns).where(overdue)).all()
        if move(
            session,
            ActionPlan,
            PlanState.BY_ENGINE,
            PlanState.CANCELLED,
            ActionPlan.id == plan.id,
            overdue,
            updated_at=now,
            status_message=f"No applier began it since {plan.since:%Y-%m-%d %H:%M} UTC; the cloud "
            "may have changed since then. Start the audit again for a plan of today.",
        )
    }
    cancel_actions(session, Action.action_plan_id.in_(cancelled))
    return cancelled


def _end_recommended(
    session: Session, state: str, now: datetime.datetime, condition: Any
) -> Sequence[int]:
    recommended = (ActionPlan.state == PlanState.RECOMMENDED) & (ActionPlan.deleted == 0)
    plan_ids = session.scalars(select(ActionPlan.id).where(recommended, condition)).all()
    ended_ids = [
        plan_id
        for plan_id in plan_ids
        if move(
            session,
            ActionPlan,
            PlanState.BY_ENGINE,
            state,
            ActionPlan.id == plan_id,
            recommended,
            updated_at=now,
        )
    ]
    if state == PlanState.CANCELLED:
        cancel_actions(session, Action.action_plan_id.in_(ended_ids))
    return ended_ids


def lock_plan_starts(session: Session) -> None:
    """Let no other transaction decide about the start of a plan until this one ends.

    All plans change the same cloud.  A transaction takes this lock before all others, so that no
    deadlock is possible.
    """
    counters.add(session, collections.Counter({_STARTS_LOCK: 1}))


def count_end(session: Session) -> None:
    """Count that an applier has ended a plan: plans that were computed before are out of date.

    Runs that wait for new metrics become due, because the cloud has changed.
    """
    counters.add(session, collections.Counter({_ENDS: 1}))
    runs.look_again(session)


def ended(session: Session) -> int:
    """How many plans appliers have ended."""
    return counters.value(session, _ENDS)


def conflicting_plan(session: Session, ended_before: int) -> str | None:
    """Lock the starts of plans, then look for a plan that prevents a new one from starting.

    A plan under way prevents it.  So does a plan that ended after *ended_before* was read,
    because it has changed the cloud for which the new plan was computed.  Times are not compared:
    if the clock of an applier were ahead, no plan could start for as long.  If several runs end
    together, one finds no other plan, and the others wait here until its plan is written.
    """
    lock_plan_starts(session)
    under_way = session.scalar(
        select(ActionPlan.uuid)
        .where(ActionPlan.state.in_(PlanState.UNDER_WAY), ActionPlan.deleted == 0)
        .limit(1)
    )
    if under_way or ended(session) == ended_before:
        return under_way
    return session.scalar(
        select(ActionPlan.uuid)
        .where(ActionPlan.state.in_(PlanState.EXECUTED), ActionPlan.hostname.is_not(None))
        .order_by(ActionPlan.updated_at.desc())
        .limit(1)
    )


def is_under_way(session: Session, plan_uuid: str) -> bool:
    return bool(
        session.scalar(
            select(ActionPlan.id).where(
                ActionPlan.uuid == plan_uuid, ActionPlan.state.in_(PlanState.UNDER_WAY)
            )
        )
    )


def summaries(
    session: Session, plans: Iterable[ActionPlan]
) -> Mapping[int, tuple[Mapping[str, Any], Review | None]]:
    """Plan id to its summary, and to its review if one is due or made; plans without a summary are
    left out."""
    plan_ids = [plan.id for plan in plans]
    ended = (Review.action_plan_id == PlanReasons.action_plan_id) & Review.ended_at.is_not(None)
    found = session.execute(
        select(PlanReasons.action_plan_id, PlanReasons.summary, Review)
        .outerjoin(Review, ended)
        .where(PlanReasons.action_plan_id.in_(plan_ids))
        .options(defer(Review.promise, raiseload=True))  # long, and not shown to users
    )
    return {plan_id: (summary, review) for plan_id, summary, review in found}


def _insert(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        session.execute(insert(table), rows)


def _action_row(plan_id: int, action: PlannedAction, now: datetime.datetime) -> dict[str, Any]:
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
