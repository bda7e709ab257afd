# SPDX-License-Identifier: Apache-2.0
"""What a payload is made of, each in one statement; deleted rows too."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload, load_only

from watcher.common.states import ActionState
from watcher.db.models import Action, ActionPlan, Audit, Goal, Review, Service, Strategy

_AUDIT_OF_PLAN = joinedload(ActionPlan.audit)


def audit(session: Session, audit_id: int) -> Audit:
    return session.scalars(
        select(Audit)
        .where(Audit.id == audit_id)
        .options(joinedload(Audit.goal), joinedload(Audit.strategy))
    ).one()


def action_plans(session: Session, plan_ids: Iterable[int]) -> Sequence[ActionPlan]:
    return session.scalars(
        select(ActionPlan)
        .where(ActionPlan.id.in_(plan_ids))
        .options(
            joinedload(ActionPlan.strategy),
            _AUDIT_OF_PLAN.joinedload(Audit.goal).options(load_only(Goal.uuid)),
            _AUDIT_OF_PLAN.joinedload(Audit.strategy),
        )
        .order_by(ActionPlan.id)
    ).all()


def review(session: Session, plan_id: int) -> Review:
    return session.get_one(Review, plan_id)


def actions(session: Session, action_ids: Iterable[int]) -> Sequence[Action]:
    return session.scalars(_actions().where(Action.id.in_(action_ids))).all()


def actions_of(session: Session, plan_id: int) -> Sequence[Action]:
    return session.scalars(_actions().where(Action.action_plan_id == plan_id)).all()


def cancelled_actions_of(session: Session, plan_id: int) -> Sequence[Action]:
    return session.scalars(
        _actions().where(Action.action_plan_id == plan_id, Action.state == ActionState.CANCELLED)
    ).all()


def services(session: Session, name: str) -> Sequence[Service]:
    """The services *name*, one a host."""
    return session.scalars(
        select(Service).where(Service.name == name, Service.deleted == 0).order_by(Service.host)
    ).all()


def _actions() -> Select[Action]:
    plan = joinedload(Action.action_plan)
    return (
        select(Action)
        .options(
            plan.joinedload(ActionPlan.audit).options(load_only(Audit.uuid)),
            plan.joinedload(ActionPlan.strategy).options(load_only(Strategy.uuid)),
        )
        .order_by(Action.id)
    )
