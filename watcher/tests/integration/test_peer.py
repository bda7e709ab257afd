# SPDX-License-Identifier: Apache-2.0
"""A database that the former service has made and filled, taken over and given back.

``WATCHER_TEST_PEER=1`` installs it from the package index into a virtual environment, which
takes minutes; the path of one that has it spares that.  Without the variable nothing is tested.
It runs in processes of its own, and is spoken to through its commands and its API alone.
"""

import atexit
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from typing import Any

import webob

from watcher.common.states import ActionState, AuditState, AuditType, PlanState
from watcher.db import migration, runs
from watcher.tests import processes
from watcher.tests.base import wait_for
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.api.fakes import build_api
from watcher.tests.unit.db.migration_stories import FORMER_HEAD, NOW, FormerRows

VERSION = "17.0.0"
RESOURCES = ("goals", "strategies", "audit_templates", "audits", "action_plans", "actions")
HEADERS = {
    "OpenStack-API-Version": "infra-optim latest",
    "X-Roles": "admin",
    "X-User-Id": "user",
    "X-Project-Id": "project",
    "Content-Type": "application/json",
}
CONF = """
[DEFAULT]
enable_authentication = False
transport_url = fake://
state_path = {directory}
log_file = {directory}/peer.log
[database]
connection = {connection}
[oslo_messaging_notifications]
driver = noop
"""


@functools.cache
def environment(given: str) -> pathlib.Path:
    """The scripts of a virtual environment that has the former service."""
    if given != "1":
        return pathlib.Path(given, "bin")
    directory = tempfile.mkdtemp(prefix="watcher-peer-")
    atexit.register(shutil.rmtree, directory)
    # Not our versions of the libraries.
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    scripts = pathlib.Path(directory, "bin")
    packages = (f"python-watcher=={VERSION}", "pymysql", "psycopg2-binary")
    subprocess.run([scripts / "pip", "install", "--quiet", *packages], check=True, env=env)
    return scripts


