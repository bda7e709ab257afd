# SPDX-License-Identifier: Apache-2.0
"""Whether a plan may start, when others start too: there is one cloud, and each plan changes it."""

import collections
import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.states import PlanState
from watcher.db import counters
from watcher.db.models import ActionPlan

_CARRIED_OUT: Final = (PlanState.SUCCEEDED, PlanState.FAILED, PlanState.CANCELLED)

_TURNS: Final = ("plan_turns",)
"""A count that everybody has to write who is about to make a plan PENDING."""


def take_turn(session: Session) -> None:
    """Let nobody else decide about the start of a plan until this transaction ends.

    Comes before all that the transaction writes, so that nobody who has the turn waits for
    somebody who waits for it.
    """
    counters.add(session, collections.Counter({_TURNS: 1}))


def rival(session: Session, since: datetime.datetime) -> str | None:
    """The uuid of a plan that is under way, or that an applier has had in hand *since* then.

    What was planned from an older look at the cloud would meet what that plan has changed.
    """
    under_way = session.scalar(
        select(ActionPlan.uuid)
        .where(ActionPlan.state.in_(PlanState.UNDER_WAY), ActionPlan.deleted == 0)
        .limit(1)
    )
    if under_way:
        return under_way
    return session.scalar(
        select(ActionPlan.uuid)
        .where(
            ActionPlan.updated_at >= since.replace(microsecond=0),  # as MySQL keeps it
            ActionPlan.state.in_(_CARRIED_OUT),
            ActionPlan.hostname.is_not(None),
        )
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
