# SPDX-License-Identifier: Apache-2.0
"""The cost of a long history: the same calls on two databases, one with many more rows.

Both have the same audits, waiting runs and alarms of the last hour on MariaDB; they differ in how
many runs and events ended before that, over the days for which these are kept.  Each call is made
on both in turns, because the speed of a machine changes; the result is the ratio of the lower
quartiles.
"""

import argparse
import contextlib
import datetime
import hashlib
import itertools
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import webob
from oslo_utils import timeutils

from benchmarks import webhooks
from benchmarks.report import Figure, percentile, show
from watcher import conf as watcher_conf
from watcher.cmd import api
from watcher.common.states import AuditState, AuditType, RunState
from watcher.db import audits, counters, migration, models, moves, purge, retention, run_ends
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditRun, Goal, Strategy, Webhook
from watcher.db.purge import Selection
from watcher.db.session import Database
from watcher.decision_engine.run_dispatcher import RunDispatcher
from watcher.metrics.collector import DatabaseCollector

_FEW = 10_000
_MOST = 1.5
"""The factor by which a call may cost more with the long history."""

_AUDITS = 500
_BUSY = 50
"""The first audits, which get every other alarm."""
_PURGED = 20
"""The last audits, which got those of the last hour."""
_LAST_HOUR = 2000
_CHUNK = 50_000
"""Rows that one statement makes."""
_TURNS = 15
_HOUR = datetime.timedelta(hours=1)

