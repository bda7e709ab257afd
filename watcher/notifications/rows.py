# SPDX-License-Identifier: Apache-2.0
"""The rows that payloads describe, deleted ones too, each list in one statement."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload, load_only

from watcher.db.models import Action, ActionPlan, Audit, Goal, Strategy


def by_id(session: Session, kind: str, ids: Collection[int]) -> Sequence[Any]:
    """The rows *ids* of a *kind*: audit, action_plan or action, in the order of their ids."""
    if kind == "action":
        return actions(session, Action.id.in_(ids))
    if kind == "audit":
        row: Any = Audit
        options = [joinedload(Audit.goal), joinedload(Audit.strategy)]
    else:
        row, audit = ActionPlan, joinedload(ActionPlan.audit)
        options = [
            joinedload(ActionPlan.strategy),
            audit.joinedload(Audit.goal).options(load_only(Goal.uuid)),
            audit.joinedload(Audit.strategy),
        ]
    wanted = select(row).where(row.id.in_(ids)).options(*options).order_by(row.id)
    return session.scalars(wanted).all()


def actions(session: Session, *conditions: ColumnElement[bool]) -> Sequence[Action]:
    plan = joinedload(Action.action_plan)
    return session.scalars(
        select(Action)
        .where(*conditions)
        .options(
            plan.joinedload(ActionPlan.audit).options(load_only(Audit.uuid)),
            plan.joinedload(ActionPlan.strategy).options(load_only(Strategy.uuid)),
        )
        .order_by(Action.id)
    ).all()
