# SPDX-License-Identifier: Apache-2.0
"""Why plans are as they are, in the words of the strategies that made them."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from watcher.db.models import Action, ActionPlan, PlanReasons, Review


def of_actions(session: Session, actions: Iterable[Action]) -> Mapping[str, str]:
    """Action uuid to its reason, for those of *actions* that have one.

    Other actions of the same plans may be among them.
    """
    plan_ids = {action.action_plan_id for action in actions}
    found = session.scalars(
        select(PlanReasons.reasons).where(PlanReasons.action_plan_id.in_(plan_ids))
    )
    return {uuid: reason for reasons in found for uuid, reason in reasons.items()}


def of_plans(
    session: Session, plans: Iterable[ActionPlan]
) -> Mapping[int, tuple[Mapping[str, Any], Review | None]]:
    """Plan id to what the plan changes, and the review that is due or made of it, if one is,
    for those of *plans* that tell."""
    plan_ids = [plan.id for plan in plans]
    ended = (Review.action_plan_id == PlanReasons.action_plan_id) & Review.ended_at.is_not(None)
    found = session.execute(
        select(PlanReasons.action_plan_id, PlanReasons.summary, Review)
        .outerjoin(Review, ended)
        .where(PlanReasons.action_plan_id.in_(plan_ids))
        .options(defer(Review.promise, raiseload=True))  # long, and nothing for users
    )
    return {plan_id: (summary, review) for plan_id, summary, review in found}
