# SPDX-License-Identifier: Apache-2.0
"""From an alarm to nova's first migration request.

The API, a decision engine and an applier run as processes, with MariaDB and RabbitMQ; nova,
placement and prometheus are emulated in another one.  Each round makes a twentieth of the
hosts hot, and posts an alarm to an audit that relieves them with workload_balance, while other
alarms join runs that wait.  The model is known, and some servers have changed since it was read.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import re
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks import clusters, stack, webhooks
from benchmarks.reaction_cloud import Asked, Cloud, serve, served
from benchmarks.report import Figure, percentile, show
from watcher import conf as watcher_conf
from watcher.common.states import PlanState, RunState
from watcher.db import migration
from watcher.db.models import Action, ActionPlan, AuditRun
from watcher.db.session import Database
from watcher.tests.emulated import keystone, prometheus

SERVICES = ("watcher-api", "watcher-decision-engine", "watcher-applier")
SECONDS = 1
"""The aim."""
OTHERS, RATE = 20, 100
"""Audits whose runs wait, and alarms a second that join these."""
THRESHOLD = 3.1
"""Percent of the vCPUs of a host: a hot host is above it until one server has left."""
WARM_UP = 2
"""Rounds that are not counted."""
DEADLINE = 60
_RUN_ENDS = RunState.SUCCEEDED, RunState.FAILED
_PLAN_ENDS = PlanState.SUCCEEDED, PlanState.FAILED, PlanState.RECOMMENDED

_CONFIGURATION = """\
[DEFAULT]
transport_url = {broker}
state_path = {directory}
enable_authentication = false
[database]
connection = {database}
[api]
port = {port}
workers = 1
[webhooks]
max_recorded_per_minute = 1000000
[watcher_decision_engine]
conductor_topic = {topic}.engine
[watcher_applier]
conductor_topic = {topic}.applier
[watcher_datasources]
datasources = prometheus
[nova]
migration_interval = 0.5
[optimization]
max_gib_per_hour = 1000000
broken_promises = 0
{cloud}"""

_STAGES = {
    "alarm to claimed run": ("", r"Begin run \S+ of audit {audit}"),
    "run to plan": (r"Begin run \S+ of audit {audit}", r"End run \S+ of audit {audit}"),
    "plan to applier": (r"End run \S+ of audit {audit}", r"Begin action plan"),
    "applier to migration": (r"Begin action plan", ""),
}
"""The first and the last log line of each stage; empty: the alarm, or the first migration."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench reaction", description=__doc__)
    parser.add_argument("--size", choices=clusters.SIZES, default="1000x20000")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--database", default=webhooks.DATABASE, help="a MariaDB server")
    parser.add_argument("--broker", default=webhooks.BROKER, help="a RabbitMQ broker")
    parser.add_argument("--requests", action="store_true", help="list those of the last round")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        return serve(arguments.size)
    with contextlib.ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        url = exits.enter_context(webhooks.new_database(arguments.database))
        cloud = exits.enter_context(served(arguments.size))
        services = exits.enter_context(_services(directory, url, arguments, cloud))
        rounds = []
        for number in range(WARM_UP + arguments.rounds):
            rounds.append(services.round(number))
            print(f"... round {number}: {rounds[-1].seconds:.3f} s", flush=True)
        if arguments.requests:
            rounds[-1].list_requests()
        figures = list(_figures(arguments.size, rounds[WARM_UP:]))
        show(figures)
    return 1 if any(figure.met == "NO" for figure in figures) else 0


class Round:
    """The events from one alarm to the first migration."""

    def __init__(
        self,
        posted: float,
        asked: Sequence[Asked],
        marks: Mapping[str, float],
        worked: Mapping[str, float],
    ) -> None:
        self.posted, self.marks, self.worked = posted, marks, worked
        self.migrated = next(each.began for each in asked if each.migrates)
        self.asked = [each for each in asked if posted <= each.began < self.migrated]
        self.actions = 0

    @property
    def seconds(self) -> float:
        return self.migrated - self.posted

    def answers(self, prefix: str = "") -> float:
        """Seconds in which at least one request was being answered."""
        total, until = 0.0, self.posted
        for each in sorted(self.asked):
            if each.what.partition(" ")[2].startswith(prefix):
                total += max(0.0, each.ended - max(each.began, until))
                until = max(until, each.ended)
        return total

    def list_requests(self) -> None:
        for each in sorted(self.asked):
            took = (each.ended - each.began) * 1000
            print(f"{(each.began - self.posted) * 1000:8.0f} ms {took:6.1f} ms {each.what}")


