# SPDX-License-Identifier: Apache-2.0
"""What plans did, seen from outside: in a cloud that is honest, and in one that lies."""

from typing import Any

from watcher.common.states import PlanState, RunState
from watcher.tests.base import wait_for
from watcher.tests.functional.all_in_one import AllInOneTestCase

CPU = "instance_cpu_usage"
FIGURE = f"standard deviation of {CPU}"


class ReviewsTestCase(AllInOneTestCase):
    """Five of eight hosts are busy, one of them very."""

    OPTIONS = {
        "watcher_decision_engine": {"poll_interval": 1},
        "optimization": {"server_rest": 0, "max_moves_per_server": 100},
    }
    CLOUD = {
        "hosts": [
            {"hostname": f"host-{number}", "vcpus": 16, "memory_mb": 65536, "disk_gb": 1000}
            for number in range(8)
        ],
        "servers": [
            {
                "name": f"server-{number}",
                "host": f"host-{number % 5}",
                "vcpus": 2,
                "memory_mb": 2048,
                "disk_gb": 10,
                "cpu": 90 if number % 5 == 2 else 30,
            }
            for number in range(40)
        ],
        "migration_seconds": 0.1,
    }

    def setUp(self) -> None:
        super().setUp()
        self.audit = self.create(
            goal="workload_balancing",
            strategy="workload_stabilization",
            parameters={
                "periods": {"instance": 1, "compute_node": 1},
                "granularity": 0,
                "thresholds": {CPU: 0.1},
            },
            auto_trigger=True,
        )

    def run_once(self) -> Any:
        """The plan of one more alarm, when nothing is left to do for it."""
        known = {plan.uuid for plan in self.plans(self.audit)}
        self.assertEqual(202, self.watcher.trigger(self.audit))
        (plan,) = wait_for(
            lambda: [plan for plan in self.plans(self.audit) if plan.uuid not in known],
            "there is a plan",
        )
        return plan

    def summary(self, plan: str) -> dict[str, Any]:
        summary: dict[str, Any] = self.client.action_plan.get(plan).summary
        return summary

    def reviewed(self) -> dict[str, Any]:
        plan = self.run_once().uuid
        self.wait_for_plan(plan, PlanState.SUCCEEDED)
        wait_for(
            lambda: "reviewed_at" in self.summary(plan).get("review", {}), "the plan is reviewed"
        )
        return self.summary(plan)


class HonestCloudTest(ReviewsTestCase):
    def test_the_promise_is_kept(self) -> None:
        summary = self.reviewed()
        self.assertEqual(100.0, summary["review"]["kept"])
        self.assertAlmostEqual(summary[FIGURE]["after"], summary[FIGURE]["realised"])
        self.assertEqual("The plan kept 100% of what it promised.", summary["review"]["message"])

    def test_a_restart_before_the_look(self) -> None:
        plan = self.run_once().uuid
        self.wait_for_plan(plan, PlanState.SUCCEEDED)
        self.watcher.restart()
        self.client = self.watcher.client
        wait_for(lambda: self.summary(plan)["review"].get("kept"), "the plan is reviewed")


class LyingCloudTest(ReviewsTestCase):
    OPTIONS = {
        **ReviewsTestCase.OPTIONS,
        "optimization": {**ReviewsTestCase.OPTIONS["optimization"], "broken_promises": 2},
    }
    CLOUD = {**ReviewsTestCase.CLOUD, "loads_follow": False}

    def test_the_audit_loses_auto_trigger_until_a_user_sets_it(self) -> None:
        kept = [self.reviewed()["review"]["kept"] for _ in range(2)]
        self.assertEqual([], [each for each in kept if each >= 50])
        audit = self.client.audit.get(self.audit)
        self.assertFalse(audit.auto_trigger)
        self.assertIn("kept less than half", audit.status_message)

        self.run_once()
        self.wait_for_runs(self.audit, *[RunState.SUCCEEDED] * 3)
        self.assertIn("was switched off", self.client.audit.get(self.audit).status_message)

        trust = [{"op": "replace", "path": "/auto_trigger", "value": True}]
        audit = self.client.audit.update(self.audit, trust)
        self.assertEqual((True, None), (audit.auto_trigger, audit.status_message))
