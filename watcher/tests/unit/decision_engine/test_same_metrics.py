# SPDX-License-Identifier: Apache-2.0
"""Alarms that are repeated within a granule of their datasource."""

import dataclasses
import datetime
from typing import Any
from unittest import mock

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.cloud import Cloud
from watcher.common.errors import CloudUnavailable
from watcher.common.states import AuditState, AuditType, RunState
from watcher.db import action_plans, claims, runs
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditEvent, AuditRun, Goal, Strategy
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.datasources.gnocchi import Gnocchi
from watcher.decision_engine.datasources.prometheus import Prometheus
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.runner import Runner
from watcher.decision_engine.same_metrics import step_of
from watcher.model.compute import ComputeModel
from watcher.notifications import Notifications
from watcher.tests import base, factories
from watcher.tests.unit.decision_engine import clusters

HOLDER = Holder("engine-1:1:a", "engine-1", datetime.timedelta(seconds=30))
GRANULE = datetime.timedelta(seconds=300)


class Measured:
    """Every server uses *load* per cent of its vCPUs."""

    name = "gnocchi"

    def __init__(self) -> None:
        self.load, self.granules = 10.0, True

    def host_metric(self, name: str, hosts: Any, *how: Any, **named: Any) -> Any:
        return {}

    def server_metric(self, name: str, servers: Any, *how: Any, **named: Any) -> Any:
        return {each.uuid: self.load for each in servers}

    def step(self, granularity: int) -> int:
        return granularity if self.granules else 0


class SameMetricsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.metrics, self.collectors = Measured(), mock.Mock()
        self.on("h0")
        sources = dataclasses.replace(
            Sources.of(self.conf, Cloud()),
            cloud=mock.Mock(),
            collectors=self.collectors,
            datasources=Datasources(self.conf, self.metrics),  # type: ignore[arg-type]
        )
        self.database.write(lambda session: sources.catalog.sync(session, timeutils.utcnow()))
        notifications = Notifications(self.conf, self.database)
        self.runner = Runner(sources, self.database, mock.Mock(), notifications)
        with self.database.writer() as session:
            strategy = session.scalars(
                select(Strategy).where(Strategy.name == "workload_balance")
            ).one()
            goal = session.get_one(Goal, strategy.goal_id)
            self.audit = factories.audit(session, goal, strategy, audit_type=AuditType.EVENT)

    def on(self, hostname: str) -> None:
        """Put the servers of the cloud on that host."""
        servers = [clusters.server(f"s{number}", hostname, vcpus=2) for number in range(4)]
        hosts = [clusters.host("h0", vcpus=8), clusters.host("h1", vcpus=8)]
        self.collectors.compute.return_value = ComputeModel.build(hosts, servers)

    def alarm(self, parameters: Any = None, later: datetime.timedelta | None = None) -> AuditRun:
        """What becomes of the run of an alarm."""
        now = timeutils.utcnow() + (later or datetime.timedelta())
        with self.database.writer() as session:
            event = factories.accepted(session, self.audit.id, now, parameters=parameters)
            waiting = runs.waiting(session, self.audit.id)
            assert waiting is not None
            waiting.not_before = now
            session.flush()
            run = claims.claim(session, waiting.id, HOLDER, now)
            assert run is not None
        with mock.patch.object(timeutils, "utcnow", return_value=now):
            self.runner.run(run)
        with self.database.reader() as session:
            self.assertEqual(run.id, session.get_one(AuditEvent, event.id).run_id)
            return session.get_one(AuditRun, run.id)

    def test_a_repeated_alarm_waits_for_new_values(self) -> None:
        first, second = self.alarm(), self.alarm()
        self.assertEqual(RunState.SUCCEEDED, first.state)
        self.assertEqual(
            (RunState.QUEUED, runs.SAME_METRICS, 0),
            (second.state, second.wait_reason, second.attempt),
        )
        self.assertEqual(first.started_at + GRANULE, second.not_before)
        with self.database.reader() as session:
            self.assertEqual(AuditState.SUCCEEDED, session.get_one(Audit, self.audit.id).state)

    def test_further_alarms_join_it(self) -> None:
        self.alarm()
        waits = self.alarm()
        with self.database.writer() as session:
            factories.accepted(session, self.audit.id, timeutils.utcnow())
            self.assertEqual([], list(runs.due(session, timeutils.utcnow(), 10)))
            self.assertEqual([waits.id], list(runs.due(session, waits.not_before, 10)))
            self.assertEqual(1, session.get_one(AuditRun, waits.id).coalesced_count)

    def test_then_it_looks(self) -> None:
        self.alarm()
        self.metrics.load = 90.0
        run = self.alarm(later=GRANULE)
        self.assertEqual((RunState.SUCCEEDED, None), (run.state, run.cloud_digest))

    def test_the_end_of_any_plan_makes_it_due(self) -> None:
        self.alarm()
        waits = self.alarm()
        with self.database.writer() as session:
            action_plans.count_end(session)
            self.assertEqual([waits.id], list(runs.due(session, timeutils.utcnow(), 10)))

    def assert_looks(self, **alarm: Any) -> None:
        self.assertEqual(RunState.SUCCEEDED, self.alarm(**alarm).state)

    def test_a_server_that_has_moved_is_noticed_at_once(self) -> None:
        self.alarm()
        self.on("h1")
        self.assert_looks()

    def test_other_parameters_are_tried_at_once(self) -> None:
        self.alarm()
        self.assert_looks(parameters={"threshold": 20})

    def test_changed_parameters_of_the_audit_are_tried_at_once(self) -> None:
        self.alarm()
        with self.database.writer() as session:
            session.get_one(Audit, self.audit.id).parameters = {"threshold": 20}
        self.assert_looks()

    def test_a_run_with_a_plan_lets_the_next_one_look(self) -> None:
        self.metrics.load = 90.0
        self.alarm()
        self.assert_looks()

    def test_a_run_that_failed_lets_the_next_one_look(self) -> None:
        self.alarm()
        self.conf.set_override("retry_for", 0, group="watcher_decision_engine")
        with mock.patch.object(
            self.collectors, "compute", side_effect=CloudUnavailable("nova is away")
        ):
            self.assertEqual(RunState.FAILED, self.alarm(later=GRANULE).state)
        self.assert_looks()

    def test_values_that_change_at_any_moment_are_read_at_each_alarm(self) -> None:
        self.metrics.granules = False
        self.alarm()
        self.assert_looks()

    def test_what_datasources_say(self) -> None:
        for kind, step in ((Gnocchi, 300), (Prometheus, 0)):
            self.assertEqual(step, step_of(lambda kind=kind: kind.__new__(kind), 300))
