# SPDX-License-Identifier: Apache-2.0
"""202 means committed, whoever dies afterwards; the tests of each database take these in."""

import pathlib

import fixtures
from sqlalchemy import select

from watcher.common.states import AuditState, AuditType, RunState
from watcher.db import counters, migration
from watcher.db.models import ActionPlan, Audit, AuditEvent, AuditRun, Strategy
from watcher.db.session import Database
from watcher.tests.base import TestCase, wait_for
from watcher.tests.processes import Process, free_port, start_node, status_of

CONFIG = """
[DEFAULT]
host = {host}
transport_url = {transport}
state_path = {directory}
enable_authentication = false
lease_duration = 3

[database]
connection = {database}

[oslo_messaging_rabbit]
amqp_auto_delete = true

[api]
host = 127.0.0.1
port = {port}
workers = 1

[watcher_decision_engine]
conductor_topic = {name}
poll_interval = 1
{options}
"""

STRATEGY = """
import os, time
from watcher.decision_engine.strategies.dummy import Dummy

class Patient(Dummy):
    name = "patient"
    display_name = "Dummy strategy that waits until a file is there"

    def execute(self, inputs):
        with open(os.environ["WATCHER_TEST_BEGUN"], "a") as begun:
            begun.write("once more\\n")
        while not os.path.exists(os.environ["WATCHER_TEST_RELEASE"]):
            time.sleep(0.01)
        return super().execute(inputs)
"""

ALARM = b'{"alarm_name": "a", "alarm_id": "1", "previous": "ok", "current": "alarm"}'


