# SPDX-License-Identifier: Apache-2.0
"""An engine that reads what is usual before an alarm comes."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.cloud import Cloud
from watcher.cloud.compute import Host, Server
from watcher.common.errors import MetricsUnavailable
from watcher.common.states import AuditType
from watcher.db.models import ActionPlan, PlanReasons, Strategy
from watcher.decision_engine import usual_loads
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.service import DecisionEngine
from watcher.notifications import Notifications
from watcher.rpc.doorbell import LocalDoorbell
from watcher.tests import base, factories
from watcher.tests.unit.decision_engine.clusters import host, server


class QuietCloud:
    """A compute service with metrics of its own, of today and of earlier weeks."""

    name = "quiet"

    def __init__(self) -> None:
        self.asked = 0
        self.answers = True

    def hosts(self) -> Sequence[Host]:
        return [host("h1"), host("h2")]

    def servers(self) -> Sequence[Server]:
        return [server("s1", "h1", 4), server("s2", "h1", 4)]

    def changed_servers(self, since: datetime.datetime) -> Sequence[Server]:
        return ()

    def server_groups(self) -> Sequence[Any]:
        return ()

    def migrations(self, since: datetime.datetime) -> Sequence[Any]:
        return ()

    def has_candidate(self, *move: Any) -> bool:
        return True

    def available(self, metric: str) -> bool:
        return True

    def host_metric(self, name: str, hosts: Sequence[Host], *_: Any, **how: Any) -> dict[str, Any]:
        return {}

    def server_metric(
        self, name: str, servers: Sequence[Server], *_: Any, **how: Any
    ) -> Mapping[str, float]:
        return {each.uuid: 50.0 for each in servers}

    def past(self, name: str, servers: Sequence[Server], *when: Any) -> Mapping[str, float]:
        self.asked += 1
        if not self.answers:
            raise MetricsUnavailable("The past is not known.")
        return {each.uuid: 100.0 for each in servers if each.name == "s1"}


class EngineTest(base.DatabaseTestCase):
    """h1 is at 40 % now; s1, half busy, usually uses its 4 vCPUs.  The threshold is 45."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("poll_interval", 1, group="watcher_decision_engine")
        self.cloud = QuietCloud()
        self.engine = DecisionEngine(
            self.conf,
            self.database,
            Cloud(self.cloud, own_metrics=self.cloud),  # type: ignore[arg-type]
            LocalDoorbell(),
            Notifications(self.conf, self.database),
        )
        with self.database.writer() as session:
            Catalog(self.conf).sync(session, timeutils.utcnow())
            strategy = select(Strategy).where(Strategy.name == "workload_balance")
            self.audit_id = factories.audit(
                session,
                strategy=session.scalars(strategy).one(),
                audit_type=AuditType.EVENT,
                auto_trigger=True,
                parameters={"threshold": 45.0},
            ).id

    def reasons(self) -> list[str]:
        """Of the actions of the plan for an alarm."""
        with self.database.writer() as session:
            factories.accepted(session, self.audit_id, timeutils.utcnow())
        self.engine.dispatcher.wake()

        def plans() -> list[ActionPlan]:
            with self.database.reader() as session:
                return list(session.scalars(select(ActionPlan)))

        base.wait_for(plans, "a plan")
        with self.database.reader() as session:
            return [
                reason
                for row in session.scalars(select(PlanReasons))
                for reason in row.reasons.values()
            ]

    def start(self) -> None:
        self.engine.start()
        self.addCleanup(self.engine.stop)

    def test_the_first_alarm_finds_what_is_usual(self) -> None:
        self.start()
        hours_of_weeks = (usual_loads.HOURS + 2) * 3
        base.wait_for(lambda: self.cloud.asked == hours_of_weeks, "the hours of three weeks")
        (reason,) = self.reasons()
        self.assertIn("h1 at 40.0% CPU, 54.0% expected in the hour from ", reason)
        self.assertEqual(hours_of_weeks, self.cloud.asked, "a run reads nothing")

    def test_without_an_answer_present_loads_count(self) -> None:
        self.cloud.answers = False
        self.start()
        base.wait_for(lambda: self.cloud.asked, "a try")
        self.assertEqual([], self.reasons())