class Services:
    """The three service processes, as the measuring process uses them."""

    def __init__(
        self,
        database: Database,
        port: int,
        cloud: Cloud,
        logs: Mapping[str, Path],
        pids: Mapping[str, int],
        threshold: float,
    ) -> None:
        self._database, self._cloud, self._logs, self._pids = database, cloud, logs, pids
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._audit = self._create("hot-hosts", threshold, auto_trigger=True)
        self._quiet = self._create("quiet", 100)
        self.others = [self._create(f"other-{number}", 100) for number in range(OTHERS)]
        for audit in self.others:
            body = [{"op": "replace", "path": "/debounce", "value": 86400}]
            self._request("PATCH", f"/v1/webhooks/{audit}", body)

    def round(self, number: int) -> Round:
        self._cloud.heat(number)
        self._post(self._quiet)  # so that what was moved last is known
        self._wait(AuditRun, _RUN_ENDS, 2 * number + 1)
        self._cloud.change()
        before, began = self._worked(), time.time() - time.monotonic()
        posted = time.monotonic()
        self._post(self._audit)
        asked = self._cloud.first_migration()
        worked = {name: cpu - before[name] for name, cpu in self._worked().items()}
        self._wait(AuditRun, _RUN_ENDS, 2 * number + 2)
        self._wait(ActionPlan, _PLAN_ENDS, 2 * number + 2)
        found = Round(posted, asked, self._marks(posted, began), worked)
        with self._database.reader() as session:
            newest = session.scalars(select(func.max(ActionPlan.id))).one()
            found.actions = session.scalars(
                select(func.count(Action.id)).where(Action.action_plan_id == newest)
            ).one()
        return found

    def _marks(self, posted: float, clock: float) -> dict[str, float]:
        """When each log line was last written, by the monotonic clock."""
        marks = {}
        text = "".join(log.read_text() for log in self._logs.values())
        for pair in _STAGES.values():
            for pattern in filter(None, pair):
                line = rf"^(\S+ \S+) \d+ .*{pattern.format(audit=self._audit)}"
                if times := re.findall(line, text, re.MULTILINE):
                    written = datetime.datetime.fromisoformat(times[-1]).timestamp()
                    marks[pattern] = written - clock
        return marks

    def _worked(self) -> dict[str, float]:
        """Seconds of processor time by service, so far."""
        return {name: webhooks.worked(pid) for name, pid in self._pids.items()}

    def _create(self, name: str, threshold: float, **more: Any) -> str:
        body = {
            "audit_type": "EVENT",
            "name": name,
            "goal": "workload_balancing",
            "strategy": "workload_balance",
            "parameters": {"threshold": threshold},
            **more,
        }
        uuid: str = json.loads(self._request("POST", "/v1/audits", body))["uuid"]
        return uuid

    def _post(self, audit: str) -> None:
        self._request("POST", f"/v1/webhooks/{audit}", stack.ALARM)

    def _request(self, method: str, path: str, body: Any) -> bytes:
        self._connection.close()  # the API may have done so, as it was idle
        return stack.send(self._connection, method, path, body)

    def _wait(self, table: Any, states: Any, number: int) -> None:
        deadline = time.monotonic() + DEADLINE
        wanted = select(func.count(table.id)).where(table.state.in_(states))
        while True:
            with self._database.reader() as session:
                found = session.scalars(wanted).one()
            if found >= number:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{found} of {number} {table.__name__} ended")
            time.sleep(0.05)


@contextlib.contextmanager
def _services(
    directory: Path, url: str, arguments: argparse.Namespace, cloud: Cloud
) -> Iterator[Services]:
    configuration, port = directory / "watcher.conf", stack.free_port()
    configuration.write_text(
        _CONFIGURATION.format(
            broker=arguments.broker,
            directory=directory,
            database=url,
            port=port,
            topic=f"bench.{secrets.token_hex(4)}",
            cloud=prometheus.section(cloud.prometheus) + keystone.section(cloud.identity),
        )
    )
    database = Database(watcher_conf.load([], [str(configuration)]))
    migration.upgrade(database)
    with contextlib.ExitStack() as exits:
        logs, pids = {}, {}
        for name in SERVICES:
            command = [stack.script(name), "--config-file", str(configuration)]
            process, log = exits.enter_context(stack.child(command, directory / f"{name}.log"))
            stack.wait(lambda log=log: re.search(r"is ready|listens on", log.read_text()), process)
            logs[name], pids[name] = log, process.pid
        hosts, servers = clusters.SIZES[arguments.size]
        threshold = THRESHOLD * servers / hosts
        services = Services(database, port, cloud, logs, pids, threshold)
        exits.enter_context(_alarms(port, services.others))
        yield services
    database.dispose()


@contextlib.contextmanager
def _alarms(port: int, audits: Sequence[str]) -> Iterator[None]:
    """Post to *audits* all the time."""
    ended, threads = threading.Event(), 4

    def post(first: int) -> None:
        connection, number = http.client.HTTPConnection("127.0.0.1", port), first
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            audit = audits[number % len(audits)]
            stack.send(connection, "POST", f"/v1/webhooks/{audit}", stack.ALARM)
            number, due = number + threads, due + threads / RATE

    posting = [threading.Thread(target=post, args=(first,)) for first in range(threads)]
    for thread in posting:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in posting:
            thread.join()


def _figures(size: str, rounds: Sequence[Round]) -> Iterator[Figure]:
    for percent in (50, 99):
        found = percentile([each.seconds for each in rounds], percent)
        target = SECONDS if percent == 99 else None
        yield Figure(f"{size}: alarm to migration, p{percent}", found, "s", target)

    def median(what: str, value: Callable[[Round], float], unit: str = "s") -> Figure:
        return Figure(f"{size}: {what}", statistics.median(map(value, rounds)), unit)

    yield median("answers waited for", lambda each: each.answers())
    for name, prefix in (("nova", "/compute"), ("placement", "/placement"), ("prometheus", "/api")):
        yield median(f"  of {name}", lambda each, prefix=prefix: each.answers(prefix))
    for stage, (first, last) in _STAGES.items():
        yield median(
            stage,
            lambda each, first=first, last=last: (
                each.marks.get(last, each.migrated) - each.marks.get(first, each.posted)
            ),
        )
    for name in SERVICES:
        yield median(f"processor time of {name}", lambda each, name=name: each.worked[name])
    yield median("requests to the cloud", lambda each: len(each.asked), "")
    yield median("actions of the plan", lambda each: each.actions, "")
    yield Figure(f"{size}: load average of the machine", os.getloadavg()[0], "")