class KilledStories(TestCase):
    """Needs ``self.database`` without a schema, and the URL of a message bus."""

    database: Database
    transport: str

    def prepare(self, name: str) -> None:
        """An empty schema, and a strategy of somebody else that takes as long as we want.

        *name* distinguishes these services from others on the message bus.
        """
        self.name, self.port = name, free_port()
        migration.upgrade(self.database)
        directory = pathlib.Path(self.directory, "plugins")
        facts = directory / "patient-1.0.dist-info"
        facts.mkdir(parents=True)
        (directory / "patient.py").write_text(STRATEGY)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: patient\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text("[watcher_strategies]\npatient = patient:Patient\n")
        self.begun, self.release = (
            pathlib.Path(self.directory, name) for name in ("begun", "release")
        )
        for variable, value in (
            ("PYTHONPATH", directory),
            ("WATCHER_TEST_BEGUN", self.begun),
            ("WATCHER_TEST_RELEASE", self.release),
        ):
            self.useFixture(fixtures.EnvironmentVariable(variable, str(value)))

    def start(self, script: str, host: str, options: str = "") -> Process:
        config = CONFIG.format(
            host=host,
            transport=self.transport,
            directory=self.directory,
            database=self.conf.database.connection,
            port=self.port,
            name=self.name,
            options=options,
        )
        return start_node(self, script, host, config)

    def start_api(self) -> Process:
        api = self.start("watcher-api", "api")
        api.wait_until("answered", lambda: status_of(f"http://127.0.0.1:{self.port}/") == 200)
        return api

    def start_engine(self, host: str, options: str = "") -> Process:
        engine = self.start("watcher-decision-engine", host, options)
        engine.wait_until("synced the catalogue", self.strategy)
        return engine

    def strategy(self) -> Strategy | None:
        with self.database.reader() as session:
            return session.scalar(select(Strategy).where(Strategy.name == "patient"))

    def create_audit(self) -> str:
        strategy = self.strategy()
        assert strategy is not None
        with self.database.writer() as session:
            audit = Audit(
                audit_type=AuditType.EVENT, goal_id=strategy.goal_id, strategy_id=strategy.id
            )
            session.add(audit)
            session.flush()
            return audit.uuid or ""

    def post(self, audit: str) -> None:
        url = f"http://127.0.0.1:{self.port}/v1/webhooks/{audit}"
        self.assertEqual(202, status_of(url, ALARM))

    def times_begun(self) -> int:
        return len(self.begun.read_text().splitlines()) if self.begun.exists() else 0

    def take_overs(self) -> int:
        with self.database.reader() as session:
            return counters.totals(session)[counters.TAKE_OVERS, counters.RUN]

    def runs(self) -> list[AuditRun]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditRun).order_by(AuditRun.id)))

    def wait_for_runs(self, number: int) -> list[AuditRun]:
        """The runs as soon as so many of them have ended and none is left."""

        def ended() -> list[AuditRun]:
            runs = self.runs()
            done = [run for run in runs if run.finished_at is not None]
            return runs if len(done) == len(runs) == number else []

        return wait_for(ended, f"{number} runs end")

    def check_written_once(self, events: int) -> None:
        """Each run ended well with a plan of its own, nothing is stuck, no event is lost."""
        runs = self.runs()
        self.assertEqual({RunState.SUCCEEDED}, {run.state for run in runs})
        with self.database.reader() as session:
            plans = session.scalars(select(ActionPlan.id)).all()
            acted_on = session.scalars(select(AuditEvent.run_id)).all()
            states = session.scalars(select(Audit.state)).all()
        self.assertEqual(sorted(plans), sorted(run.action_plan_id or 0 for run in runs))
        self.assertEqual(events, len(acted_on))
        self.assertEqual({run.id for run in runs}, set(acted_on))
        self.assertEqual([AuditState.SUCCEEDED], states)

    def test_the_api_is_killed_right_after_its_answer(self) -> None:
        engine = self.start_engine("engine-1")
        audit = self.create_audit()
        self.assertEqual(0, engine.stop())
        api = self.start_api()
        self.post(audit)
        api.kill()
        self.release.touch()
        self.start_engine("engine-1")
        self.wait_for_runs(1)
        self.check_written_once(events=1)

    def test_an_engine_is_killed_in_the_middle_of_a_run(self) -> None:
        engine, _ = self.start_engine("engine-1"), self.start_api()
        audit = self.create_audit()
        self.post(audit)
        engine.wait_until("began the run", self.times_begun)
        self.post(audit)
        engine.kill()
        self.post(audit)
        self.release.touch()
        self.start_engine("engine-2")
        first, second = self.wait_for_runs(2)
        self.assertEqual((2, 1), (first.attempt, second.attempt))
        self.assertEqual(1, self.take_overs())
        self.assertEqual(3, self.times_begun())
        self.check_written_once(events=3)

    def test_an_engine_restarts_whose_runs_never_end(self) -> None:
        lost = "max_run_seconds = 5\nmax_lost_workers = 1\nmax_audit_workers = 1"
        engine, _ = self.start_engine("engine-1", lost), self.start_api()
        audit = self.create_audit()
        self.post(audit)
        engine.wait_until("restarted", lambda: "restarts: too many" in engine.log.read_text())
        self.release.touch()
        self.post(audit)
        never_ended, run = self.wait_for_runs(2)
        self.assertEqual((RunState.FAILED, 1), (never_ended.state, never_ended.attempt))
        self.assertIn("max_run_seconds", never_ended.status_message or "")
        self.assertEqual((RunState.SUCCEEDED, 1), (run.state, run.attempt))
        # Another process did that: this one has none of the threads that never end.
        self.assertNotEqual(never_ended.engine, run.engine)

    def test_an_engine_is_stopped_in_the_middle_of_a_run(self) -> None:
        engine, _ = self.start_engine("engine-1"), self.start_api()
        audit = self.create_audit()
        self.post(audit)
        engine.wait_until("began the run", self.times_begun)
        self.post(audit)
        engine.ask_to_stop()
        self.release.touch()
        self.assertEqual(0, engine.wait())
        first, *others = self.runs()
        self.assertEqual((RunState.SUCCEEDED, 1), (first.state, first.attempt))
        # The second event waits, with its run or without; or that is over, too, if it was due
        # before the engine had heard of its end.
        for second in others:
            self.assertIn(second.state, (RunState.QUEUED, RunState.SUCCEEDED))
        self.start_engine("engine-2")
        self.wait_for_runs(2)
        self.assertEqual(0, self.take_overs())
        self.check_written_once(events=2)
