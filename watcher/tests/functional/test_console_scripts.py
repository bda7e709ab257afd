# SPDX-License-Identifier: Apache-2.0
"""The console scripts as they are installed: they get ready, do their work and stop."""

import functools
import os
import pathlib
import signal
import socket
import subprocess
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.db import models, runs
from watcher.tests import base, factories
from watcher.tests.processes import Process, free_port, run, status_of

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
        self.port = free_port()
        self.config = os.path.join(self.directory, "watcher.conf")
        with open(self.config, "w") as config:
            config.write(CONFIG.format(directory=self.directory, port=self.port))

    def run_script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return run(name, "--config-file", self.config, *arguments)

    def start_script(self, name: str) -> Process:
        return Process(self, name, "--config-file", self.config)

    def beats(self, name: str) -> list[Any]:
        """When each service of that name was last seen."""
        with self.database.reader() as session:
            found = select(models.Service.last_seen_up).where(models.Service.name == name)
            return list(session.scalars(found))


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
        self.assertEqual(200, process.wait_until("answered", lambda: status_of(url)))
        self.assertEqual(0, process.stop())
        self.assertNotIn("Traceback", process.log.read_text())

    def test_what_cannot_start_says_why_and_ends(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            self.refused("watcher-api", "nothing can listen on")
        tls = "enable_ssl_api = true\n[ssl]\ncert_file = /nowhere.pem\nkey_file = /nowhere.pem\n"
        with open(self.config, "a") as config:
            config.write(tls)
        self.refused("watcher-api", "[ssl] cert_file: the file /nowhere.pem")
        path = pathlib.Path(self.config)
        path.write_text(path.read_text().replace("/nowhere.pem", self.config))
        self.refused("watcher-api", "[ssl] cert_file, key_file: no certificate")

    def test_a_second_api_is_refused_before_the_first_one_listens(self) -> None:
        """Processes that share a port could share it with those of another parent."""
        text = pathlib.Path(self.config).read_text()
        pathlib.Path(self.config).write_text(text.replace("workers = 1", "workers = 2"))
        first = self.start_script("watcher-api")
        first.wait_until("started its processes", first.children)
        self.refused("watcher-api", "nothing can listen on")
        url = f"http://127.0.0.1:{self.port}/v1/goals"
        self.assertEqual(200, first.wait_until("answered", lambda: status_of(url)))

    def test_a_database_without_tables(self) -> None:
        models.Base.metadata.drop_all(self.database.engine)
        for script in ("watcher-api", "watcher-decision-engine", "watcher-applier"):
            self.refused(script, "run watcher-db-manage upgrade")

    def test_a_keystone_without_configuration(self) -> None:
        text = pathlib.Path(self.config).read_text()
        text = text.replace("enable_authentication = false", "")
        pathlib.Path(self.config).write_text(text)
        self.refused("watcher-api", "[keystone_authtoken] auth_type, auth_url, username, password")

    def test_a_configuration_that_nobody_can_work_with(self) -> None:
        text = pathlib.Path(self.config).read_text()
        for wrong, words in (
            ("no configuration at all", "no configuration at all"),
            ("[DEFAULT]\nlease_duration = soon", "lease_duration"),
            ("[DEFAULT]\ntransport_url = pigeon://", "pigeon"),
            ("[DEFAULT]\nlog_dir = /nowhere", "/nowhere"),
            ("[database]\nconnection = nosuch://", "nosuch"),
        ):
            pathlib.Path(self.config).write_text(f"{text}\n{wrong}\n")
            for script in ("watcher-api", "watcher-applier"):
                self.refused(script, words)
        self.config += ".gone"
        self.refused("watcher-decision-engine", "watcher.conf.gone")

    def refused(self, script: str, words: str) -> None:
        done = self.run_script(script)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        sentence = done.stderr.splitlines()
        self.assertTrue(
            any(line.startswith(f"{script}: ") and words in line for line in sentence), done.stderr
        )

    def test_a_stop_at_any_moment_of_the_start(self) -> None:
        for script in ("watcher-api", "watcher-decision-engine", "watcher-applier"):
            for lines in range(4):
                process = self.start_script(script)
                process.wait_until("began", functools.partial(process.has_written, lines))
                self.assertIn(process.stop(), (0, -signal.SIGTERM), script)

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
        self.assertIn("0 runs under way", self.check("watcher-status", "show"))
        self.check("watcher-sync")
        with self.database.reader() as session:
            names = session.scalars(select(models.Strategy.name)).all()
        self.assertIn("dummy", names)
        version = self.check("watcher-db-manage", "version").splitlines()[-1]
        self.assertRegex(version, "^[0-9a-f]{12}$")
