# SPDX-License-Identifier: Apache-2.0
"""watcher-status show: the state of Watcher on one screen, from the database alone."""

import datetime
import json
import sys
from collections.abc import Iterator

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_utils import timeutils
from sqlalchemy.exc import SQLAlchemyError

from watcher.db import overview, schema
from watcher.db.errors import WrongSchema
from watcher.db.overview import Facts
from watcher.db.session import Database

_AT_MOST = 10
"""The number of plans that are shown, so that the overview fits a screen."""


def run(conf: cfg.ConfigOpts) -> int:
    """Print it; 0, or 1 after one sentence that says why not."""
    database = Database(conf)
    down_time = datetime.timedelta(seconds=conf.service_down_time)
    try:
        with database.reader() as session:
            found = overview.facts(session, down_time, timeutils.utcnow())
    except WrongSchema:
        print(f"watcher-status: {schema.SENTENCE}", file=sys.stderr)
        return 1
    except (DBError, SQLAlchemyError) as error:
        print(f"watcher-status: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    finally:
        database.dispose()
    print(json.dumps(found, indent=2) if conf.command.json else "\n".join(_lines(found)))
    return 0


def _lines(found: Facts) -> Iterator[str]:
    yield "Services" if found["services"] else "Services: none was ever seen"
    for row in found["services"]:
        seen = "never" if row["seen"] is None else f"{row['seen']:g} s ago"
        yield f"  {row['name']:<24} {row['host']:<24} {row['status']:<7} seen {seen}"
        for model, age in row["models"].items():
            yield f"    {model} model read {age:g} s ago"
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
