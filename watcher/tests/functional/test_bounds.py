# SPDX-License-Identifier: Apache-2.0
"""What plans that start on their own leave alone, seen from outside."""

from collections import Counter
from typing import Any

from watcher.decision_engine import undone
from watcher.tests.functional.all_in_one import AllInOneTestCase


class TwoGoalsTest(AllInOneTestCase):
    """A consolidation and a balancing in turns."""

    # What holds them is not the rest of servers, which is over much earlier.
    OPTIONS = {"optimization": {"server_rest": 0, "max_moves_per_server": 100}}
    CLOUD = {
        "hosts": [
            {"hostname": f"h{number}", "vcpus": 8, "memory_mb": 65536, "disk_gb": 1000}
            for number in range(4)
        ],
        "servers": [
            {
                "name": f"s{number}",
                "host": f"h{number % 4}",
                "vcpus": 1,
                "memory_mb": 1024,
                "disk_gb": 1,
                "cpu": 90,
            }
            for number in range(8)
        ],
        "migration_seconds": 0.05,
    }

    def plan_of(self, audit: str) -> Any:
        """The plan that comes of an alarm, when it has ended."""
        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_end(audit)
        return self.wait_for_plan(self.plans(audit)[-1].uuid, "SUCCEEDED")

    def test_they_do_not_undo_each_other_for_ever(self) -> None:
        consolidation = self.create(
            goal="server_consolidation",
            strategy="node_resource_consolidation",
            auto_trigger=True,
        )
        balancing = self.create(
            goal="workload_balancing", strategy="workload_stabilization", auto_trigger=True
        )
        rounds = []
        for _ in range(3):
            plans = [self.plan_of(consolidation), self.plan_of(balancing)]
            rounds.append([self.migrations(plan) for plan in plans])
        self.assertGreater(rounds[0][0], 0)
        self.assertEqual([[0, 0], [0, 0]], rounds[1:])
        hosts = Counter(server.host for server in self.watcher.cloud.servers())
        self.assertEqual(1, len(hosts))
        self.assertIn(undone.REASONS[undone.OTHER_AUDIT], plans[1].status_message)

    def migrations(self, plan: Any) -> int:
        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        return sum(action.action_type == "migrate" for action in actions)
