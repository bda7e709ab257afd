# SPDX-License-Identifier: Apache-2.0
"""Services as child processes of a benchmark, and requests to them."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from watcher import conf as watcher_conf
from watcher.common.states import RunState
from watcher.db import migration
from watcher.db.models import AuditRun
from watcher.db.session import Database

DEADLINE = 600
ALARM = {
    "alarm_name": "busy-host",
    "alarm_id": "0d5b5a48-29ae-4ae9-aa33-1d1efc4aca98",
    "severity": "low",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm due to 1 samples outside threshold, most recent: 86.686",
    "reason_data": {"type": "threshold", "disposition": "outside", "count": 1},
}


class Stack:
    """watcher-all-in-one as a child process, and a connection to its database."""

    def __init__(self, state: Path, cluster: Path, database: str | None) -> None:
        state.mkdir(exist_ok=True)
        command = [
            script("watcher-all-in-one"),
            f"--cloud={cluster}",
            f"--state-dir={state}",
            "--port=0",
        ]
        if database:
            config = state / "watcher.conf"
            config.write_text(f"[database]\nconnection = {database}\n")
            command.append(f"--config-file={config}")
        self._command, self._log = command, state / "log"
        self.database = database_of(state, database)

    def __enter__(self) -> "Stack":
        self._exits = contextlib.ExitStack()
        process, log = self._exits.enter_context(child(self._command, self._log))
        found = wait(lambda: re.search(r"listens on (\S+)", log.read_text()), process)
        address = urlsplit(found[1])
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._exits.close()
        self.database.dispose()

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        return send(self._connection, method, path, body)

    def create_audit(self, name: str, strategy: str) -> str:
        listed = json.loads(self.request("GET", "/v1/strategies"))["strategies"]
        goal = next(item["goal_name"] for item in listed if item["name"] == strategy)
        body = {"audit_type": "EVENT", "name": name, "goal": goal, "strategy": strategy}
        uuid: str = json.loads(self.request("POST", "/v1/audits", body))["uuid"]
        return uuid

    def post(self, audit: str) -> None:
        self.request("POST", f"/v1/webhooks/{audit}", ALARM)

    def alarm_to_plan(self, audit: str) -> float:
        """Seconds from before the alarm is posted until its plan is committed."""
        done = self.runs_done()
        began = time.perf_counter()
        self.post(audit)
        self.wait_for_runs(done + 1)
        return time.perf_counter() - began

    def runs_done(self) -> int:
        with self.database.reader() as session:
            return session.scalars(
                select(func.count(AuditRun.id)).where(AuditRun.state == RunState.SUCCEEDED)
            ).one()

    def wait_for_runs(self, number: int) -> None:
        deadline = time.monotonic() + DEADLINE
        while self.runs_done() < number:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.runs_done()} of {number} runs ended in {DEADLINE} s")
            time.sleep(0.002)


def send(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> bytes:
    """The body of the API's answer, which has to be no error."""
    headers = {"OpenStack-API-Version": "infra-optim latest"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
    return content


def database_of(state: Path, url: str | None) -> Database:
    """The database of *url*, or an SQLite file in the directory *state*, with its tables."""
    state.mkdir(exist_ok=True)
    conf = watcher_conf.load([], [])
    conf.set_override("connection", url or f"sqlite:///{state}/watcher.sqlite", group="database")
    database = Database(conf)
    migration.ensure(database)
    return database


def script(name: str) -> str:
    """The path of a command of Watcher."""
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def child(command: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process that ends with the ``with`` block, and its *log*."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process, log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait(condition: Any, process: subprocess.Popen[bytes]) -> Any:
    """What *condition* returns when that is true.  RuntimeError if the process ends before."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} did not become ready")
        time.sleep(0.01)
    return found


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [
        pid,
        *(each for children in lists for child in children for each in processes(int(child))),
    ]


def memory(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return tuple(
        int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1]) / 1024 for name in ("Rss", "Pss")
    )


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
