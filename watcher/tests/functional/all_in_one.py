# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one in the process of the tests, and the real client for it."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import fixtures
from sqlalchemy import select
from watcherclient import client as watcherclient

from watcher.cmd import all_in_one
from watcher.common.states import RunState
from watcher.db.models import Audit, AuditEvent, AuditRun
from watcher.db.session import Database
from watcher.simulation import alarm_rules
from watcher.simulation import cloud as simulated
from watcher.tests.base import TIMEOUT, TestCase, wait_for

ALARM = {
    "alarm_name": "host-runs-hot",
    "alarm_id": "7ed1d2fd-2d9c-4d23-9b6f-7c0bd2c3a5a0",
    "severity": "critical",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm",
    "reason_data": {"type": "threshold", "disposition": "outside", "count": 1},
}


class AllInOne(fixtures.Fixture):
    """The services on a small cloud.  ``restart`` is a stop and a second start."""

    def __init__(
        self,
        cloud: Mapping[str, Any],
        options: Mapping[str | None, Mapping[str, Any]] | None = None,
    ) -> None:
        self._scenario, self._options = cloud, options or {}

    def _setUp(self) -> None:
        self._directory = self.useFixture(fixtures.TempDir()).path
        self._services: all_in_one.AllInOne | None = None
        self.addCleanup(self._stop)
        self._start()

    def _start(self) -> None:
        scenario = os.path.join(self._directory, "scenario.json")
        with open(scenario, "w") as file:
            json.dump(self._scenario, file)
        self.conf = all_in_one.configure(
            ["--state-dir", self._directory, "--cloud", scenario, "--port", "0"]
        )
        self.conf.set_override("sqlite_synchronous", False, group="database")
        self.conf.set_override("migration_interval", 0.1, group="nova")
        self.conf.set_override("retry_backoff", 0, group="watcher_decision_engine")
        for group, options in self._options.items():
            for option, value in options.items():
                self.conf.set_override(option, value, group=group)
        self._services = all_in_one.prepare(self.conf)
        self._services.start()
        self.endpoint = self._services.endpoint
        self.cloud: simulated.SimulatedCloud = self._services.cloud
        self.database = Database(self.conf)

    def _stop(self) -> None:
        if self._services is not None:
            self._services.stop()
            self.database.dispose()
            self._services = None

    def restart(self) -> None:
        self._stop()
        self._start()

    @property
    def metrics_port(self) -> int:
        assert self._services is not None
        return self._services.metrics_port

    @property
    def client(self) -> Any:
        return watcherclient.get_client(
            "1",
            os_auth_token="none",
            os_endpoint_override=self.endpoint,
            os_infra_optim_api_version="1.5",
        )

    def trigger(self, audit: str) -> int | None:
        """Post an alarm to the webhook of *audit*; the status of the answer."""
        return alarm_rules.post(f"{self.endpoint}/v1/webhooks/{audit}", ALARM)

    def runs(self, audit: str) -> Sequence[AuditRun]:
        """The runs of the audit *audit*, a uuid, in the order in which they were queued."""
        with self.database.reader() as session:
            return session.scalars(
                select(AuditRun)
                .join(Audit, Audit.id == AuditRun.audit_id)
                .where(Audit.uuid == audit)
                .order_by(AuditRun.id)
            ).all()

    def events(self) -> Sequence[AuditEvent]:
        with self.database.reader() as session:
            return session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()


class AllInOneTestCase(TestCase):
    """A test with services of its own."""

    OPTIONS: Mapping[str | None, Mapping[str, Any]] = {}
    """What is configured otherwise, by group."""
    CLOUD: Mapping[str, Any] = {"generate": {"hosts": 4, "servers": 40}, "migration_seconds": 0.2}

    def setUp(self) -> None:
        super().setUp()
        self.watcher = self.useFixture(AllInOne(self.CLOUD, self.OPTIONS))
        self.client = self.watcher.client

    def create(self, audit_type: str = "EVENT", goal: str = "dummy", **fields: Any) -> str:
        """Create an audit; its uuid."""
        uuid: str = self.client.audit.create(audit_type=audit_type, goal=goal, **fields).uuid
        return uuid

    def wait_for_runs(self, audit: str, *states: str) -> Sequence[AuditRun]:
        """The runs of *audit* as soon as they are in these states."""
        return wait_for(
            lambda: self._in_states(self.watcher.runs(audit), states),
            f"runs of the audit are {', '.join(states)}",
        )

    def wait_for_end(self, audit: str) -> Sequence[AuditRun]:
        """The runs of *audit* as soon as all events are acted on and none waits or is under way."""

        def ended() -> Sequence[AuditRun]:
            taken = all(event.inbox is None for event in self.watcher.events())
            return self._ended(self.watcher.runs(audit)) if taken else ()

        return wait_for(ended, "all runs of the audit are over")

    def wait_for_plan(self, plan: str, state: str) -> Any:
        return wait_for(
            lambda: self._in_state(self.client.action_plan.get(plan), state),
            f"action plan is {state}",
        )

    def plans(self, audit: str) -> list[Any]:
        """The plans of *audit*, oldest first."""
        plans = self.client.action_plan.list(audit=audit, detail=True)
        return sorted(plans, key=lambda plan: plan.created_at)

    @contextlib.contextmanager
    def held(self, method: str) -> Iterator[None]:
        """Let whoever calls *method* of the cloud wait until the ``with`` ends."""
        go = threading.Event()
        original = getattr(self.watcher.cloud, method)

        def wait(*arguments: Any) -> Any:
            go.wait(TIMEOUT)
            return original(*arguments)

        with fixtures.MockPatchObject(self.watcher.cloud, method, wait):
            try:
                yield
            finally:
                go.set()

    @staticmethod
    def _in_states(runs: Sequence[AuditRun], states: Sequence[str]) -> Sequence[AuditRun]:
        return runs if [run.state for run in runs] == list(states) else ()

    @staticmethod
    def _ended(runs: Sequence[AuditRun]) -> Sequence[AuditRun]:
        under_way = (RunState.QUEUED, RunState.ONGOING)
        return () if any(run.state in under_way for run in runs) else runs

    @staticmethod
    def _in_state(plan: Any, state: str) -> Any:
        return plan if plan.state == state else None
