# SPDX-License-Identifier: Apache-2.0
"""The heart: an alarm is posted, an audit runs, its plan is carried out."""

import datetime
import statistics
from typing import Any

import fixtures

from watcher.common.errors import CloudRefused, CloudUnavailable
from watcher.common.states import ActionState, AuditState, Decision, PlanState, RunState
from watcher.tests.base import wait_for
from watcher.tests.functional.all_in_one import AllInOneTestCase

BALANCE = {"goal": "workload_balancing", "strategy": "workload_stabilization"}
THRESHOLD = 0.1


def broken(*arguments: Any) -> None:
    raise CloudRefused("The cloud is broken.")


class UnbalancedCloudTest(AllInOneTestCase):
    """Four of eight hosts are idle, and one runs hot; the cloud has an alarm rule for that."""

    CLOUD = {
        "hosts": [
            {"hostname": f"host-{number}", "vcpus": 16, "memory_mb": 65536, "disk_gb": 1000}
            for number in range(8)
        ],
        "servers": [
            {
                "name": f"server-{number}",
                "host": f"host-{number % 4}",
                "vcpus": 2,
                "memory_mb": 2048,
                "disk_gb": 10,
                "cpu": 40,
            }
            for number in range(32)
        ],
        "migration_seconds": 0.2,
        "surges": [{"after_seconds": 0, "hosts": ["host-2"], "cpu": 95}],
        "alarms": [
            {
                "name": "hot",
                "metric": "host_cpu_usage",
                "threshold": 80,
                "audit": "react",
                "repeat_actions": True,
                "evaluation_seconds": 0.2,
            }
        ],
    }

    def setUp(self) -> None:
        super().setUp()
        self.audit = self.create(
            **BALANCE,
            name="react",
            parameters={"thresholds": {"instance_cpu_usage": THRESHOLD}},
            auto_trigger=True,
        )

    def deviation(self) -> float:
        return statistics.pstdev(
            host["cpu"] / 100 for host in self.watcher.cloud.to_dict()["hosts"]
        )

    def test_the_clouds_own_alarm_makes_the_cloud_even(self) -> None:
        before = self.deviation()
        plan = wait_for(lambda: self.plans(self.audit), "there is a plan")[0]
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)

        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        self.assertGreater(len(actions), 0)
        self.assertEqual({"migrate"}, {action.action_type for action in actions})
        self.assertEqual({ActionState.SUCCEEDED}, {action.state for action in actions})
        for action in actions:
            server = self.watcher.cloud.server(action.input_parameters["resource_id"])
            self.assertEqual(action.input_parameters["destination_node"], server.host)
        self.assertGreater(before, THRESHOLD)
        self.assertLess(self.deviation(), THRESHOLD)
        event = self.watcher.events()[0]
        self.assertEqual(("hot", Decision.QUEUED), (event.alarm_name, event.decision))
        self.assertEqual("host_cpu_usage of host-2 is 95.0, gt 80", event.reason)
        self.assertEqual(self.watcher.runs(self.audit)[0].id, event.run_id)

    def test_the_runs_that_wait_for_the_plan_find_nothing_to_do(self) -> None:
        plan = wait_for(lambda: self.plans(self.audit), "there is a plan")[0]
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)
        self.wait_for_end(self.audit)
        later = self.plans(self.audit)[1:]
        self.assertEqual(
            [(PlanState.SUCCEEDED, 0)] * len(later),
            [(plan.state, len(self.client.action.list(action_plan=plan.uuid))) for plan in later],
        )

    def test_a_restart_in_the_middle_of_the_plan(self) -> None:
        plan = wait_for(lambda: self.plans(self.audit), "there is a plan")[0].uuid
        wait_for(lambda: self.watcher.cloud.to_dict()["migrations"], "a migration is under way")
        self.watcher.restart()
        self.client = self.watcher.client
        self.wait_for_plan(plan, PlanState.SUCCEEDED)
        self.assertLess(self.deviation(), THRESHOLD)