Call = Callable[["Side"], Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench growth", description=__doc__)
    parser.add_argument(
        "--database",
        default=os.environ.get("WATCHER_TEST_MYSQL_URL")
        or "mysql+pymysql://root@127.0.0.1:3306/mysql",
        help="a MariaDB server on which databases may be created",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--only", default="", help="make the calls whose names contain this")
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        # The larger one is made first: the server writes its pages to the disk for some time
        # afterwards.
        many, few = (
            stack.enter_context(_side(arguments.database, rows)) for rows in (arguments.rows, _FEW)
        )
        figures = [
            _figure(what, call, turns, few, many)
            for what, call, turns in _calls()
            if arguments.only in what
        ]
    show(figures)
    return int(not all(figure.met == "yes" for figure in figures))


class Side:
    """One of the two databases, and the objects that work on it."""

    def __init__(self, directory: Path, url: str, rows: int) -> None:
        self.rows = rows
        configuration = directory / "watcher.conf"
        configuration.write_text(
            "[DEFAULT]\ntransport_url = fake:\nenable_authentication = false\n"
            f"state_path = {directory}\n[database]\nconnection = {url}\n"
            "[webhooks]\nmax_recorded_per_minute = 1000000\n"
        )
        self.conf = watcher_conf.load([], [str(configuration)])
        self.database, self.unbounded = Database(self.conf), Database(self.conf, bounded=False)
        migration.upgrade(self.unbounded)
        self.application, self._stop = api.wired(self.conf)
        holder = Holder("growth", "growth", datetime.timedelta(minutes=1))
        self.dispatcher = RunDispatcher(self.conf, self.database, holder, lambda run: None)
        self.metrics = DatabaseCollector(self.conf, self.database)
        self.now = timeutils.utcnow()
        self.middle = _uuid("event", 13 + rows // 200 * 100)
        """UUID of an event of audit 7, halfway through its events."""

    def close(self) -> None:
        self._stop()
        for database in (self.database, self.unbounded):
            database.dispose()

    def get(self, path: str) -> Any:
        return self._ask(webob.Request.blank(f"/v1/{path}"), 200).json

    def post(self, audit_id: int) -> None:
        request = webob.Request.blank(
            f"/v1/webhooks/{_uuid('audit', audit_id)}", method="POST", body=webhooks.BODY
        )
        request.content_type = "application/json"
        self._ask(request, 202)

    def _ask(self, request: webob.Request, status: int) -> webob.Response:
        request.headers["OpenStack-API-Version"] = "infra-optim latest"
        answer = request.get_response(self.application)
        if answer.status_code != status:
            raise RuntimeError(f"{request.path_qs}: {answer.status} {answer.text}")
        return answer


def _figure(what: str, call: Call, turns: int, few: Side, many: Side) -> Figure:
    print(f"... {what}", flush=True)
    times: dict[int, list[float]] = {few.rows: [], many.rows: []}
    for turn in range(turns + 1):
        for side in (few, many):
            begin = time.perf_counter()
            call(side)
            if turn:
                times[side.rows].append((time.perf_counter() - begin) * 1000)
    # Other work on the machine can only lengthen a time.
    before, after = (percentile(each, 25) for each in times.values())
    return Figure(f"{what}: {before:.3g} ms, then {after:.3g} ms", after / before, "x", _MOST)


def _calls() -> Iterator[tuple[str, Call, int]]:
    """The calls: name, function and number."""
    busy, page = _uuid("audit", 7), "limit=20"
    yield "intake of an alarm", lambda side: side.post(next(_QUIET)), _TURNS * 10
    yield "alarm, claim of its run, and the end", _claim, _TURNS * 4
    yield "look for events and runs", _empty_look, _TURNS * 10
    yield "metrics", lambda side: list(side.metrics.collect()), _TURNS * 2
    yield "moves of an hour", _moves, _TURNS
    for name, path in (
        ("audits", f"audits?{page}"),
        ("webhooks", f"webhooks?{page}"),
        ("a webhook with its counts", f"webhooks/{busy}"),
        ("events of an audit", f"webhooks/{busy}/events?{page}"),
        ("... from a marker on", f"webhooks/{busy}/events?{page}&marker={{middle}}"),
        ("... that were rejected", f"webhooks/{busy}/events?{page}&decision=REJECTED"),
        ("runs of an audit", f"webhooks/{busy}/runs?{page}"),
        ("action plans", f"action_plans?{page}"),
        ("... the latest first", f"action_plans?{page}&sort_key=updated_at&sort_dir=desc"),
        ("... of an audit", f"action_plans?{page}&audit_uuid={busy}"),
        ("actions", f"actions?{page}"),
        ("actions of a plan", f"actions?{page}&action_plan_uuid={_uuid('plan', 5)}"),
    ):
        yield (
            f"list: {name}",
            lambda side, path=path: side.get(path.format(middle=side.middle)),
            _TURNS * 2,
        )
    yield "look for what to forget", lambda side: _forget(side, 30, 90), _TURNS
    yield "forget events, runs and plans", _forget_some, 4
    yield "purge of an audit", _purge, 6


_QUIET = itertools.cycle(range(_BUSY + 1, _AUDITS - _PURGED - 100))
"""Audits that get an alarm, one after the other."""


def _empty_look(side: Side) -> None:
    if side.dispatcher.claim(timeutils.utcnow()):
        raise RuntimeError("a run was left")


def _claim(side: Side) -> None:
    side.post(next(_QUIET))
    now = timeutils.utcnow()
    while run := side.dispatcher.claim(now):
        with side.database.writer() as session:
            run_ends.move_audit(session, run, AuditState.SUCCEEDED, now)
            run_ends.finish(session, run, RunState.SUCCEEDED, now)


def _moves(side: Side) -> None:
    with side.database.reader() as session:
        moves.since(session, side.now - _HOUR)


def _forget(side: Side, keep_events: float, keep_runs: float) -> int:
    """One step of each removal that an engine repeats each hour.  Returns the number of rows."""
    events, runs = (side.now - datetime.timedelta(days=days) for days in (keep_events, keep_runs))
    replaced = side.now - datetime.timedelta(days=min(keep_runs, retention.REPLACED_DAYS))
    write = side.database.write
    return (
        write(lambda session: retention.remove_events(session, events))
        + retention.remove_plans(side.database, runs, replaced)
        + write(lambda session: retention.remove_runs(session, runs))
    )


def _forget_some(side: Side) -> None:
    if _forget(side, 10, 30) < 2 * retention.BATCH:
        raise RuntimeError("there is too little to forget")


def _purge(side: Side) -> None:
    selection = Selection(deleted_before=side.now - _HOUR)
    with side.database.writer() as session:
        audit = session.scalars(
            sa.select(Audit).where(Audit.deleted == 0).order_by(Audit.id.desc()).limit(1)
        ).one()
        audits.delete(session, audit, side.now - 2 * _HOUR)
    with side.unbounded.reader() as session:
        found = purge.find(session, selection)
    purge.remove(side.unbounded, found)


def _uuid(kind: str, number: int) -> str:
    """As ``_uuid_of``: in no order, as real ones are."""
    return str(uuid.UUID(hashlib.md5(f"{kind}{number}".encode()).hexdigest()))


def _uuid_of(kind: str, number: str) -> str:
    digest = f"MD5(CONCAT('{kind}', {number}))"
    parts = (f"SUBSTR({digest}, {start}, {size})" for start, size in _GROUPS)
    return f"CONCAT_WS('-', {', '.join(parts)})"


def _ended(days: int) -> str:
    """SQL: when row *n* ended, of the rows that are kept for *days*."""
    seconds = f"3600 + ({{old}} - n) / {{old}} * {(days - 1) * 86400}"
    return f"TIMESTAMP('{{now}}') - INTERVAL ROUND(IF(n > {{old}}, 1, {seconds})) SECOND"


_GROUPS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
_AUDIT = (
    f"IF(n > {{old}}, {_AUDITS} - MOD(n, {_PURGED}), "
    f"1 + MOD(n DIV 2, IF(MOD(n, 2), {_BUSY}, {_AUDITS - _PURGED})))"
)
_PLAN = "n DIV 10"
_NUMBERS = "FROM (SELECT seq AS n FROM seq_{first}_to_{last}) AS numbers"
_PLANS = f"{_NUMBERS} WHERE MOD(n, 10) = 0"
_PLAN_END = "MOD(n DIV 10, 10)"
"""Of ten plans five succeed, one fails and four are superseded."""
_MOVE = """{{"resource_id": "server", "source_node": "a", "destination_node": "b"}}"""

_FILLED = (
    f"""
    INSERT INTO action_plans (id, uuid, audit_id, strategy_id, state, hostname, deleted,
        created_at, updated_at, global_efficacy)
    SELECT {_PLAN}, {_uuid_of("plan", _PLAN)}, {_AUDIT}, {{strategy}},
        IF(n > {{old}}, 'RECOMMENDED',
            CASE WHEN {_PLAN_END} < 5 THEN 'SUCCEEDED' WHEN {_PLAN_END} = 5 THEN 'FAILED'
                ELSE 'SUPERSEDED' END),
        IF(n <= {{old}} AND {_PLAN_END} < 6, 'applier', NULL), 0, {_ended(90)}, {_ended(90)}, '[]'
    {_PLANS}""",
    *(
        f"""
    INSERT INTO actions (id, uuid, action_plan_id, action_type, state, deleted, created_at,
        updated_at, input_parameters, parents)
    SELECT 3 * {_PLAN} + {index}, {_uuid_of(f"action-{index}-", _PLAN)}, {_PLAN}, 'migrate',
        IF(n > {{old}}, 'PENDING',
            CASE WHEN {_PLAN_END} < 5 THEN 'SUCCEEDED' WHEN {_PLAN_END} = 5 THEN 'FAILED'
                ELSE 'CANCELLED' END),
        0, {_ended(90)}, {_ended(90)}, '{_MOVE}', '[]'
    {_PLANS}"""
        for index in range(3)
    ),
    f"""
    INSERT INTO efficacy_indicators (uuid, name, unit, data, action_plan_id, deleted, created_at)
    SELECT {_uuid_of("indicator", _PLAN)}, 'released', 'percent', 0.5, {_PLAN}, 0, {_ended(90)}
    {_PLANS}""",
    f"""
    INSERT INTO action_plan_reviews (action_plan_id, promise, window_seconds, ended_at, attempt,
        reviewed_at, realised, kept, counts, distrusts)
    SELECT {_PLAN}, '{{{{}}}}', 600, {_ended(90)}, 1, {_ended(90)}, '{{{{}}}}', 0.9, 1, 0
    {_PLANS} AND {_PLAN_END} < 5 AND n <= {{old}}""",
    f"""
    INSERT INTO audit_runs (id, uuid, audit_id, state, not_before, queued_at, created_at,
        started_at, finished_at, coalesced_count, attempt, engine, action_plan_id, parameters,
        auto_started)
    SELECT n, {_uuid_of("run", "n")}, {_AUDIT},
        CASE WHEN MOD(n, 50) = 1 THEN 'CANCELLED' WHEN MOD(n, 12) = 5 THEN 'FAILED'
            ELSE 'SUCCEEDED' END,
        {_ended(90)}, {_ended(90)}, {_ended(90)} - INTERVAL 3 SECOND,
        {_ended(90)} - INTERVAL 2 SECOND, {_ended(90)}, MOD(n DIV 100, 5) = 0, 1, 'engine',
        IF(MOD(n, 10) = 0, {_PLAN}, NULL), '{{{{}}}}', MOD(n, 20) = 0
    {_NUMBERS}""",
    f"""
    INSERT INTO audit_events (id, uuid, audit_id, run_id, received_at, source, alarm_name,
        severity, previous_state, current_state, request_id, decision, decision_reason, payload,
        parameters, deliveries)
    SELECT n, {_uuid_of("event", "n")}, {_AUDIT}, IF(MOD(n DIV 100, 10) = 3, NULL, n), {_ended(30)},
        ELT(1 + MOD(n DIV 100, 3), 'aodh', 'alertmanager', 'generic'),
        'busy-host', 'low', 'ok', 'alarm',
        CONCAT('req-', n),
        CASE MOD(n DIV 100, 10) WHEN 3 THEN 'REJECTED' WHEN 5 THEN 'COALESCED' ELSE 'QUEUED' END,
        IF(MOD(n DIV 100, 10) = 3, 'paused', NULL), '{{payload}}', '{{{{}}}}', 1
    {_NUMBERS}""",
)


@contextlib.contextmanager
def _side(server: str, rows: int) -> Iterator[Side]:
    with (
        webhooks.new_database(server) as url,
        tempfile.TemporaryDirectory() as directory,
        contextlib.closing(Side(Path(directory), url, rows)) as side,
    ):
        begin = time.perf_counter()
        _fill(side)
        while side.database.write(lambda session: counters.roll(session, side.now)):
            pass
        print(f"... {rows:,} rows: {time.perf_counter() - begin:.0f} s", flush=True)
        yield side


def _fill(side: Side) -> None:
    """Make the audits, the rows of the history, and the runs that wait."""
    strategy_id, engine = _add_audits(side), side.unbounded.engine
    for first in range(1, side.rows + 1, _CHUNK):
        _add_history(side, strategy_id, first, min(first + _CHUNK - 1, side.rows))
    with side.database.writer() as session:
        session.add_all(
            AuditRun(
                audit_id=number,
                not_before=side.now + _HOUR,
                queued_at=side.now,
                created_at=side.now,
                parameters={},
            )
            for number in range(_AUDITS - _PURGED - 100, _AUDITS - _PURGED)
        )
    with engine.begin() as connection:
        for table in models.Base.metadata.tables:
            connection.exec_driver_sql(f"ANALYZE TABLE {table}").fetchall()


def _add_audits(side: Side) -> int:
    """Make the audits.  Returns the id of their strategy."""
    with side.database.writer() as session:
        goal = Goal(name="growth", display_name="growth", efficacy_specification=[])
        session.add(goal)
        session.flush()
        strategy = Strategy(name="growth", display_name="growth", goal_id=goal.id)
        session.add(strategy)
        session.flush()
        session.add_all(
            Audit(
                id=number,
                uuid=_uuid("audit", number),
                name=f"growth-{number}",
                audit_type=AuditType.EVENT,
                state=AuditState.SUCCEEDED,
                goal_id=goal.id,
                strategy_id=strategy.id,
            )
            for number in range(1, _AUDITS + 1)
        )
        session.flush()
        session.add_all(Webhook(audit_id=number) for number in range(1, _AUDITS + 1))
        return strategy.id


def _add_history(side: Side, strategy_id: int, first: int, last: int) -> None:
    """Make the rows *first* to *last* of the history."""
    values = {
        "first": first,
        "last": last,
        "old": side.rows - _LAST_HOUR,
        "now": side.now.isoformat(" "),
        "strategy": strategy_id,
        "payload": webhooks.BODY.decode(),
    }
    for statement in _FILLED:
        with side.unbounded.engine.begin() as connection:
            # These checks would take most of the time; the rows are right by construction.
            connection.exec_driver_sql("SET foreign_key_checks = 0, unique_checks = 0")
            connection.exec_driver_sql(statement.format(**values))
            connection.exec_driver_sql("SET foreign_key_checks = 1, unique_checks = 1")
