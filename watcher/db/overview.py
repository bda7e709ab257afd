# SPDX-License-Identifier: Apache-2.0
"""The present state of services, queue and plans, from the rows alone."""

import datetime
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from watcher.common.states import ActionState, PlanState
from watcher.db import gauges
from watcher.db.models import Action, ActionPlan, Audit
from watcher.db.services import live, model_ages, state

Facts = dict[str, Any]


def facts(session: Session, down_time: datetime.timedelta, now: datetime.datetime) -> Facts:
    """Services, queue and plans, as JSON can hold them; ages and waits in seconds."""
    events, ongoing = gauges.inbox(session, now), gauges.ongoing_runs(session, now)
    return {
        "services": _services(session, down_time, now),
        "events": {"waiting": events.number, "oldest": round(events.oldest, 1)},
        "runs": {
            "ongoing": ongoing.number,
            "oldest": round(ongoing.oldest, 1),
            "waiting": {
                reason: {"number": waiting.number, "late": round(waiting.oldest, 1)}
                for reason, waiting in gauges.queue(session, now).items()
                if waiting.number
            },
        },
        "plans": {state: number for state, number in gauges.plans(session).items() if number},
        "plans_under_way": _under_way(session),
    }


def _services(
    session: Session, down_time: datetime.timedelta, now: datetime.datetime
) -> list[Facts]:
    return [
        {
            "name": row.name,
            "host": row.host,
            "status": state(row, down_time, now),
            "seen": round((now - row.last_seen_up).total_seconds(), 1)
            if row.last_seen_up
            else None,
            "models": {model: round(age, 1) for model, age in model_ages(row, now).items()},
        }
        for row in live(session)
    ]


def _under_way(session: Session) -> list[Facts]:
    ended = func.sum(case((Action.state.in_(ActionState.OVER), 1), else_=0))
    rows = session.execute(
        select(
            ActionPlan.uuid,
            ActionPlan.state,
            func.coalesce(Audit.name, Audit.uuid).label("audit"),
            ActionPlan.hostname.label("host"),
            func.count(Action.id).label("actions"),
            func.coalesce(ended, 0).label("actions_ended"),
        )
        .join(Audit, Audit.id == ActionPlan.audit_id)
        .outerjoin(Action, (Action.action_plan_id == ActionPlan.id) & (Action.deleted == 0))
        .where(ActionPlan.state.in_(PlanState.UNDER_WAY), ActionPlan.deleted == 0)
        .group_by(ActionPlan.id, Audit.id)
        .order_by(ActionPlan.id)
    )
    return [{**row, "actions_ended": int(row["actions_ended"])} for row in rows.mappings()]
