# SPDX-License-Identifier: Apache-2.0
"""The three services as processes of their own, on real databases and a real broker."""

import json
from collections import Counter

from sqlalchemy import func, select

from watcher.common.states import ActionState, AuditState, AuditType, PlanState, RunState
from watcher.db import migration
from watcher.db.models import Action, ActionPlan, Audit, AuditEvent, AuditRun, Strategy
from watcher.tests.integration.servers import (
    MariaDBTestCase,
    PostgreSQLTestCase,
    ServerTestCase,
    broker,
)
from watcher.tests.processes import Process, free_port, start_node, status_of

ALARM = json.dumps(
    {
        "alarm_name": "busy-host",
        "alarm_id": "0d5b5a48-29ae-4ae9-aa33-1d1efc4aca98",
        "severity": "low",
        "previous": "ok",
        "current": "alarm",
        "reason": "Transition to alarm",
    }
).encode()

CONFIG = """
[DEFAULT]
host = {host}
transport_url = {broker}
state_path = {directory}
enable_authentication = false

[database]
connection = {database}

[oslo_messaging_rabbit]
amqp_auto_delete = true

[api]
port = {port}
workers = 1

[watcher_decision_engine]
conductor_topic = {name}.decision
max_audit_workers = 4

[watcher_applier]
conductor_topic = {name}.applier
workers = 4
"""


class ServicesStories(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.broker = broker(self)
        migration.upgrade(self.database)
        self.port = free_port()

    def start(self, script: str, host: str) -> Process:
        config = CONFIG.format(
            host=host,
            broker=self.broker,
            directory=self.directory,
            database=self.conf.database.connection,
            port=self.port,
            name=self.name,
        )
        return start_node(self, script, host, config)

    def start_all(self, engines: int) -> Process:
        """The API, when all services are ready."""
        for number in range(engines):
            engine = self.start("watcher-decision-engine", f"engine-{number}")
        engine.wait_until("synced the catalogue", self.dummy)
        self.start("watcher-applier", "applier-0")
        api = self.start("watcher-api", "api-0")
        api.wait_until("answered", lambda: status_of(f"http://127.0.0.1:{self.port}/") == 200)
        return api

    def dummy(self) -> Strategy | None:
        with self.database.reader() as session:
            return session.scalar(select(Strategy).where(Strategy.name == "dummy"))

    def create_audits(self, number: int, **values: object) -> list[str]:
        strategy = self.dummy()
        assert strategy is not None
        with self.database.writer() as session:
            audits = [
                Audit(
                    name=f"react-{index}",
                    audit_type=AuditType.EVENT,
                    goal_id=strategy.goal_id,
                    strategy_id=strategy.id,
                    **values,
                )
                for index in range(number)
            ]
            session.add_all(audits)
            session.flush()
            return [audit.uuid or "" for audit in audits]

    def post(self, audit: str) -> None:
        url = f"http://127.0.0.1:{self.port}/v1/webhooks/{audit}"
        self.assertEqual(202, status_of(url, ALARM))

    def ended_runs(self) -> int:
        with self.database.reader() as session:
            return session.scalars(
                select(func.count()).where(AuditRun.finished_at.is_not(None))
            ).one()

    def test_an_alarm_becomes_a_plan_that_is_carried_out(self) -> None:
        api = self.start_all(engines=1)
        (audit,) = self.create_audits(1, auto_trigger=True)

        self.post(audit)

        def succeeded() -> bool:
            with self.database.reader() as session:
                return session.scalar(select(ActionPlan.state)) == PlanState.SUCCEEDED

        api.wait_until("carried the plan out", succeeded)
        with self.database.reader() as session:
            event = session.scalars(select(AuditEvent)).one()
            self.assertEqual(("aodh", "busy-host"), (event.source, event.alarm_name))
            run = session.get_one(AuditRun, event.run_id)
            self.assertEqual(RunState.SUCCEEDED, run.state)
            self.assertEqual(AuditState.SUCCEEDED, session.scalars(select(Audit.state)).one())
            states = session.scalars(select(Action.state)).all()
        self.assertEqual([ActionState.SUCCEEDED] * 3, states)

    def test_two_engines_run_each_trigger_once(self) -> None:
        api = self.start_all(engines=2)
        audits = self.create_audits(200)

        for round_ in (1, 2):
            for audit in audits:
                self.post(audit)
            api.wait_until("saw all runs end", lambda done=200 * round_: self.ended_runs() == done)

        with self.database.reader() as session:
            runs = session.scalars(select(AuditRun)).all()
            plans = Counter(session.scalars(select(ActionPlan.audit_id)))
        self.assertEqual({RunState.SUCCEEDED}, {run.state for run in runs})
        self.assertEqual({1}, {run.attempt for run in runs})
        self.assertEqual({2}, set(Counter(run.audit_id for run in runs).values()))
        self.assertEqual({2}, set(plans.values()))
        self.assertEqual(400, len({run.action_plan_id for run in runs}))
        # Both engines took part.
        self.assertEqual(
            {"engine-0", "engine-1"}, {(run.engine or "").split(":")[0] for run in runs}
        )


class ServicesOnMariaDB(ServicesStories, MariaDBTestCase):
    pass


class ServicesOnPostgreSQL(ServicesStories, PostgreSQLTestCase):
    pass


del ServicesStories  # it has no server of its own
