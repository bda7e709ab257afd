# SPDX-License-Identifier: Apache-2.0
"""watcher-status show: how Watcher stands, on one screen, from the database alone."""

import datetime
import json
import sys
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_utils import timeutils
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from watcher.common.states import ActionState, PlanState
from watcher.db import faults, gauges, schema
from watcher.db.models import Action, ActionPlan, Audit, Service
from watcher.db.services import is_active
from watcher.db.session import Database

Facts = dict[str, Any]

_AT_MOST = 10
"""Plans that are shown, so that it stays a screen."""


def run(conf: cfg.ConfigOpts) -> int:
    """Print it; 0, or 1 after one sentence that says why not."""
    database = Database(conf)
    down_time = datetime.timedelta(seconds=conf.service_down_time)
    try:
        with database.reader() as session:
            found = facts(session, down_time, timeutils.utcnow())
    except faults.WrongSchema:
        print(f"watcher-status: {schema.SENTENCE}", file=sys.stderr)
        return 1
    except (DBError, SQLAlchemyError) as error:
        print(f"watcher-status: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    finally:
        database.dispose()
    print(json.dumps(found, indent=2) if conf.command.json else "\n".join(_lines(found)))
    return 0


def facts(session: Session, down_time: datetime.timedelta, now: datetime.datetime) -> Facts:
    """How things stand, as JSON can hold it; ages and waits in seconds."""
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
    rows = session.scalars(
        select(Service).where(Service.deleted == 0).order_by(Service.name, Service.host)
    )
    return [
        {
            "name": row.name,
            "host": row.host,
            "status": "ACTIVE" if is_active(row, down_time, now) else "FAILED",
            "seen": round((now - row.last_seen_up).total_seconds(), 1)
            if row.last_seen_up
            else None,
        }
        for row in rows
    ]


def _under_way(session: Session) -> list[Facts]:
    rows = session.execute(
        select(ActionPlan, Audit.name, Audit.uuid)
        .join(Audit, Audit.id == ActionPlan.audit_id)
        .where(ActionPlan.state.in_(PlanState.UNDER_WAY), ActionPlan.deleted == 0)
        .order_by(ActionPlan.id)
    ).all()
    states: dict[int, list[str | None]] = {plan.id: [] for plan, _, _ in rows}
    of_plans = select(Action.action_plan_id, Action.state).where(
        Action.action_plan_id.in_(states), Action.deleted == 0
    )
    for plan_id, state in session.execute(of_plans):
        states[plan_id].append(state)
    return [
        {
            "uuid": plan.uuid,
            "state": plan.state,
            "audit": name or audit_uuid,
            "host": plan.hostname,
            "actions": len(states[plan.id]),
            "actions_ended": sum(state in ActionState.OVER for state in states[plan.id]),
        }
        for plan, name, audit_uuid in rows
    ]


def _lines(found: Facts) -> Iterator[str]:
    yield "Services" if found["services"] else "Services: none was ever seen"
    for row in found["services"]:
        seen = "never" if row["seen"] is None else f"{row['seen']:g} s ago"
        yield f"  {row['name']:<24} {row['host']:<24} {row['status']:<7} seen {seen}"
    events, runs = found["events"], found["runs"]
    yield "Queue"
    yield f"  {events['waiting']} events that no run acts on yet{_age(events)}"
    yield f"  {runs['ongoing']} runs under way{_age(runs)}"
    for reason, waiting in runs["waiting"].items():
        late = f", the first {waiting['late']:g} s late" if waiting["late"] else ""
        yield f"  {waiting['number']} runs that wait: {reason}{late}"
    yield "Action plans" if found["plans"] else "Action plans: none"
    for state, number in found["plans"].items():
        yield f"  {number} {state}"
    for plan in found["plans_under_way"][:_AT_MOST]:
        progress = f"{plan['actions_ended']} of {plan['actions']} actions ended"
        yield f"  {plan['uuid']} {plan['state']} of {plan['audit']}: {progress}"
    if len(found["plans_under_way"]) > _AT_MOST:
        yield f"  and {len(found['plans_under_way']) - _AT_MOST} more; --json has all of them"


def _age(waiting: Facts) -> str:
    return f", the oldest for {waiting['oldest']:g} s" if waiting["oldest"] else ""
