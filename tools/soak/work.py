# SPDX-License-Identifier: Apache-2.0
"""The clients of the services during a soak, each a thread: alarms, users, readers, operator."""

import datetime
import itertools
import random
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import text
from watcherclient import client as watcherclient
from watcherclient import exceptions

from tools.soak.cloud import THRESHOLD, Cloud
from watcher.common.states import AuditState, PlanState
from watcher.db.session import Database
from watcher.simulation import alarm_rules

_SLEEP = {"action_type": "sleep", "input_parameters": {"duration": 2}}
_ACTIONS = [{"action_type": "nop", "input_parameters": {"message": "soak"}}, _SLEEP]
_KINDS: Sequence[dict[str, Any]] = (
    {"goal": "dummy", "strategy": "dummy"},
    {"goal": "unclassified", "strategy": "actuator", "parameters": {"actions": _ACTIONS}},
    {
        "goal": "workload_balancing",
        "strategy": "workload_balance",
        "parameters": {"threshold": THRESHOLD},
    },
)
_READS = (
    "/v1/audits/detail",
    "/v1/action_plans/detail",
    "/v1/actions/detail?limit=100",
    "/v1/strategies/detail",
    "/v1/data_model",
    "/v1/webhooks",
    "/v1/webhooks/event-0/events",
    "/v1/webhooks/event-0/runs",
    "/v1/services/status",
)
_ALARM = {
    "alarm_name": "soak",
    "severity": "low",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm",
}
_KEPT = datetime.timedelta(seconds=45)
"""How long ended plans, audits, events and runs are kept."""
_AGE = """
UPDATE audit_events SET received_at = received_at - INTERVAL 200 DAY
WHERE received_at BETWEEN :old AND :over;
UPDATE audit_runs SET
    created_at = created_at - INTERVAL 200 DAY,
    started_at = started_at - INTERVAL 200 DAY,
    finished_at = finished_at - INTERVAL 200 DAY
WHERE finished_at BETWEEN :old AND :over
"""
"""Makes events and runs old enough for their retention."""


class Work:
    """All clients, which work as long as the ``with`` block."""

    def __init__(
        self, endpoint: str, metrics: int, cloud: Cloud, database: Database, purge: Sequence[str]
    ) -> None:
        """*purge* is the command that removes deleted rows."""
        self.errors: list[str] = []
        self.counts: Counter[str] = Counter()
        self._endpoint, self._metrics = endpoint, f"http://127.0.0.1:{metrics}/metrics"
        self._cloud, self._database, self._purge = cloud, database, purge
        self._draw, self._reads = random.Random(3), itertools.cycle(_READS)
        self._events: list[str] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(each, pause), daemon=True)
            for each, pause in (
                (self._alarm, 0.2),
                (self._use, 1.0),
                (self._use, 2.0),
                (self._read, 0.3),
                (self._operate, 15.0),
            )
        ]

    def __enter__(self) -> "Work":
        client = self._client()
        for number in range(9):
            kind = _KINDS[number % 3]
            self._events.append(f"event-{number}")
            client.audit.create(
                audit_type="EVENT", name=self._events[-1], auto_trigger=number % 3 > 0, **kind
            )
        for number, kind in enumerate(_KINDS):
            name = f"continuous-{number}"
            client.audit.create(
                audit_type="CONTINUOUS", name=name, interval="20", auto_trigger=number > 0, **kind
            )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> Any:
        return watcherclient.get_client(
            "1",
            os_auth_token="none",
            os_endpoint_override=self._endpoint,
            os_infra_optim_api_version="1.5",
        )

    def _repeat(self, work: Callable[[Any], None], pause: float) -> None:
        client = self._client()
        while not self._stopping.wait(pause):
            try:
                work(client)
            except (exceptions.Conflict, exceptions.HTTPBadRequest, exceptions.HTTPNotFound):
                self.counts["refusals"] += 1  # somebody else was faster
            except Exception as error:
                self.errors.append(f"{work.__name__}: {error!r}")

    def _alarm(self, client: Any) -> None:
        webhook = f"{self._endpoint}/v1/webhooks/{self._draw.choice(self._events)}"
        status = alarm_rules.post(webhook, _ALARM)
        if status != 202:
            raise RuntimeError(f"An alarm was answered with {status}")
        self.counts["alarms"] += 1

    def _use(self, client: Any) -> None:
        """Create an audit, and start its plan, start and cancel it, or leave it."""
        kind = self._draw.choice(_KINDS)
        audit = client.audit.create(
            audit_type="ONESHOT", name=f"oneshot-{time.time()}", force=True, **kind
        )
        self.counts["ONESHOT audits"] += 1
        while client.audit.get(audit.uuid).state not in AuditState.OVER["ONESHOT"]:
            if self._stopping.wait(0.5):
                return
        plans = client.action_plan.list(audit=audit.uuid)
        end = self._draw.choice(("carry out", "cancel", "leave"))
        if not plans or plans[0].state != PlanState.RECOMMENDED or end == "leave":
            return
        client.action_plan.start(plans[0].uuid)
        self.counts["plans started by users"] += 1
        if end == "cancel" and not self._stopping.wait(1):
            client.action_plan.cancel(plans[0].uuid)
            self.counts["plans cancelled"] += 1

    def _read(self, client: Any) -> None:
        path = next(self._reads)
        client.http_client.json_request("GET", path)
        if path == _READS[0]:
            with urllib.request.urlopen(self._metrics, timeout=20) as answer:
                answer.read()
        self.counts["reads"] += 1

    def _operate(self, client: Any) -> None:
        """Delete what has ended, make events and runs old, purge, and make other hosts hot."""
        before = timeutils.utcnow() - _KEPT
        for resource, over in (
            (client.action_plan, {*PlanState.ALL} - PlanState.UNDER_WAY),
            (client.audit, AuditState.OVER["ONESHOT"]),
        ):
            for each in resource.list(limit=0, detail=True):
                created = timeutils.normalize_time(timeutils.parse_isotime(each.created_at))
                is_oneshot = getattr(each, "audit_type", "ONESHOT") == "ONESHOT"
                if each.state in over and is_oneshot and created < before:
                    resource.delete(each.uuid)
        times = {"over": before, "old": before - datetime.timedelta(days=1)}
        with self._database.engine.begin() as connection:
            for statement in _AGE.split(";"):
                connection.execute(text(statement), times)
        subprocess.run(self._purge, check=True, capture_output=True)
        self._cloud.turn()
        self.counts["purges"] += 1
