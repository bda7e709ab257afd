# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import delete, select

from watcher.cloud.compute import Cloud
from watcher.common.errors import CloudUnavailable, Invalid
from watcher.common.states import ActionState, AuditState, AuditType, PlanState, RunState
from watcher.db import claims, runs
from watcher.db.models import Action, ActionPlan, Audit, AuditRun, EfficacyIndicator, Goal, Strategy
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.runner import Runner
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.notifications import Notifications
from watcher.tests import base, factories

LEASE = claims.Lease("engine-1:1:a", "engine-1", datetime.timedelta(seconds=30))


class Ringing:
    """A doorbell that remembers who rang."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, uuid: str) -> None:
        self.rung.append(uuid)


class RunnerTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.catalog = Catalog(self.conf)
        self.database.write(lambda session: self.catalog.sync(session, timeutils.utcnow()))
        self.applier = Ringing()
        self.runner = Runner(
            self.conf,
            self.database,
            Cloud(),
            self.catalog,
            self.applier,
            Notifications(self.conf, self.database),
        )

    def audit(self, strategy: str | None = "dummy", **values: Any) -> Audit:
        values.setdefault("audit_type", AuditType.EVENT)
        with self.database.writer() as session:
            goal = session.scalars(select(Goal).where(Goal.name == "dummy")).one()
            row = (
                strategy
                and session.scalars(select(Strategy).where(Strategy.name == strategy)).one()
            )
            return factories.audit(session, goal, row or None, **values)

    def claim(self, audit: Audit) -> AuditRun:
        now = timeutils.utcnow()
        with self.database.writer() as session:
            waiting = runs.waiting(session, audit.id) or runs.enqueue(session, audit.id, now, now)
            waiting.not_before = now
            session.flush()
            claimed = claims.claim(session, waiting.id, LEASE, now)
        assert claimed is not None
        return claimed

    def reload(self, row: Any) -> Any:
        with self.database.reader() as session:
            return session.get_one(type(row), row.id)

    def plans(self) -> list[ActionPlan]:
        with self.database.reader() as session:
            return list(session.scalars(select(ActionPlan).order_by(ActionPlan.id)))

    def fail_with(self, error: Exception) -> None:
        def execute(strategy: Dummy, inputs: Any) -> Any:
            raise error

        self.patch(Dummy, "execute", execute)

    def set_audit(self, audit: Audit, **values: Any) -> None:
        with self.database.writer() as session:
            row = session.get_one(Audit, audit.id)
            for name, value in values.items():
                setattr(row, name, value)

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

    def set_strategy(self, audit: Audit, name: str, **values: Any) -> None:
        with self.database.reader() as session:
            strategy = session.scalars(select(Strategy).where(Strategy.name == name)).one()
        self.set_audit(audit, strategy_id=strategy.id, goal_id=strategy.goal_id, **values)

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

    def test_a_passing_failure_is_repeated_later_and_later(self) -> None:
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        pauses = []
        for _ in range(2):
            run = self.claim(audit)
            self.runner.run(run)
            run = self.reload(run)
            self.assertEqual((RunState.QUEUED, None), (run.state, run.engine))
            self.assertIn("nova does not answer.", run.status_message)
            pauses.append((run.not_before - run.started_at).total_seconds())
        self.assertEqual([10, 20], [round(pause, -1) for pause in pauses])
        self.assertEqual(AuditState.ONGOING, self.reload(audit).state)

    def test_a_passing_failure_is_lasting_after_max_attempts(self) -> None:
        self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertEqual(AuditState.FAILED, self.reload(audit).state)

    def test_a_lasting_failure_fails_at_once_with_its_sentence(self) -> None:
        self.fail_with(Invalid("parameters.para1: too odd."))
        audit = self.audit()
        run = self.claim(audit)

        self.runner.run(run)

        audit = self.reload(audit)
        self.assertEqual(AuditState.FAILED, audit.state)
        self.assertEqual("parameters.para1: too odd.", audit.status_message)
        self.assertEqual(audit.status_message, self.reload(run).status_message)

    def test_an_unexpected_failure_is_lasting_and_cut_to_size(self) -> None:
        self.fail_with(RuntimeError("x" * 1000))
        audit = self.audit()
        self.runner.run(self.claim(audit))
        message = self.reload(audit).status_message
        self.assertEqual(
            (255, "RuntimeError: xx", "..."), (len(message), message[:16], message[-3:])
        )

    def test_a_failed_attempt_joins_the_run_that_waits_already(self) -> None:
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        run = self.claim(audit)
        now = timeutils.utcnow()
        with self.database.writer() as session:
            younger = runs.enqueue(session, audit.id, now, now)

        self.runner.run(run)

        self.assertEqual(RunState.CANCELLED, self.reload(run).state)
        younger = self.reload(younger)
        self.assertEqual(
            (RunState.QUEUED, 1, 1), (younger.state, younger.attempt, younger.coalesced_count)
        )
        self.assertLess(now, younger.not_before)

    def test_the_result_for_a_cancelled_audit_is_dropped(self) -> None:
        audit = self.audit(auto_trigger=True)
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.CANCELLED)

        self.runner.run(run)

        self.assertEqual([], self.plans())
        self.assertEqual([], self.applier.rung)
        self.assertEqual(RunState.CANCELLED, self.reload(run).state)
        self.assertEqual(AuditState.CANCELLED, self.reload(audit).state)

    def test_the_run_of_a_suspended_audit_waits_for_its_resumption(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.SUSPENDED)

        self.runner.run(run)

        self.assertEqual([], self.plans())
        self.assertEqual(RunState.QUEUED, self.reload(run).state)
        self.assertEqual(AuditState.SUSPENDED, self.reload(audit).state)

    def test_an_engine_that_lost_its_lease_writes_nothing(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        later = timeutils.utcnow() + LEASE.duration * 2
        with self.database.writer() as session:
            self.assertIsNotNone(
                claims.take_over(
                    session, run.id, claims.Lease("other", "engine-2", LEASE.duration), later
                )
            )

        self.runner.run(run)

        self.assertEqual([], self.plans())
        run = self.reload(run)
        self.assertEqual((RunState.ONGOING, "other"), (run.state, run.engine))
        self.assertEqual(AuditState.ONGOING, self.reload(audit).state)

    def test_a_run_that_kills_engines_is_given_up(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_decision_engine")
        audit = self.audit()
        run = self.claim(audit)
        with self.database.writer() as session:
            for lapse in (1, 2):
                later = timeutils.utcnow() + LEASE.duration * 2 * lapse
                run = claims.take_over(session, run.id, LEASE, later)

        self.runner.run(run)

        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertIn("died, 2 times", self.reload(audit).status_message)

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
