# SPDX-License-Identifier: Apache-2.0
"""What plans that start on their own leave alone, seen from outside."""

import json
import urllib.request
from collections import Counter
from typing import Any

from watcher.model import undone
from watcher.tests.functional.all_in_one import AllInOneTestCase

VERSION = "infra-optim latest"


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

    def test_two_audits_do_not_undo_each_other_without_end(self) -> None:
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
        sentence = plans[1].to_dict()["summary"]["undone"]["sentence"]
        self.assertIn("emptied by a plan of an audit with another goal", sentence)

    def migrations(self, plan: Any) -> int:
        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        return sum(action.action_type == "migrate" for action in actions)


class BestPartTest(AllInOneTestCase):
    """A webhook lets a plan have two actions, and three are needed."""

    CLOUD = {
        "hosts": [
            {"hostname": name, "vcpus": 20, "memory_mb": 65536, "disk_gb": 1000}
            for name in ("h1", "h2")
        ],
        "servers": [
            {
                "name": f"s{number}",
                "host": "h1",
                "vcpus": vcpus,
                "memory_mb": 1024,
                "disk_gb": 1,
                "cpu": 100,
            }
            for number, vcpus in enumerate([1] * 9 + [2, 3, 4])
        ],
        "migration_seconds": 0.05,
    }

    def test_the_best_part_first_and_the_rest_after_the_next_alarm(self) -> None:
        audit = self.create(
            goal="workload_balancing",
            strategy="workload_stabilization",
            auto_trigger=True,
            parameters={"thresholds": {"instance_cpu_usage": 0.01}},
        )
        self.limit(audit, 2)
        found = [self.plan_of(audit) for _ in range(3)]
        self.assertEqual([{"s10", "s11"}, {"s9"}, set()], [moved for moved, _ in found])
        messages = [message for _, message in found]
        self.assertIn("The standard deviation of CPU stays at 0.1, above 0.01", messages[0])
        self.assertIn(undone.REASONS[undone.BOUND], messages[0])
        self.assertEqual([None, None], messages[1:])

    def limit(self, audit: str, actions: int) -> None:
        patch = [{"op": "replace", "path": "/limits/max_actions", "value": actions}]
        headers = {"content-type": "application/json", "openstack-api-version": VERSION}
        request = urllib.request.Request(
            f"{self.watcher.endpoint}/v1/webhooks/{audit}",
            json.dumps(patch).encode(),
            headers,
            method="PATCH",
        )
        with urllib.request.urlopen(request) as answer:
            self.assertEqual(200, answer.status)

    def plan_of(self, audit: str) -> tuple[set[str], str | None]:
        """What the plan that comes of an alarm moves, and says."""
        count = len(self.plans(audit))
        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_end(audit)
        plan = self.wait_for_plan(self.plans(audit)[count].uuid, "SUCCEEDED")
        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        moved = {each.input_parameters["resource_name"] for each in actions}
        return moved, plan.to_dict()["status_message"]
