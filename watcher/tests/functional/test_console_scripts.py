# SPDX-License-Identifier: Apache-2.0
"""The console scripts as they are installed: they get ready, do their work and stop."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.db import models, runs
from watcher.notifications import rows
from watcher.tests import base, factories

SECONDS = 30.0
"""How long a busy machine is given for what takes a second."""

CONFIG = """
[DEFAULT]
transport_url = fake://
host = node-1
state_path = {directory}
enable_authentication = false
lease_duration = 3

[watcher_decision_engine]
poll_interval = 1

[database]
connection = sqlite:///{directory}/watcher.sqlite

[api]
host = 127.0.0.1
port = {port}
workers = 1
"""


class ScriptTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.port = _free_port()
        self.config = os.path.join(self.directory, "watcher.conf")
        with open(self.config, "w") as config:
            config.write(CONFIG.format(directory=self.directory, port=self.port))

    def run_script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(name, *arguments), capture_output=True, text=True, timeout=SECONDS
        )

    def start_script(self, name: str) -> "Process":
        log = pathlib.Path(self.directory, f"{name}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(name),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.addCleanup(_end, process)
        return Process(process, log)

    def _command(self, name: str, *arguments: str) -> list[str]:
        script = pathlib.Path(sys.executable).with_name(name)
        return [str(script), "--config-file", self.config, *arguments]

    def beats(self, name: str) -> list[Any]:
        """When each service of that name was last seen."""
        with self.database.reader() as session:
            return [row.last_seen_up for row in rows.services(session, name)]


class Process:
    """A service under test."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: pathlib.Path) -> None:
        self.process, self.log = process, log

    def wait_until(self, what: str, condition: Callable[[], Any]) -> Any:
        """What *condition* gives when that is something, as long as the process lives."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"It ended before it {what}:\n{self.log.read_text()}")
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"It never {what}:\n{self.log.read_text()}")

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


class TestServices(ScriptTestCase):
    def check(self, script: str) -> None:
        """It beats at its start, beats again, and stops in good order."""
        process = self.start_script(script)
        first = process.wait_until("was seen", lambda: self.beats(script))
        process.wait_until("was seen again", lambda: self.beats(script) != first)
        self.assertEqual(0, process.stop())
        self.assertNotIn("Traceback", process.log.read_text())

    def test_decision_engine(self) -> None:
        self.check("watcher-decision-engine")

    def test_applier(self) -> None:
        self.check("watcher-applier")

    def test_api(self) -> None:
        process = self.start_script("watcher-api")
        url = f"http://127.0.0.1:{self.port}/v1/goals"
        self.assertEqual(200, process.wait_until("answered", lambda: _status(url)))
        self.assertEqual(0, process.stop())
        self.assertNotIn("Traceback", process.log.read_text())

    def test_a_run_needs_no_doorbell(self) -> None:
        """The message bus of these processes reaches nobody; the queue is the database."""
        script = self.start_script("watcher-decision-engine")
        goal = script.wait_until("knew the goals", self._goal)
        now = timeutils.utcnow()
        with self.database.writer() as session:
            audit = factories.audit(session, goal)
            runs.enqueue(session, audit.id, now, now)
        script.wait_until("ran the audit", lambda: self._plan_of(audit.id))
        self.assertEqual(0, script.stop())

    def _goal(self) -> models.Goal | None:
        with self.database.reader() as session:
            return session.scalars(
                select(models.Goal).where(models.Goal.name == "dummy")
            ).one_or_none()

    def _plan_of(self, audit_id: int) -> models.ActionPlan | None:
        with self.database.reader() as session:
            return session.scalars(
                select(models.ActionPlan).where(models.ActionPlan.audit_id == audit_id)
            ).one_or_none()


class TestCommands(ScriptTestCase):
    """On a database that does not exist yet."""

    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.drop_all(self.database.engine)

    def check(self, name: str, *arguments: str) -> str:
        done = self.run_script(name, *arguments)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_from_nothing_to_a_synced_catalogue(self) -> None:
        self.assertNotEqual(0, self.run_script("watcher-status", "upgrade", "check").returncode)
        self.check("watcher-db-manage", "upgrade")
        self.check("watcher-status", "upgrade", "check")
        self.check("watcher-sync")
        with self.database.reader() as session:
            names = session.scalars(select(models.Strategy.name)).all()
        self.assertIn("dummy", names)
        version = self.check("watcher-db-manage", "version").splitlines()[-1]
        self.assertRegex(version, "^[0-9a-f]{12}$")


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Whatever a failed test left behind, with its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
