# SPDX-License-Identifier: Apache-2.0
"""The rate of alarms that the API accepts, compared with the database alone.

The API has 2 workers of 8 threads, and MariaDB; 16 clients post as fast as they are
answered.  The raw rate is that of 16 plain connections that execute the
statements of the intake, which are recorded from the intake itself, in the same run.
"""

import argparse
import contextlib
import json
import os
import secrets
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import webob

from benchmarks import core, load, stack
from benchmarks.report import Figure, percentile, show
from watcher import conf as watcher_conf
from watcher.cmd import api
from watcher.common.states import AuditType
from watcher.db import migration, models
from watcher.db.models import Audit, AuditEvent, AuditRun, Goal
from watcher.db.session import Database

DATABASE = os.environ.get("WATCHER_TEST_MYSQL_URL") or "mysql+pymysql://root@127.0.0.1:3306/mysql"
BROKER = os.environ.get("WATCHER_TEST_RABBIT_URL") or "rabbit://guest:guest@127.0.0.1:5672/"
CLIENTS = 16
_SERVERS = ("watcher-api", "gunicorn")
_WORKERS, _THREADS = 2, 8
_TURNS = 3
BODY = json.dumps(stack.ALARM).encode()
_TODAY_RATE, _TODAY_P99 = 200, 99
"""The best measured figures of the former service, which stores nothing."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench webhooks", description=__doc__)
    parser.add_argument(
        "--database",
        default=DATABASE,
        help="a MariaDB server on which databases may be created",
    )
    parser.add_argument(
        "--broker",
        default=BROKER,
        help="a RabbitMQ broker",
    )
    parser.add_argument(
        "--server",
        choices=_SERVERS,
        default="watcher-api",
        help="which runs the API",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--only", help="run the parts whose names contain this")
    arguments = parser.parse_args(argv)
    figures: list[Figure] = []
    for part in (intake, intake_without_broker, reaction):
        if arguments.only and arguments.only not in part.__name__:
            continue
        print(f"... {part.__name__}", flush=True)
        with tempfile.TemporaryDirectory() as directory, new_database(arguments.database) as url:
            figures += part(Path(directory), url, arguments)
    show(figures)
    return 0


def intake(directory: Path, url: str, arguments: argparse.Namespace) -> Iterator[Figure]:
    return _intake(directory, url, arguments.broker, arguments, "")


def intake_without_broker(
    directory: Path, url: str, arguments: argparse.Namespace
) -> Iterator[Figure]:
    nobody = f"rabbit://guest:guest@127.0.0.1:{stack.free_port()}/"
    return _intake(directory, url, nobody, arguments, ", broker down")


def reaction(directory: Path, url: str, arguments: argparse.Namespace) -> Iterator[Figure]:
    """From an alarm to its plan, and many audits at once, on MariaDB."""
    for name, part in (("latency", core.latency), ("throughput", core.throughput)):
        place = directory / name
        place.mkdir()
        yield from part(place, argparse.Namespace(database=url, cluster=None))


def _intake(
    directory: Path, url: str, broker: str, arguments: argparse.Namespace, when: str
) -> Iterator[Figure]:
    configuration, port = directory / "watcher.conf", stack.free_port()
    settings = (
        f"[DEFAULT]\ntransport_url = {broker}\nenable_authentication = false\n"
        f"state_path = {directory}\n"
        f"[watcher_decision_engine]\nconductor_topic = bench.{secrets.token_hex(4)}\n"
        f"[api]\nport = {port}\nworkers = {_WORKERS}\nthreads = {_THREADS}\n"
        f"[database]\nconnection = {url}\n[webhooks]\nmax_recorded_per_minute = "
    )
    configuration.write_text(f"{settings}60")
    database = Database(watcher_conf.load([], [str(configuration)]))
    migration.upgrade(database)
    audits = _create_audits(database, 200)
    how: dict[str, Any] = {"clients": CLIENTS, "seconds": arguments.seconds / _TURNS}
    connection = _plain(url)
    # For 200 audits each alarm is recorded; for one audit, most alarms exceed the rate limit.
    for number, limit, what in ((200, 1_000_000, "200 audits"), (1, 60, "1 audit")):
        configuration.write_text(f"{settings}{limit}")
        conf = watcher_conf.load([], [str(configuration)])
        paths = [f"/v1/webhooks/{uuid}" for uuid in audits[:number]]
        recorded = _record(conf, database, paths)
        raws, accepted, cpu = [], [], 0.0
        with _served(arguments.server, configuration, port) as server:
            # In turns, because the speed of a machine changes.
            for _ in range(_TURNS):
                raws.append(load.sql(connection, recorded, **how))
                before = worked(server)
                accepted.append(load.http(("127.0.0.1", port), paths, BODY, **how))
                cpu += worked(server) - before
        _empty(database)
        # The clients warm up first, which costs the server as well: about as much a second.
        alarms = load.pooled(accepted).rate * (how["seconds"] + load.WARM_UP) * _TURNS
        aim = 1.0 if number == 1 else 0.6
        yield from _compared(what + when, load.pooled(raws), load.pooled(accepted), aim)
        yield Figure(
            f"processor time of the API an alarm, {what + when}", cpu / alarms * 1000, "ms"
        )
    database.dispose()


def _compared(what: str, raw: load.Measured, ours: load.Measured, aim: float) -> Iterator[Figure]:
    """The intake beside the plain transactions; *aim* is a share of the rate of these."""
    raw_p99, p99 = (percentile(each.seconds, 99) * 1000 for each in (raw, ours))
    accepted = f"alarms accepted per second, {what}"
    yield Figure(f"raw transactions per second, {what}", raw.rate, "/s")
    yield Figure(accepted, ours.rate, "/s", aim * raw.rate, _TODAY_RATE, True)
    yield Figure(f"raw p50, {what}", percentile(raw.seconds, 50) * 1000, "ms")
    yield Figure(f"answer p50, {what}", percentile(ours.seconds, 50) * 1000, "ms")
    yield Figure(f"raw p99, {what}", raw_p99, "ms")
    yield Figure(f"answer p99, {what}", p99, "ms", 2 * raw_p99, _TODAY_P99)


def _create_audits(database: Database, number: int) -> list[str]:
    with database.writer() as session:
        goal = Goal(name="bench", display_name="bench", efficacy_specification=[])
        session.add(goal)
        session.flush()
        audits = [
            Audit(
                uuid=models.new_uuid(),
                name=f"bench-{index}",
                audit_type=AuditType.EVENT,
                goal_id=goal.id,
            )
            for index in range(number)
        ]
        session.add_all(audits)
        return [audit.uuid or "" for audit in audits]


def _record(conf: Any, database: Database, paths: Sequence[str]) -> Sequence[load.Statements]:
    """The statements of the intake for an event, on each path."""
    application, stop = api.wired(conf)
    listening: list[list[tuple[str, dict[str, Any]]]] = []

    def executed(_1: Any, _2: Any, statement: str, parameters: Any, *_3: Any) -> None:
        # oslo.db checks each connection by this statement, which is not of the intake.
        if listening and statement != "SELECT 1":
            listening[-1].append((statement, dict(parameters)))

    def ended(how: str) -> Any:
        return lambda connection: listening and listening[-1].append((how, {}))

    listeners = (
        ("before_cursor_execute", executed),
        ("commit", ended("COMMIT")),
        ("rollback", ended("ROLLBACK")),
    )
    for name, listener in listeners:
        sa.event.listen(sa.Engine, name, listener)
    try:
        for path in paths:
            _post(application, path)  # later events ring no doorbell
        for path in paths:
            listening.append([])
            _post(application, path)
    finally:
        for name, listener in listeners:
            sa.event.remove(sa.Engine, name, listener)
        stop()
    return listening


def _post(application: Any, path: str) -> None:
    request = webob.Request.blank(path, method="POST", body=BODY)
    request.content_type = "application/json"
    answer = request.get_response(application)
    if answer.status_code != 202:
        raise RuntimeError(f"{path}: {answer.status} {answer.text}")


def _empty(database: Database) -> None:
    with database.writer() as session:
        for table in (AuditEvent, AuditRun):
            session.execute(sa.delete(table))


@contextlib.contextmanager
def _served(server: str, configuration: Path, port: int) -> Iterator[int]:
    """The process that runs the API."""
    if server == "gunicorn":
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
        command += ["--workers", str(_WORKERS), "--threads", str(_THREADS)]
        # Clients may wait for the processor longer than the default, and are not idle then.
        command += ["--keep-alive", "60", "--env", f"OS_WATCHER_CONFIG_FILES={configuration}"]
        command += ["watcher.wsgi.api:application"]
    else:
        command = [stack.script(server), "--config-file", str(configuration)]
    with stack.child(command, configuration.with_name(f"{server}.log")) as (process, _log):
        stack.wait(lambda: _answers(port), process)
        yield process.pid


def worked(server: int) -> float:
    """Seconds of processor time of a process and its children, so far."""
    ticks = 0
    for pid in stack.processes(server):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _plain(url: str) -> dict[str, Any]:
    parts = sa.make_url(url)
    return {
        "host": parts.host,
        "port": parts.port or 3306,
        "user": parts.username,
        "password": parts.password or "",
        "database": parts.database,
        "charset": "utf8mb4",
    }


@contextlib.contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of a new database, for as long as it is needed."""
    name = f"watcher_bench_{secrets.token_hex(4)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name}"))
