# SPDX-License-Identifier: Apache-2.0
"""What a real cloud goes through: plans that are cancelled, moves that fail, alarms that repeat."""

import os
import threading
import time
from collections import Counter
from typing import Any

from watcher.simulation import alarm_rules
from watcher.tests.base import wait_for
from watcher.tests.lab.services import MINUTES, ServicesTestCase

OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
ALARM_SECONDS = 30.0


class LoopTest(ServicesTestCase):
    def post(self, audit: Any) -> None:
        url = f"{self.services.endpoint}/v1/webhooks/{audit.uuid}"
        self.assertEqual(202, alarm_rules.post(url, {"alarm_name": "a test", "current": "alarm"}))

    def ended(self, audit: Any, number: int) -> list[Any]:
        """The plans of *audit*, oldest first, once there are *number* and all are over."""
        return wait_for(
            lambda: self._ended(audit, number), f"{number} plans of the audit are over", MINUTES
        )

    def _ended(self, audit: Any, number: int) -> list[Any]:
        plans = self.client.action_plan.list(audit=audit.uuid, detail=True)
        done = len(plans) >= number and all(plan.state in OVER for plan in plans)
        return sorted(plans, key=lambda plan: plan.created_at) if done else []

    def moves(self, plan: Any) -> list[tuple[str, str]]:
        """(server, state) of each migration of a plan."""
        return [
            (action.input_parameters["resource_name"], action.state)
            for action in self.client.action.list(action_plan=plan.uuid, detail=True)
            if action.action_type == "migrate"
        ]

    def disabled(self) -> list[str]:
        return [host.hostname for host in self.nova.hosts() if host.status != "enabled"]

    def test_a_consolidation_that_is_cancelled_leaves_no_host_disabled(self) -> None:
        audit = self.audit("node_resource_consolidation", host_choice="auto")
        plan = wait_for(lambda: self._plan(audit), "the audit has a plan", MINUTES)
        wait_for(lambda: self.disabled(), "hosts are disabled for the moves", MINUTES)
        wait_for(
            lambda: "ONGOING" in [state for _, state in self.moves(plan)], "a server moves", MINUTES
        )
        self.client.action_plan.update(
            plan.uuid, [{"op": "replace", "path": "/state", "value": "CANCELLING"}]
        )
        (plan,) = self.ended(audit, 1)
        self.assertEqual("CANCELLED", plan.state)
        self.assertEqual([], self.disabled())

    def test_a_server_that_cannot_move_is_tried_once(self) -> None:
        audit = self.audit(
            "workload_stabilization", "EVENT", thresholds={"instance_cpu_usage": 0.05}
        )
        self.post(audit)
        (plan,) = self.ended(audit, 1)
        moved = [name for name, state in self.moves(plan) if state == "SUCCEEDED"]
        self.bring_back()
        stubborn = next(server for server in self.nova.servers() if server.name == moved[0])
        connection = self.admin()
        connection.compute.set_server_metadata(stubborn.uuid, **{"lab.migration": "fail"})
        self.addCleanup(connection.compute.delete_server_metadata, stubborn.uuid, ["lab.migration"])
        audit = self.audit(
            "workload_stabilization", "EVENT", thresholds={"instance_cpu_usage": 0.05}
        )
        self.conf.set_override("server_rest", 0, group="optimization")
        self.conf.set_override("max_moves_per_server", 100, group="optimization")
        for number in range(1, 4):
            self.post(audit)
            plans = self.ended(audit, number)
        tried = Counter(move for plan in plans for move in self.moves(plan))
        self.assertLessEqual(tried[stubborn.name, "FAILED"], 1)
        self.assertNotIn((stubborn.name, "SUCCEEDED"), tried)

    def test_an_alarm_that_repeats_moves_no_server_twice(self) -> None:
        """For ``LAB_LOOP_MINUTES``, 2 by default, an alarm each 30 seconds."""
        audit = self.audit(
            "workload_stabilization", "EVENT", thresholds={"instance_cpu_usage": 0.1}
        )
        end = time.monotonic() + 60 * float(os.environ.get("LAB_LOOP_MINUTES", "2"))
        while time.monotonic() < end:
            self.post(audit)
            threading.Event().wait(ALARM_SECONDS)
        wait_for(lambda: self._ended(audit, 1), "all plans are over", MINUTES)
        plans = self.ended(audit, 1)
        moved = Counter(name for plan in plans for name, _ in self.moves(plan))
        self.assertEqual({1}, set(moved.values()) or {1}, moved)
        self.assertEqual([], self.disabled())
