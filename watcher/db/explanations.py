# SPDX-License-Identifier: Apache-2.0
"""Why plans are as they are, in the words of the strategies that made them."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.db.models import Action, ActionPlan, Explanation


def of_actions(session: Session, actions: Iterable[Action]) -> Mapping[str, str]:
    """Action uuid to its reason, for those of *actions* that have one.

    Other actions of the same plans may be among them.
    """
    plan_ids = {action.action_plan_id for action in actions}
    found = session.scalars(
        select(Explanation.reasons).where(Explanation.action_plan_id.in_(plan_ids))
    )
    return {uuid: reason for reasons in found for uuid, reason in reasons.items()}


def of_plans(session: Session, plans: Iterable[ActionPlan]) -> Mapping[int, Mapping[str, Any]]:
    """Plan id to what the plan changes, for those of *plans* that tell."""
    plan_ids = [plan.id for plan in plans]
    found = session.execute(
        select(Explanation.action_plan_id, Explanation.summary).where(
            Explanation.action_plan_id.in_(plan_ids)
        )
    )
    return dict(found.tuples().all())
