# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any
from unittest import mock

from oslo_utils import timeutils
from sqlalchemy import delete, select

from watcher.cloud import Cloud
from watcher.cloud.compute import ServerGroup
from watcher.common.errors import CloudUnavailable, Invalid
from watcher.common.states import ActionState, AuditState, AuditType, PlanState, RunState
from watcher.db import action_plans, claims, inbox, runs
from watcher.db.leases import Holder
from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    AuditEvent,
    AuditRun,
    EfficacyIndicator,
    Goal,
    PlanReasons,
    Strategy,
    Webhook,
)
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.runner import Runner
from watcher.decision_engine.solution import ProposedAction, Solution, SolutionBuilder
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.model.undone import Undone
from watcher.notifications import Notifications
from watcher.tests import base, factories
from watcher.tests.emulated.server import EmulatedServer, Fault
from watcher.tests.unit.decision_engine import clusters

HOLDER = Holder("engine-1:1:a", "engine-1", datetime.timedelta(seconds=30))


class Ringing:
    """A doorbell that remembers who rang."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, uuid: str) -> None:
        self.rung.append(uuid)


class RunnerTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        sources = Sources.of(self.conf, Cloud())
        self.catalog = sources.catalog
        self.database.write(lambda session: self.catalog.sync(session, timeutils.utcnow()))
        self.applier = Ringing()
        notifications = Notifications(self.conf, self.database)
        self.runner = Runner(sources, self.database, self.applier, notifications)

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
            inbox.queue_run(session, audit.id, 60, now)
            waiting = runs.waiting(session, audit.id) or runs.enqueue(session, audit.id, now, now)
            waiting.not_before = now
            session.flush()
            claimed = claims.claim(session, waiting.id, HOLDER, now)
        assert claimed is not None
        return claimed

    def reload(self, row: Any) -> Any:
        with self.database.reader() as session:
            return session.get_one(type(row), row.id)

    def plans(self) -> list[ActionPlan]:
        with self.database.reader() as session:
            return list(session.scalars(select(ActionPlan).order_by(ActionPlan.id)))

    def fail_with(self, error: BaseException) -> None:
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

    def test_a_datasource_that_is_down_is_named(self) -> None:
        server = self.useFixture(EmulatedServer(None))
        server.fault = Fault.DOWN
        self.conf.set_override("datasources", ["prometheus"], group="watcher_datasources")
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        self.conf.set_override("host", "127.0.0.1", group="prometheus_client")
        port = int(server.url.rpartition(":")[2])
        self.conf.set_override("port", port, group="prometheus_client")

        def execute(strategy: Dummy, inputs: Any) -> Any:
            inputs.host_metric("host_cpu_usage", [], period=60, aggregate="mean", granularity=60)

        self.patch(Dummy, "execute", execute)
        audit = self.audit()
        self.runner.run(self.claim(audit))
        audit = self.reload(audit)
        self.assertEqual(AuditState.ONGOING, audit.state)
        for words in ("prometheus", "host_cpu_usage", "503"):
            self.assertIn(words, audit.status_message)

    def test_a_passing_failure_is_lasting_after_max_attempts(self) -> None:
        self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit(audit_type=AuditType.ONESHOT)
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertEqual(AuditState.FAILED, self.reload(audit).state)

    def test_an_alarm_is_tried_for_an_hour_however_often(self) -> None:
        self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        began = timeutils.utcnow()
        minutes = 0.0
        with mock.patch.object(timeutils, "utcnow") as now:
            while minutes < 120:
                now.return_value = began + datetime.timedelta(minutes=minutes)
                run = self.claim(audit)
                self.runner.run(run)
                run = self.reload(run)
                if run.state != RunState.QUEUED:
                    break
                minutes = (run.not_before - began).total_seconds() / 60
        self.assertEqual(RunState.FAILED, run.state)
        self.assertLess(59, minutes)
        self.assertGreater(66, minutes)
        self.assertEqual(
            [(number + 1, "nova does not answer.") for number in range(run.attempt)],
            [(each["attempt"], each["error"]) for each in run.errors],
        )

    def test_a_suspension_is_no_attempt(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.SUSPENDED)
        self.runner.run(run)
        self.assertEqual(0, self.reload(run).attempt)

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

    def test_a_strategy_that_tries_to_end_the_process_only_fails(self) -> None:
        self.fail_with(SystemExit(4))
        audit = self.audit()
        self.runner.run(self.claim(audit))
        self.assertEqual("SystemExit: 4", self.reload(audit).status_message)

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
            (RunState.QUEUED, 1, 0), (younger.state, younger.attempt, younger.coalesced_count)
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
        later = timeutils.utcnow() + HOLDER.duration * 2
        with self.database.writer() as session:
            self.assertIsNotNone(
                claims.take_over(
                    session,
                    run.id,
                    Holder("other", "engine-2", HOLDER.duration),
                    later,
                    run.lease_expires_at,
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
                later = timeutils.utcnow() + HOLDER.duration * 2 * lapse
                run = claims.take_over(session, run.id, HOLDER, later, run.lease_expires_at)

        self.runner.run(run)

        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertIn("died, 2 times", self.reload(audit).status_message)

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

    def test_deaths_are_counted_apart_from_failures(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        run = self.claim(audit)
        self.runner.run(run)
        self.runner.run(self.claim(audit))
        run = self.claim(audit)
        with self.database.writer() as session:
            later = timeutils.utcnow() + HOLDER.duration * 2
            run = claims.take_over(session, run.id, HOLDER, later, run.lease_expires_at)
        self.assertEqual((4, 1), (run.attempt, run.deaths))
        self.runner.run(run)
        run = self.reload(run)
        self.assertEqual((RunState.QUEUED, 0), (run.state, run.deaths))
        self.assertEqual([1, 2, 3, 4], [each["attempt"] for each in run.errors])
        self.assertIn("died", run.errors[2]["error"])

    def test_pauses_between_attempts_grow_up_to_an_hour(self) -> None:
        self.conf.set_override("max_attempts", 100, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        for audit_type, longest in ((AuditType.ONESHOT, 60), (AuditType.EVENT, 5)):
            audit = self.audit(audit_type=audit_type)
            run = self.claim(audit)
            with self.database.writer() as session:
                session.get_one(AuditRun, run.id).attempt = run.attempt = 90
            self.runner.run(run)
            run = self.reload(run)
            minutes = (run.not_before - run.started_at).total_seconds() / 60
            self.assertAlmostEqual(longest, minutes, delta=longest / 9)

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

    def end_pending(self) -> None:
        with self.database.writer() as session:
            for plan in session.scalars(select(ActionPlan)):
                if plan.state == PlanState.PENDING:
                    plan.state = PlanState.SUCCEEDED

    def auto(self, **webhook: Any) -> Audit:
        audit = self.audit(auto_trigger=True)
        with self.database.writer() as session:
            session.add(Webhook(audit_id=audit.id, **webhook))
        return audit

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