class LateAverageTest(AllInOneTestCase):
    """The same cloud; its hosts are measured by averages over five minutes, as real ones are."""

    CLOUD = {**UnbalancedCloudTest.CLOUD, "alarms": []}

    def setUp(self) -> None:
        super().setUp()
        loads, hosts = self.watcher.cloud.loads, self.watcher.cloud.hosts()
        minutes = datetime.timedelta(minutes=5)
        before = {
            name: loads.host_metric(name, hosts, 300, "mean", 60)
            for name in ("host_cpu_usage", "host_ram_usage")
        }
        for method, value in (
            ("host_metric", lambda name, *_: before[name]),
            ("window", lambda now, *_: (now - minutes, now)),
        ):
            self.useFixture(fixtures.MockPatchObject(loads, method, value))

    def test_an_alarm_right_after_the_plan_moves_nothing_more(self) -> None:
        audit = self.create(
            **BALANCE,
            parameters={"thresholds": {"instance_cpu_usage": THRESHOLD}},
            auto_trigger=True,
        )
        self.assertEqual(202, self.watcher.trigger(audit))
        plan = wait_for(lambda: self.plans(audit), "there is a plan")[0]
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)
        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_runs(audit, RunState.SUCCEEDED, RunState.SUCCEEDED)
        later = self.plans(audit)[1]
        self.assertEqual([], self.client.action.list(action_plan=later.uuid))


class TriggerTest(AllInOneTestCase):
    """Alarms, one after another and at once."""

    def test_a_plan_is_recommended_and_started_by_hand(self) -> None:
        audit = self.create(**BALANCE, parameters={"thresholds": {"instance_cpu_usage": 0.01}})
        self.assertEqual(202, self.watcher.trigger(audit))
        (run,) = self.wait_for_runs(audit, RunState.SUCCEEDED)
        (plan,) = self.plans(audit)
        self.assertEqual(PlanState.RECOMMENDED, plan.state)
        self.assertIsNotNone(run.action_plan_id)
        self.client.action_plan.start(plan.uuid)
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)

    def test_again_after_a_success(self) -> None:
        audit = self.create(strategy="dummy")
        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        self.assertEqual(AuditState.SUCCEEDED, self.client.audit.get(audit).state)
        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_runs(audit, RunState.SUCCEEDED, RunState.SUCCEEDED)
        self.assertEqual(
            [PlanState.SUPERSEDED, PlanState.RECOMMENDED],
            [plan.state for plan in self.plans(audit)],
        )

    def test_again_after_a_run_that_failed(self) -> None:
        audit = self.create(**BALANCE)
        with fixtures.MockPatchObject(self.watcher.cloud, "hosts", broken):
            self.assertEqual(202, self.watcher.trigger(audit))
            (run,) = self.wait_for_runs(audit, RunState.FAILED)
        self.assertEqual("The cloud is broken.", run.status_message)
        failed = self.client.audit.get(audit)
        self.assertEqual(AuditState.FAILED, failed.state)
        self.assertEqual("The cloud is broken.", failed.status_message)

        self.assertEqual(202, self.watcher.trigger(audit))
        self.wait_for_runs(audit, RunState.FAILED, RunState.SUCCEEDED)
        mended = self.client.audit.get(audit)
        self.assertEqual((AuditState.SUCCEEDED, None), (mended.state, mended.status_message))

    def test_a_passing_failure_is_tried_again_without_another_alarm(self) -> None:
        audit = self.create(**BALANCE)
        hosts, failures = self.watcher.cloud.hosts, [CloudUnavailable("Gone for lunch.")]

        def flaky() -> Any:
            if failures:
                raise failures.pop()
            return hosts()

        with fixtures.MockPatchObject(self.watcher.cloud, "hosts", flaky):
            self.watcher.trigger(audit)
            (run,) = self.wait_for_runs(audit, RunState.SUCCEEDED)
        self.assertEqual(2, run.attempt)

    def test_alarms_during_a_run_cause_exactly_one_more(self) -> None:
        audit = self.create(**BALANCE)
        with self.held("hosts"):
            self.watcher.trigger(audit)
            self.wait_for_runs(audit, RunState.ONGOING)
            self.assertEqual([202] * 5, [self.watcher.trigger(audit) for _ in range(5)])
            self.assertEqual(
                [RunState.ONGOING, RunState.QUEUED],
                [run.state for run in self.watcher.runs(audit)],
            )
        first, second = self.wait_for_end(audit)
        self.assertEqual([RunState.SUCCEEDED] * 2, [first.state, second.state])
        self.assertEqual((0, 4), (first.coalesced_count, second.coalesced_count))
        self.assertEqual(
            [(Decision.QUEUED, first.id), (Decision.QUEUED, second.id)]
            + [(Decision.COALESCED, second.id)] * 4,
            [(event.decision, event.run_id) for event in self.watcher.events()],
        )

    def test_alarms_for_many_audits_at_once(self) -> None:
        audits = [self.create(strategy="dummy") for _ in range(20)]
        for audit in audits:
            self.watcher.trigger(audit)
        for audit in audits:
            self.wait_for_runs(audit, RunState.SUCCEEDED)

    def test_a_cancelled_audit_takes_no_alarms(self) -> None:
        audit = self.create(strategy="dummy")
        self.client.audit.update(
            audit, [{"op": "replace", "path": "/state", "value": AuditState.CANCELLED}]
        )
        self.assertEqual(400, self.watcher.trigger(audit))
        self.assertEqual(0, len(self.watcher.runs(audit)))

    def test_a_goal_and_no_strategy_take_the_first_by_name(self) -> None:
        audit = self.create(goal="dummy")
        self.watcher.trigger(audit)
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        (plan,) = self.plans(audit)
        self.assertEqual("dummy", plan.strategy_name)


