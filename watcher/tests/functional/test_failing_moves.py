# SPDX-License-Identifier: Apache-2.0
"""A migration that always fails, and an alarm that comes again and again."""

import statistics
from collections.abc import Mapping
from typing import Any

from watcher.common.states import PlanState
from watcher.tests.base import wait_for
from watcher.tests.functional.all_in_one import AllInOneTestCase

HOST = {"vcpus": 16, "memory_mb": 65536, "disk_gb": 2000}
SERVER = {"memory_mb": 2048, "disk_gb": 10, "ram": 1000}
OVER = {PlanState.FAILED, PlanState.SUCCEEDED}
THRESHOLD = 0.1


def cloud(*stubborn: str) -> Mapping[str, Any]:
    """h1 is busy, h2 is not; the servers *stubborn* never leave their host."""
    servers = [
        SERVER | {"name": "best", "host": "h1", "vcpus": 6, "cpu": 100},
        SERVER | {"name": "good", "host": "h1", "vcpus": 5, "cpu": 95},
        SERVER | {"name": "fair", "host": "h1", "vcpus": 4, "cpu": 95},
        SERVER | {"name": "idle", "host": "h2", "vcpus": 2, "cpu": 5},
    ]
    return {
        "hosts": [HOST | {"hostname": name} for name in ("h1", "h2")],
        "servers": [each | {"migration_fails": each["name"] in stubborn} for each in servers],
        "migration_seconds": 0.1,
    }


class FailingMovesTestCase(AllInOneTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.audit = self.create(
            goal="workload_balancing", strategy="workload_stabilization", auto_trigger=True
        )

    def alarm(self) -> tuple[Any, set[str]]:
        """Post an alarm; the plan that comes of it, as soon as it is over, and what it moves."""
        count = len(self.plans(self.audit))
        self.assertEqual(202, self.watcher.trigger(self.audit))
        self.wait_for_end(self.audit)
        plan = wait_for(lambda: self.plans(self.audit)[count:], "there is another plan")[0]
        wait_for(lambda: self.client.action_plan.get(plan.uuid).state in OVER, "the plan is over")
        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        moved = {each.input_parameters["resource_name"] for each in actions}
        return self.client.action_plan.get(plan.uuid), moved

    def deviation(self) -> float:
        hosts = self.watcher.cloud.to_dict()["hosts"]
        return statistics.pstdev(host["cpu"] / 100 for host in hosts)


class OneFailsTest(FailingMovesTestCase):
    """The server that helps most fails; two others help together."""

    CLOUD = cloud("best")

    def test_others_move_after_one_failure(self) -> None:
        plan, moved = self.alarm()
        self.assertEqual((PlanState.FAILED, {"best"}), (plan.state, moved))
        plan, moved = self.alarm()
        self.assertEqual((PlanState.SUCCEEDED, {"good", "fair"}), (plan.state, moved))
        self.assertLess(self.deviation(), THRESHOLD)
        for _ in range(2):
            plan, moved = self.alarm()
            self.assertEqual((PlanState.SUCCEEDED, set()), (plan.state, moved))
            self.assertIsNone(plan.to_dict()["status_message"])
            (failed,) = plan.to_dict()["summary"]["failed_moves"]
            self.assertEqual(
                ("best", "h2", 1), (failed["server"], failed["destination"], failed["failures"])
            )
            self.assertIn("the migration failed", failed["reason"])
            self.assertLess(failed["last"], failed["tried_again"])


class AllFailTest(FailingMovesTestCase):
    """Nothing leaves the host."""

    CLOUD = cloud("best", "good", "fair")

    def test_a_sentence_says_why_nothing_is_tried_any_more(self) -> None:
        plan, moved = self.alarm()
        self.assertEqual((PlanState.FAILED, {"best"}), (plan.state, moved))
        plan, moved = self.alarm()
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertLess(moved, {"good", "fair", "idle"})
        for _ in range(2):
            plan, moved = self.alarm()
            self.assertEqual((PlanState.SUCCEEDED, set()), (plan.state, moved))
            message = plan.to_dict()["status_message"]
            self.assertIn("The standard deviation of CPU stays at 0.45, above 0.1", message)
            self.assertIn("not tried again yet after a failed migration", message)
