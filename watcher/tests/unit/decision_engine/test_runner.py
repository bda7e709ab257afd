# SPDX-License-Identifier: Apache-2.0
"""What a run writes."""

import datetime
from typing import Any
from unittest import mock

from oslo_utils import timeutils
from sqlalchemy import delete, select

from watcher.cloud.compute import ServerGroup
from watcher.common.states import ActionState, AuditState, AuditType, PlanState, RunState
from watcher.db import runs
from watcher.db.models import (
    Action,
    AuditEvent,
    EfficacyIndicator,
    PlanReasons,
    Strategy,
)
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.model.undone import Undone
from watcher.tests import factories
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.runner_case import RunnerTestCase


class RunnerTest(RunnerTestCase):
    def test_writes_plan_actions_run_and_audit(self) -> None:
        audit = self.audit()
        run = self.claim(audit)

        self.runner.run(run)

        (plan,) = self.plans()
        self.assertEqual(PlanState.RECOMMENDED, plan.state)
        with self.database.reader() as session:
            actions = session.scalars(select(Action).where(Action.action_plan_id == plan.id)).all()
        self.assertEqual(["nop", "nop", "sleep"], [action.action_type for action in actions])
        self.assertEqual({ActionState.PENDING}, {action.state for action in actions})
        run = self.reload(run)
        self.assertEqual((RunState.SUCCEEDED, plan.id), (run.state, run.action_plan_id))
        self.assertEqual(AuditState.SUCCEEDED, self.reload(audit).state)
        self.assertEqual([], self.applier.rung)

    def test_plan_and_run_say_what_was_left_undone(self) -> None:
        kinds = [Undone(undone.LOCKED, 5, ("a", "b", "c")), Undone(undone.ROOM, 1, ("d",))]
        solution = Solution(gain=12.5, unmet="1 host stays above 80 % CPU", undone=kinds)
        run = self.claim(self.audit())
        with mock.patch.object(Dummy, "execute", return_value=solution):
            self.runner.run(run)
        sentence = (
            "1 host stays above 80 % CPU: 6 servers stay: 5 locked (a, b, c, ...), "
            "1 too large for the room on any other host (d)."
        )
        (plan,) = self.plans()
        self.assertEqual((PlanState.SUCCEEDED, sentence), (plan.state, plan.status_message))
        self.assertEqual(sentence, self.reload(run).status_message)
        with self.database.reader() as session:
            summary = session.get_one(PlanReasons, plan.id).summary
        self.assertEqual({"percent": 12.5}, summary["gain"])
        self.assertEqual(sentence, summary["undone"]["sentence"])
        self.assertEqual([5, 1], [each["count"] for each in summary["undone"]["kinds"]])

    def test_a_plan_that_breaks_a_rule_fails_the_run_and_is_not_written(self) -> None:
        hosts = [clusters.host("h1"), clusters.host("h2", state="down")]
        one = clusters.server("s1", "h1")
        builder = SolutionBuilder()
        builder.migrate(one, hosts[1])
        solution = builder.build()
        model = ComputeModel.build(hosts, [one])
        audit = self.audit(auto_trigger=True)
        run = self.claim(audit)
        with (
            mock.patch.object(Dummy, "execute", return_value=solution),
            mock.patch.object(Collectors, "compute", return_value=model),
        ):
            self.runner.run(run)
        run = self.reload(run)
        self.assertEqual((RunState.FAILED, []), (run.state, self.plans()))
        self.assertIn(
            "action 1 of 1, migrate s1 from h1 to h2: Host h2 is down", run.status_message
        )
        self.assertEqual(AuditState.FAILED, self.reload(audit).state)

    def test_unproven_moves_are_counted(self) -> None:
        builder = SolutionBuilder()
        for name in ("s1", "s2"):
            builder.migrate(clusters.server(name, "h1"), None)
        servers = [clusters.server(name, "h1") for name in ("s1", "s2")]
        model = ComputeModel.build([clusters.host("h1")], servers)
        run = self.claim(self.audit())
        with (
            mock.patch.object(Dummy, "execute", return_value=builder.build()),
            mock.patch.object(Collectors, "compute", return_value=model),
        ):
            self.runner.run(run)
        (plan,) = self.plans()
        with self.database.reader() as session:
            summary = session.get_one(PlanReasons, plan.id).summary
        self.assertEqual({"unproven": {"actions": 2}}, summary)

    def test_wishes_that_a_plan_breaks_are_in_its_summary(self) -> None:
        hosts = [clusters.host("h1"), clusters.host("h2")]
        servers = [clusters.server("s1", "h1"), clusters.server("s2", "h2")]
        group = ServerGroup("g", "soft-anti-affinity", [each.uuid for each in servers])
        builder = SolutionBuilder()
        builder.migrate(servers[0], hosts[1])
        with (
            mock.patch.object(Dummy, "execute", return_value=builder.build()),
            mock.patch.object(
                Collectors, "compute", return_value=ComputeModel.build(hosts, servers, [group])
            ),
        ):
            self.runner.run(self.claim(self.audit()))
        (plan,) = self.plans()
        with self.database.reader() as session:
            (kind,) = session.get_one(PlanReasons, plan.id).summary["undone"]["kinds"]
        self.assertEqual(("pairs", "joined", 1), (kind["things"], kind["reason"], kind["count"]))
        self.assertEqual(["s1 and s2"], kind["examples"])

    def test_auto_trigger_hands_the_plan_to_the_applier(self) -> None:
        self.runner.run(self.claim(self.audit(auto_trigger=True)))

        (plan,) = self.plans()
        self.assertEqual(PlanState.PENDING, plan.state)
        self.assertEqual([plan.uuid], self.applier.rung)

    def test_an_empty_plan_has_succeeded_and_is_never_started(self) -> None:
        audit = self.audit(strategy=None, auto_trigger=True)
        self.set_strategy(audit, "actuator", parameters={"actions": []})

        self.runner.run(self.claim(audit))

        (plan,) = self.plans()
        self.assertEqual(PlanState.SUCCEEDED, plan.state)
        self.assertEqual([], self.applier.rung)

    def test_without_a_strategy_the_first_of_the_goal_by_name(self) -> None:
        self.runner.run(self.claim(self.audit(strategy=None)))

        (plan,) = self.plans()
        with self.database.reader() as session:
            self.assertEqual("dummy", session.get_one(Strategy, plan.strategy_id).name)

    def test_an_event_audit_supersedes_its_older_recommendation(self) -> None:
        audit = self.audit()
        self.runner.run(self.claim(audit))
        self.runner.run(self.claim(audit))
        self.assertEqual(
            [PlanState.SUPERSEDED, PlanState.RECOMMENDED], [plan.state for plan in self.plans()]
        )

    def test_a_continuous_audit_cancels_it_and_queues_the_next_run(self) -> None:
        audit = self.audit(audit_type=AuditType.CONTINUOUS, interval="60")
        self.runner.run(self.claim(audit))
        self.runner.run(self.claim(audit))

        self.assertEqual(
            [PlanState.CANCELLED, PlanState.RECOMMENDED], [plan.state for plan in self.plans()]
        )
        audit = self.reload(audit)
        self.assertEqual(AuditState.ONGOING, audit.state)
        with self.database.reader() as session:
            waiting = runs.waiting(session, audit.id)
        self.assertEqual(audit.next_run_time, waiting.not_before)

    def test_the_last_wait_of_a_continuous_audit_ends_at_its_end_time(self) -> None:
        end = timeutils.utcnow() + datetime.timedelta(seconds=10)
        audit = self.audit(audit_type=AuditType.CONTINUOUS, interval="60", end_time=end)
        self.runner.run(self.claim(audit))
        with self.database.reader() as session:
            self.assertEqual(end, runs.waiting(session, audit.id).not_before)

    def test_a_cron_audit_without_a_next_time_has_succeeded(self) -> None:
        audit = self.audit(audit_type=AuditType.CONTINUOUS, interval="0 0 1 1 * 0 2020")
        self.runner.run(self.claim(audit))
        self.assertEqual([PlanState.RECOMMENDED], [plan.state for plan in self.plans()])
        self.assertEqual(AuditState.SUCCEEDED, self.reload(audit).state)

    def test_a_plan_that_cannot_be_written_fails_the_run(self) -> None:
        audit = self.audit(strategy=None)
        run = self.claim(audit)
        with self.database.writer() as session:
            session.execute(delete(Strategy).where(Strategy.name == "dummy"))
        self.runner.run(run)
        self.assertEqual([], self.plans())
        self.assertEqual(AuditState.FAILED, self.reload(audit).state)

    def test_parameters_of_the_event_come_over_those_of_the_audit(self) -> None:
        audit = self.audit(parameters={"para1": 1.5, "para2": "audit"})
        given: list[dict[str, Any]] = []
        execute = Dummy.execute

        def spy(strategy: Dummy, inputs: Any) -> Any:
            given.append(dict(inputs.parameters))
            return execute(strategy, inputs)

        self.patch(Dummy, "execute", spy)
        with self.database.writer() as session:
            for parameters in ({"para2": "one"}, {"para2": "two"}, {}):
                now = timeutils.utcnow()
                factories.accepted(session, audit.id, now, parameters=parameters)
        for _ in range(3):
            self.runner.run(self.claim(audit))

        self.assertEqual(["one", "two", "audit"], [each["para2"] for each in given])
        self.assertEqual({1.5}, {each["para1"] for each in given})
        self.assertEqual(3, len(self.plans()))
        with self.database.reader() as session:
            owners = session.scalars(select(AuditEvent.run_id)).all()
            self.assertIsNone(runs.waiting(session, audit.id))
        self.assertEqual(3, len(set(owners)))

    def test_parameters_that_no_longer_fit_fail_at_once_and_alone(self) -> None:
        audit = self.audit()
        with self.database.writer() as session:
            for parameters in ({"para1": 99}, {"para2": "fine"}):
                now = timeutils.utcnow()
                factories.accepted(session, audit.id, now, parameters=parameters)
        first = self.claim(audit)
        self.runner.run(first)
        self.assertEqual(RunState.FAILED, self.reload(first).state)
        self.assertIn("parameters.para1", self.reload(audit).status_message)
        self.runner.run(self.claim(audit))
        self.assertEqual(AuditState.SUCCEEDED, self.reload(audit).state)
        self.assertEqual(1, len(self.plans()))

    def test_indicators_are_rows(self) -> None:
        audit = self.audit()
        self.set_strategy(audit, "workload_stabilization")
        self.patch_indicators()
        self.runner.run(self.claim(audit))
        with self.database.reader() as session:
            names = session.scalars(select(EfficacyIndicator.name)).all()
        self.assertIn("instance_migrations_count", names)

    def patch_indicators(self) -> None:
        from watcher.decision_engine.solution import Solution
        from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization

        self.patch(
            WorkloadStabilization,
            "execute",
            lambda strategy, inputs: Solution((), {"instance_migrations_count": 0}),
        )
