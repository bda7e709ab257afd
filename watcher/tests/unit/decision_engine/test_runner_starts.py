# SPDX-License-Identifier: Apache-2.0
"""When the plan of a run starts automatically."""

import datetime
from typing import Any
from unittest import mock

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import action_plans
from watcher.db.models import (
    AuditRun,
)
from watcher.decision_engine.solution import ProposedAction, Solution
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.tests import factories
from watcher.tests.unit.decision_engine.runner_case import RunnerTestCase


class RunnerStartsTest(RunnerTestCase):
    def test_of_two_runs_that_end_at_once_one_starts_its_plan(self) -> None:
        first, second = (self.audit(auto_trigger=True) for _ in range(2))
        earlier, later = self.claim(first), self.claim(second)
        self.runner.run(earlier)
        self.runner.run(later)

        (plan,) = self.plans()
        self.assertEqual((PlanState.PENDING, first.id), (plan.state, plan.audit_id))
        later = self.reload(later)
        self.assertEqual(RunState.QUEUED, later.state)
        self.assertIn(plan.uuid, later.status_message)
        self.assertEqual(AuditState.ONGOING, self.reload(second).state)
        self.assertEqual([plan.uuid], self.applier.rung)

    def test_a_plan_that_was_carried_out_since_the_run_began_counts(self) -> None:
        audit = self.audit(auto_trigger=True)
        self.finish_plan_during_runs()
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(RunState.QUEUED, self.reload(run).state)

    def test_one_that_was_over_before_does_not(self) -> None:
        audit = self.audit(auto_trigger=True)
        self.finished_plan()
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(PlanState.PENDING, self.plans()[-1].state)

    def test_the_clocks_of_appliers_do_not_decide_which_plans_ended(self) -> None:
        for minutes, state in ((10, PlanState.PENDING), (-10, PlanState.RECOMMENDED)):
            self.end_pending()
            audit = self.audit(auto_trigger=True, audit_type=AuditType.ONESHOT)
            at = timeutils.utcnow() + datetime.timedelta(minutes=minutes)
            self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
            if minutes > 0:
                self.finished_plan(at)
            else:
                self.finish_plan_during_runs(at)
            self.runner.run(self.claim(audit))
            self.assertEqual((state, audit.id), (self.plans()[-1].state, self.plans()[-1].audit_id))

    def finish_plan_during_runs(self, at: datetime.datetime | None = None) -> None:
        execute = Dummy.execute

        def slow(strategy: Dummy, inputs: Any) -> Any:
            solution = execute(strategy, inputs)
            self.finished_plan(at)
            return solution

        self.patch(Dummy, "execute", slow)

    def finished_plan(
        self, at: datetime.datetime | None = None, state: str = PlanState.SUCCEEDED
    ) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            strategy = factories.strategy(session, goal)
            factories.action_plan(
                session,
                factories.audit(session, goal, strategy),
                strategy,
                state=state,
                hostname="node-1",
                updated_at=at or timeutils.utcnow(),
            )
            if state == PlanState.SUCCEEDED:
                action_plans.count_end(session)

    def test_after_too_many_repetitions_a_person_starts_the_plan(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_decision_engine")
        self.finish_plan_during_runs()
        for audit_type in (AuditType.ONESHOT, AuditType.EVENT):
            audit = self.audit(auto_trigger=True, audit_type=audit_type)
            for _ in range(2):
                self.runner.run(self.claim(audit))
            plan = self.plans()[-1]
            self.assertEqual((PlanState.RECOMMENDED, audit.id), (plan.state, plan.audit_id))
            self.assertIn("Not started automatically: action plan", plan.status_message)

    def test_a_oneshot_audit_does_not_wait_for_a_plan_under_way(self) -> None:
        audit = self.audit(auto_trigger=True, audit_type=AuditType.ONESHOT)
        run = self.claim(audit)
        self.finished_plan(state=PlanState.ONGOING)
        self.runner.run(run)
        plan = self.plans()[-1]
        self.assertEqual((PlanState.RECOMMENDED, audit.id), (plan.state, plan.audit_id))

    def test_force_starts_beside_other_plans(self) -> None:
        audit = self.audit(auto_trigger=True, force=True)
        self.finish_plan_during_runs()
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(PlanState.PENDING, self.plans()[-1].state)

    def test_a_plan_beyond_a_limit_waits_for_a_person(self) -> None:
        audit = self.auto(max_actions=2)
        run = self.claim(audit)
        self.runner.run(run)
        (plan,) = self.plans()
        self.assertEqual(PlanState.RECOMMENDED, plan.state)
        self.assertIn("the plan has 3 actions, and max_actions is 2", plan.status_message)
        self.assertEqual([], self.applier.rung)
        self.assertFalse(self.reload(run).auto_started)

    def test_a_plan_within_the_limits_starts(self) -> None:
        run = self.claim(self.auto(max_actions=3, max_plans_per_hour=1))
        self.runner.run(run)
        (plan,) = self.plans()
        self.assertEqual((PlanState.PENDING, None), (plan.state, plan.status_message))
        self.assertTrue(self.reload(run).auto_started)

    def test_so_many_plans_an_hour(self) -> None:
        audit = self.auto(max_plans_per_hour=1)
        for _ in range(3):
            self.runner.run(self.claim(audit))
            self.end_pending()
        ended, *others = self.plans()
        self.assertEqual(PlanState.SUCCEEDED, ended.state)
        for plan in others:
            self.assertIn("max_plans_per_hour is 1", plan.status_message)
        self.assertEqual(
            [PlanState.SUPERSEDED, PlanState.RECOMMENDED], [plan.state for plan in others]
        )
        with self.database.writer() as session:
            for run in session.scalars(select(AuditRun)):
                run.finished_at -= datetime.timedelta(hours=1)
        self.runner.run(self.claim(audit))
        self.assertEqual(PlanState.PENDING, self.plans()[-1].state)

    def test_a_plan_of_too_little_use(self) -> None:
        for percent, state in ((40, PlanState.RECOMMENDED), (50, PlanState.PENDING)):
            solution = Solution((ProposedAction("nop", {"message": "one"}),), gain=percent)
            with mock.patch.object(Dummy, "execute", return_value=solution):
                self.runner.run(self.claim(self.auto(min_efficacy=50)))
            self.assertEqual(state, self.plans()[-1].state)

    def test_the_plans_of_an_open_webhook_may_be_left_to_a_person(self) -> None:
        for auth, required, state in (
            (None, False, PlanState.PENDING),
            (None, True, PlanState.RECOMMENDED),
            ("none", True, PlanState.RECOMMENDED),
            ("secret", True, PlanState.PENDING),
        ):
            self.conf.set_override("require_auth_for_auto_trigger", required, group="webhooks")
            self.runner.run(self.claim(self.auto(auth=auth)))
            self.assertEqual(state, self.plans()[-1].state, auth)
            self.end_pending()
        self.conf.set_override("default_auth", "keystone", group="webhooks")
        self.runner.run(self.claim(self.auto()))
        self.assertEqual(PlanState.PENDING, self.plans()[-1].state)

    def test_limits_are_for_plans_of_event_audits_alone(self) -> None:
        self.conf.set_override("require_auth_for_auto_trigger", True, group="webhooks")
        self.runner.run(self.claim(self.audit()))
        self.assertEqual(None, self.plans()[-1].status_message)
        audit = self.audit(
            audit_type=AuditType.CONTINUOUS, interval="60", auto_trigger=True, force=True
        )
        self.runner.run(self.claim(audit))
        self.assertEqual(PlanState.PENDING, self.plans()[-1].state)