class OtherTypesTest(AllInOneTestCase):
    """ONESHOT and CONTINUOUS audits go through the same dispatcher."""

    PARAMETERS = {"para1": 1.0, "para2": "hi"}

    def test_oneshot_runs_once_and_its_plan_is_carried_out(self) -> None:
        audit = self.create(
            "ONESHOT", strategy="dummy", parameters=self.PARAMETERS, auto_trigger=True
        )
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        self.assertEqual(AuditState.SUCCEEDED, self.client.audit.get(audit).state)
        (plan,) = self.plans(audit)
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)
        self.assertEqual(400, self.watcher.trigger(audit))

    def test_continuous_runs_at_each_interval_until_it_is_cancelled(self) -> None:
        audit = self.create("CONTINUOUS", strategy="dummy", interval="1")
        self.wait_for_runs(audit, RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.QUEUED)
        ongoing = self.client.audit.get(audit)
        self.assertEqual(AuditState.ONGOING, ongoing.state)
        self.assertIsNotNone(ongoing.next_run_time)
        self.assertEqual(
            [PlanState.CANCELLED, PlanState.RECOMMENDED],
            [plan.state for plan in self.plans(audit)],
        )
        self.client.audit.update(
            audit, [{"op": "replace", "path": "/state", "value": AuditState.CANCELLED}]
        )
        self.assertEqual(RunState.CANCELLED, self.wait_for_end(audit)[-1].state)

    def test_continuous_with_a_cron_expression_waits_for_its_time(self) -> None:
        audit = self.create("CONTINUOUS", strategy="dummy", interval="0 3 1 1 *")
        (run,) = self.watcher.runs(audit)
        self.assertEqual(
            (RunState.QUEUED, 1, 1, 3),
            (run.state, run.not_before.month, run.not_before.day, run.not_before.hour),
        )
