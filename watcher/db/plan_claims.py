# SPDX-License-Identifier: Apache-2.0
"""Claims of action plans: which applier executes which plan (see ``db.leases``).

A plan that an applier works on has a lease row.  An applier that stops normally removes the row;
then any applier may claim the plan at once.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, bindparam, delete, exists, select
from sqlalchemy.orm import Session

from watcher.common.states import PlanState
from watcher.db import counters, leases
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan, ActionPlanLease, PlanReasons
from watcher.db.models.base import shortened
from watcher.db.transitions import move, update_rows

_CLAIMED = (PlanState.ONGOING, PlanState.CANCELLING)


def due(session: Session, now: datetime.datetime, limit: int) -> Sequence[int]:
    """Ids of the plans to execute that no applier holds: CANCELLING, then ONGOING, then PENDING."""
    return session.scalars(_DUE, {"limit": limit}).all()


def of_all(session: Session) -> Sequence[tuple[int, datetime.datetime]]:
    """Ids of ONGOING and CANCELLING plans that some applier holds, and when each lease ends."""
    return [(plan_id, end) for plan_id, end in session.execute(_LEASES)]


def claim(session: Session, plan_id: int, holder: Holder, now: datetime.datetime) -> int | None:
    """Make this process the holder of a plan that has none, and the plan ONGOING if it is PENDING.

    Returns the id.  None, or DBDuplicateEntry (at flush), if another applier was faster.
    """
    live = (ActionPlan.id == plan_id, ActionPlan.deleted == 0)
    if not move(
        session,
        ActionPlan,
        PlanState.BY_ENGINE,
        PlanState.ONGOING,
        *live,
        hostname=holder.host,
        # The reason why it was not started automatically is removed; what it leaves undone stays.
        status_message=left_undone(session, plan_id),
    ):
        released = (ActionPlan.state.in_(_CLAIMED), ~exists().where(_OF_PLAN))
        if not update_rows(session, ActionPlan, *live, *released, hostname=holder.host):
            return None
    session.add(ActionPlanLease(action_plan_id=plan_id, **holder.lease(now)))
    session.flush()
    return plan_id


def left_undone(session: Session, plan_id: int) -> str | None:
    """The sentence of the strategy on what a plan leaves undone."""
    explanation = session.get(PlanReasons, plan_id)
    sentence = explanation and explanation.summary.get("undone", {}).get("sentence")
    return shortened(sentence) if sentence else None


def take_over(
    session: Session, plan_id: int, holder: Holder, now: datetime.datetime, end: datetime.datetime
) -> int | None:
    """Claim a plan whose lease still has this *end*.  None if another applier was faster, or if the
    plan has ended meanwhile."""
    died = leases.has_died(session, ActionPlanLease.action_plan_id, plan_id, holder)
    lapsed = (ActionPlanLease.action_plan_id == plan_id, ActionPlanLease.lease_expires_at == end)
    values = holder.lease(now) | {"attempt": ActionPlanLease.attempt + int(died)}
    if not update_rows(session, ActionPlanLease, *lapsed, **values):
        return None
    under_way = (ActionPlan.id == plan_id, ActionPlan.state.in_(_CLAIMED))
    if not update_rows(session, ActionPlan, *under_way, hostname=holder.host):
        release(session, plan_id, holder.engine)
        return None
    if died:
        counters.add_take_over(session, counters.ACTION_PLAN)
    return plan_id


def extend(
    session: Session, plan_ids: Collection[int], holder: Holder, now: datetime.datetime
) -> None:
    """Extend the leases of *holder* on those plans."""
    leases.extend(session, ActionPlanLease.action_plan_id, plan_ids, holder, now)


def progress(session: Session, plan_id: int, engine: str) -> None:
    """Count attempts from 1 again: an action has ended, so the plan is not the cause of deaths."""
    held = (ActionPlanLease.action_plan_id == plan_id, ActionPlanLease.engine == engine)
    update_rows(session, ActionPlanLease, *held, attempt=1)


def release(session: Session, plan_id: int, engine: str) -> None:
    """Remove the lease of a plan, so that any applier may claim it at once."""
    session.execute(
        delete(ActionPlanLease)
        .where(ActionPlanLease.action_plan_id == plan_id, ActionPlanLease.engine == engine)
        .execution_options(synchronize_session=False)
    )


def held_states(session: Session, plan_ids: Sequence[int], engine: str) -> Mapping[int, str]:
    """Plan id to state, of those plans that *engine* still holds."""
    rows = session.execute(_HELD_STATES, {"plan_ids": plan_ids, "holder": engine})
    return {plan_id: state or "" for plan_id, state in rows}


def held(plan_id: int, engine: str) -> ColumnElement[bool]:
    """The condition under which *engine* may write the plan and its actions."""
    return exists().where(
        ActionPlanLease.action_plan_id == plan_id, ActionPlanLease.engine == engine
    )


# Built once, because each applier executes them again and again: to build a statement takes longer
# than to execute it.
_OF_PLAN = ActionPlanLease.action_plan_id == ActionPlan.id
_DUE = (
    select(ActionPlan.id)
    .outerjoin(ActionPlanLease, _OF_PLAN)
    .where(
        ActionPlan.state.in_(PlanState.UNDER_WAY),
        ActionPlan.deleted == 0,
        ActionPlanLease.action_plan_id.is_(None),
    )
    .order_by(ActionPlan.state, ActionPlan.id)  # CANCELLING, ONGOING, PENDING
    .limit(bindparam("limit"))
)
_LEASES = (
    select(ActionPlanLease.action_plan_id, ActionPlanLease.lease_expires_at)
    .join(ActionPlan, _OF_PLAN)
    .where(ActionPlan.state.in_(_CLAIMED), ActionPlan.deleted == 0)
)
_HELD_STATES = (
    select(ActionPlan.id, ActionPlan.state)
    .join(ActionPlanLease, _OF_PLAN)
    .where(
        ActionPlan.id.in_(bindparam("plan_ids", expanding=True)),
        ActionPlanLease.engine == bindparam("holder"),
    )
)