class PeerStories(FormerRows):
    CRON = "*/5 * * * *"

    def setUp(self) -> None:
        given = os.environ.get("WATCHER_TEST_PEER")
        if not given:
            self.skipTest("WATCHER_TEST_PEER is not set")
        super().setUp()
        self.scripts = environment(given)
        self.config = pathlib.Path(self.directory, "peer.conf")
        connection = self.conf.database.connection
        self.config.write_text(CONF.format(directory=self.directory, connection=connection))
        self.peer("watcher-db-manage", "upgrade")
        self.peer("watcher-sync")

    def peer(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            [self.scripts / script, "--config-file", self.config, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"},
        )
        self.assertEqual(0, done.returncode, f"{script} {arguments}; see its log")
        return done.stdout

    def serve_peer(self) -> None:
        port = processes.free_port()
        address = ("--host", "127.0.0.1", "--port", str(port))
        server = subprocess.Popen(
            [self.scripts / "watcher-api-wsgi", *address, "--", "--config-file", self.config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"},
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.url = f"http://127.0.0.1:{port}"
        wait_for(lambda: processes.status_of(f"{self.url}/"), "the peer's API answers")

    def ask_peer(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", data, HEADERS)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ask_ours(self, path: str) -> Any:
        request = webob.Request.blank(f"/v1/{path}", headers=HEADERS)
        answer = request.get_response(self.api)
        self.assertEqual(200, answer.status_int, answer.text)
        return answer.json

    def everything(self, ask: Any) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (resource, row["uuid"]): row
            for resource in RESOURCES
            for row in ask(f"{resource}/detail?limit=1000")[resource]
        }

    def fill(self) -> None:
        """Through its API, and what only its services would write through the database."""
        template = {"name": "template", "goal": "dummy", "strategy": "dummy", "scope": []}
        self.ask_peer("audit_templates", template)
        for kind, values in (
            (AuditType.ONESHOT, {}),
            (AuditType.EVENT, {"auto_trigger": True}),
            (AuditType.CONTINUOUS, {"interval": self.CRON}),
            (AuditType.CONTINUOUS, {"interval": "600"}),
        ):
            self.ask_peer("audits", {"audit_type": kind, "goal": "dummy", **values})
        with self.database.engine.connect() as connection:
            goal, strategy = connection.exec_driver_sql(
                "SELECT goal_id, id FROM strategies WHERE name = 'dummy'"
            ).one()
        common = {"strategy_id": strategy, "parameters": '{"para1": 3.2}', "scope": "[]"}
        for kind in AuditType.ALL:
            for state in AuditState.ALL[:-1]:
                interval = self.CRON if kind == AuditType.CONTINUOUS else None
                values = {"audit_type": kind, "state": state, "interval": interval}
                name = "twin" if state == AuditState.SUCCEEDED else f"{kind}-{state}"
                audit = self.insert_audit(
                    str(uuid.uuid4()), goal, name=name, force=False, **common, **values
                )
        for state in PlanState.ALL[:-1]:
            self.fill_plan(audit, strategy, state)

    def fill_plan(self, audit: int, strategy: int, state: str) -> None:
        plan = self.insert(
            "action_plans",
            uuid=str(uuid.uuid4()),
            audit_id=audit,
            strategy_id=strategy,
            state=state,
            global_efficacy="[]",
        )
        for action_state in (ActionState.PENDING, ActionState.SUCCEEDED):
            self.insert(
                "actions",
                uuid=str(uuid.uuid4()),
                action_plan_id=plan,
                action_type="nop",
                input_parameters='{"message": "h\u00e9llo"}',
                state=action_state,
                parents="[]",
            )
        indicator = {"uuid": str(uuid.uuid4()), "name": "n", "description": "d", "unit": "%"}
        self.insert("efficacy_indicators", **indicator, value=2, data=2.5, action_plan_id=plan)

    def differences(self, old: Any, new: Any) -> set[tuple[str, str, Any, Any]]:
        """Resource, field and both values, of what the old answers have."""
        self.assertEqual(old.keys(), new.keys())
        return {
            (resource, field, str(value), str(new[resource, key].get(field)))
            for (resource, key), row in old.items()
            for field, value in row.items()
            if field != "links" and value != new[resource, key].get(field)
        }

    def test_there_and_back(self) -> None:
        self.assertEqual(FORMER_HEAD, self.peer("watcher-db-manage", "version").strip())
        self.serve_peer()
        self.fill()
        before = self.everything(self.ask_peer)
        self.assertTrue(self.kill_at(20, migration.upgrade))
        migration.upgrade(self.database)
        self.conf.set_override("enable_authentication", False)
        self.api = build_api(self.conf, self.database)
        differences = self.differences(before, self.everything(self.ask_ours))
        renamed = {each for each in differences if each[:3] == ("audits", "name", "twin")}
        self.assertEqual(2, len(renamed))
        self.assertEqual(set(), differences - renamed)
        adopted = self.database.write(lambda session: runs.adopt(session, NOW))
        self.assertEqual(8, adopted)

        def back(database: Any) -> None:
            migration.downgrade(database, FORMER_HEAD)

        self.assertTrue(self.kill_at(10, back))
        back(self.database)
        self.assertEqual(FORMER_HEAD, self.peer("watcher-db-manage", "version").strip())
        self.peer("watcher-db-manage", "upgrade")
        self.assertEqual(renamed, self.differences(before, self.everything(self.ask_peer)))
        created = self.ask_peer("audits", {"audit_type": "ONESHOT", "goal": "dummy"})
        self.assertEqual("PENDING", created["state"])


class PeerOnMariaDB(PeerStories, MariaDBTestCase):
    pass


class PeerOnPostgreSQL(PeerStories, PostgreSQLTestCase):
    CRON = "300"  # its own migrations leave a column of integers here
