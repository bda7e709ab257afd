# SPDX-License-Identifier: Apache-2.0
"""Reviews of action plans: when they are due, which engine makes them, and their effect on audits.

A review is due one window after the end of its plan.  A claim is one compare-and-swap that sets
``due_at`` to the end of the claim, so if the claimer dies the review is due again then.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session, joinedload

from watcher.common.states import ActionState, PlanState
from watcher.db import counters
from watcher.db.models import Action, ActionPlan, Audit, AuditRun, Review
from watcher.db.transitions import update_rows

BROKEN_BELOW: Final = 0.5
"""A promise of which a smaller share was kept counts as broken."""
DISTRUSTED: Final = (
    "auto_trigger was switched off: the last plans of the audit kept less than half of what they "
    "promised. Look at the reviews in their summaries, then set auto_trigger again."
)


def add(session: Session, plan_id: int, promise: Mapping[str, Any], window_seconds: int) -> None:
    """Store what a plan promises, to be reviewed after the plan has ended."""
    session.add(
        Review(
            action_plan_id=plan_id,
            promise=dict(promise),
            window_seconds=window_seconds,
            realised={},
        )
    )


def remove(session: Session, plan_id: int) -> None:
    """Let a plan have no review, because its actions are reverted."""
    session.execute(delete(Review).where(Review.action_plan_id == plan_id))


def plan_ended(session: Session, plan_id: int, state: str, now: datetime.datetime) -> None:
    """Set when the review of a plan is due, if the plan has a promise and has changed something.

    It has if the plan and one of its actions SUCCEEDED, or if the plan FAILED and one of its
    migrations SUCCEEDED.
    """
    window_seconds = session.scalar(
        select(Review.window_seconds).where(Review.action_plan_id == plan_id)
    )
    if window_seconds is None:
        return
    done = (Action.action_plan_id == plan_id) & (Action.state == ActionState.SUCCEEDED)
    if state == PlanState.FAILED:
        done &= Action.action_type == "migrate"
    elif state != PlanState.SUCCEEDED:
        return
    due_at = now + datetime.timedelta(seconds=window_seconds)
    to_review = (Review.action_plan_id == plan_id, exists().where(done))
    update_rows(session, Review, *to_review, ended_at=now, due_at=due_at)


def due(session: Session, now: datetime.datetime, limit: int) -> Sequence[int]:
    """Ids of the plans whose reviews are due, the longest waiting first."""
    return session.scalars(
        select(Review.action_plan_id)
        .where(Review.due_at <= now)
        .order_by(Review.due_at, Review.action_plan_id)
        .limit(limit)
    ).all()


def claim(
    session: Session, plan_id: int, lease: datetime.timedelta, now: datetime.datetime
) -> Review | None:
    """Claim a due review for the duration of its lease; with its plan, audit and strategy.
    None if another engine has claimed it."""
    due = (Review.action_plan_id == plan_id, Review.due_at <= now)
    if not update_rows(session, Review, *due, due_at=now + lease, attempt=Review.attempt + 1):
        return None
    plan = joinedload(Review.action_plan)
    return session.scalars(
        select(Review)
        .where(Review.action_plan_id == plan_id)
        .options(plan.joinedload(ActionPlan.audit), plan.joinedload(ActionPlan.strategy))
        .execution_options(populate_existing=True)
    ).one()


def run_of(session: Session, plan_id: int) -> AuditRun | None:
    """The run that made a plan, with its audit."""
    return session.scalars(
        select(AuditRun)
        .where(AuditRun.action_plan_id == plan_id)
        .options(joinedload(AuditRun.audit))
        .limit(1)
    ).first()


def migrations(session: Session, plan_id: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """State and parameters of the migrations of a plan."""
    found = session.execute(
        select(Action.state, Action.input_parameters)
        .where(Action.action_plan_id == plan_id, Action.action_type == "migrate")
        .order_by(Action.id)
    )
    return [(state or "", parameters or {}) for state, parameters in found]


def is_whole(session: Session, plan_id: int) -> bool:
    """Whether every action of a plan has SUCCEEDED."""
    other = (Action.action_plan_id == plan_id) & (Action.state != ActionState.SUCCEEDED)
    return not session.scalar(select(exists().where(other)))


def postpone(session: Session, review: Review, until: datetime.datetime) -> None:
    """Let a claimed review be due again at *until*; nothing if the claim has lapsed."""
    _write(session, review, due_at=until)


def conclude(session: Session, review: Review, now: datetime.datetime, **values: Any) -> bool:
    """Write what a claimed review has found.  False if the claim has lapsed."""
    if not _write(session, review, due_at=None, reviewed_at=now, **values):
        return False
    if values.get("kept") is not None:
        counters.add_promise(session, review.action_plan.strategy.name, values["kept"])
    return True


def distrust(session: Session, review: Review, number: int) -> bool:
    """Switch auto_trigger off for the audit of a review that was just concluded, with a sentence.

    This needs *number* reviews in succession, of those that count, that found a broken promise.

    Returns whether it did; with a *number* of 0 it never does.
    """
    audit_id = review.action_plan.audit_id
    last = session.scalars(
        select(Review.kept)
        .join(ActionPlan, ActionPlan.id == Review.action_plan_id)
        .where(ActionPlan.audit_id == audit_id, Review.counts, Review.kept.is_not(None))
        .order_by(Review.reviewed_at.desc(), Review.action_plan_id.desc())
        .limit(number)
    ).all()
    if not number or len(last) < number or any((kept or 0.0) >= BROKEN_BELOW for kept in last):
        return False
    trusted = (Audit.id == audit_id, Audit.deleted == 0, Audit.auto_trigger)
    if not update_rows(session, Audit, *trusted, auto_trigger=False, status_message=DISTRUSTED):
        return False
    update_rows(session, Review, Review.action_plan_id == review.action_plan_id, distrusts=True)
    return True


def repeat_distrust(session: Session, audit_id: int) -> bool:
    """Give an audit the message again that ``distrust`` gave it, because a run overwrites it.

    False, without a change, unless reviews have switched auto_trigger off and no user has set it
    since.
    """
    found = (
        exists()
        .where(ActionPlan.id == Review.action_plan_id, ActionPlan.audit_id == Audit.id)
        .where(Review.distrusts)
    )
    distrusted = (Audit.id == audit_id, Audit.auto_trigger.is_(False), found)
    return update_rows(session, Audit, *distrusted, status_message=DISTRUSTED) == 1


def forgive(session: Session, audit_id: int) -> None:
    """Ignore the earlier reviews of an audit from now on, because a user has set auto_trigger."""
    of_audit = select(ActionPlan.id).where(ActionPlan.audit_id == audit_id)
    reviewed = Review.action_plan_id.in_(of_audit)
    update_rows(session, Review, reviewed, counts=False, distrusts=False)


def _write(session: Session, review: Review, **values: Any) -> bool:
    claimed = (
        Review.action_plan_id == review.action_plan_id,
        Review.attempt == review.attempt,
        Review.reviewed_at.is_(None),
    )
    return update_rows(session, Review, *claimed, **values) == 1
