# SPDX-License-Identifier: Apache-2.0
"""Appliers at work: any database, one simulated cloud, real threads."""

import datetime
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from oslo_db import exception as db_exception
from sqlalchemy.orm import Session

from watcher.applier.interrupts import Interrupts
from watcher.applier.service import Applier
from watcher.applier.workflow import ROLLED_BACK
from watcher.common.errors import CloudRefused
from watcher.common.states import ActionState, PlanState
from watcher.db import models, plan_claims, plan_execution, reviews
from watcher.db.disabled_hosts import BY_HAND
from watcher.db.errors import Unwritable, WrongSchema
from watcher.db.leases import Holder
from watcher.db.timeouts import LockWait
from watcher.tests.base import TIMEOUT
from watcher.tests.unit.applier.stories import DURATION, NOW, SimulatedInterrupts, Story, lease


class Bell:
    """A decision engine's doorbell."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def ring(self, uuid: str) -> None:
        self.rung.set()


class ApplierStories(Story):
    def setUp(self) -> None:
        super().setUp()
        self.bell = Bell()
        self.conf.set_override("migration_interval", 1.0, group="nova")

    def make(self, host: str = "engine-1") -> Applier:
        self.conf.set_override("host", host)
        return Applier(
            self.conf,
            self.database,
            self.cloud.cloud,
            self.bell,
            self.notifications,
            clock=lambda: self.seconds,
        )

    def carry_out(
        self, row: models.ActionPlan, interrupts: Interrupts | None = None
    ) -> models.ActionPlan:
        """The plan after an applier had it, from its claim on."""
        applier = self.make()
        plan_id = applier.dispatcher.claim(NOW)
        self.assertEqual(row.id, plan_id)
        applier.execute_plan(row.id, interrupts or SimulatedInterrupts(self))
        return self.plan_of(row)

    def test_migrations_one_after_the_other(self) -> None:
        row = self.add_plan(self.migration(0), self.migration(1), self.migration(2))
        plan = self.carry_out(row)
        self.assertEqual((PlanState.SUCCEEDED, None), (plan.state, plan.status_message))
        self.assertEqual([ActionState.SUCCEEDED] * 3, self.states_of(row))
        self.assertEqual({"b"}, {self.cloud.server(uuid).host for uuid in self.uuids[:3]})
        self.assertEqual([], self.leases())
        self.assertTrue(self.bell.rung.is_set())

    def test_what_a_plan_did_is_to_be_looked_at_after_its_end(self) -> None:
        row = self.add_plan(self.migration(0))
        with self.database.writer() as session:
            reviews.add(session, row.id, {"figure": "f"}, 60)
        self.carry_out(row)
        with self.database.reader() as session:
            review = session.get_one(models.Review, row.id)
        assert review.due_at is not None and review.ended_at is not None
        self.assertEqual(60, (review.due_at - review.ended_at).total_seconds())

    def test_a_failed_action_does_not_stop_the_others(self) -> None:
        first = {**self.migration(0, destination_node="x"), "uuid": models.new_uuid()}
        second = {**self.migration(1), "parents": [first["uuid"]]}
        row = self.add_plan(first, second, strategy=BY_HAND)
        plan = self.carry_out(row)
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertEqual([ActionState.FAILED, ActionState.SUCCEEDED], self.states_of(row))
        self.assertRegex(plan.status_message or "", "^1 of 2 actions failed; the first: .*host x")

    def test_what_was_said_of_a_plan_before_it_began_is_kept(self) -> None:
        said = "2 hosts stay above 80 % CPU."
        first = {"uuid": models.new_uuid(), "state": ActionState.SKIPPED}
        row = self.add_plan(first)
        with self.database.writer() as session:
            summary = {"undone": {"sentence": said}}
            session.add(models.PlanReasons(action_plan_id=row.id, summary=summary, reasons={}))
        plan = self.carry_out(row)
        self.assertEqual(f"{said} {plan_execution.SOME_SKIPPED}", plan.status_message)

    def test_a_skipped_action_satisfies_its_children(self) -> None:
        by_user = "Action skipped by user."
        first = {
            "uuid": models.new_uuid(),
            "state": ActionState.SKIPPED,
            "status_message": by_user,
        }
        row = self.add_plan(first, {**self.migration(1), "parents": [first["uuid"]]})
        plan = self.carry_out(row)
        self.assertEqual(
            (PlanState.SUCCEEDED, plan_execution.SOME_SKIPPED), (plan.state, plan.status_message)
        )
        self.assertEqual([ActionState.SKIPPED, ActionState.SUCCEEDED], self.states_of(row))
        self.assertEqual(by_user, self.actions_of(row)[0].status_message)

    def test_actions_that_wait_for_each_other(self) -> None:
        uuids = [models.new_uuid(), models.new_uuid()]
        row = self.add_plan(
            {"uuid": uuids[0], "parents": [uuids[1]]}, {"uuid": uuids[1], "parents": [uuids[0]]}
        )
        plan = self.carry_out(row)
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertIn("wait for each other", plan.status_message or "")
        self.assertEqual([ActionState.CANCELLED] * 2, self.states_of(row))

    def test_the_execution_rule_of_a_strategy(self) -> None:
        first = {"uuid": models.new_uuid()}
        row = self.add_plan(first, {"parents": [first["uuid"]]})
        with self.database.reader() as session:
            strategy = session.get_one(models.Strategy, row.strategy_id).name
        self.conf.set_override(
            "action_execution_rule", {strategy: "ANY"}, group="watcher_workflow_engines.taskflow"
        )
        self.assertEqual(PlanState.SUCCEEDED, self.carry_out(row).state)
        self.assertEqual([ActionState.SUCCEEDED, ActionState.PENDING], self.states_of(row))

    def test_a_limit_holds_for_all_plans_together(self) -> None:
        self.conf.set_override("max_concurrent_by_type", {"migrate": 1}, group="watcher_applier")
        rows = [self.add_plan(self.migration(number)) for number in range(3)]
        applier, most = self.make(), 0

        class Watchful(SimulatedInterrupts):
            def wait(waiter, seconds: float) -> None:
                nonlocal most
                states = [state for row in rows for state in self.states_of(row)]
                most = max(most, states.count(ActionState.ONGOING))
                super().wait(seconds)

        for _ in rows:
            applier.dispatcher.claim(NOW)
        threads = [
            threading.Thread(target=applier.execute_plan, args=(row.id, Watchful(self)))
            for row in rows
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual([[ActionState.SUCCEEDED]] * 3, [self.states_of(row) for row in rows])
        self.assertEqual(1, most)

    def rolled_back(self) -> models.ActionPlan:
        """A plan that migrates, stops and disables, and then fails."""
        self.conf.set_override("rollback_when_actionplan_failed", True, group="watcher_applier")
        uuids = [models.new_uuid() for _ in range(4)]
        stop = {"action_type": "stop", "input_parameters": {"resource_id": self.uuids[1]}}
        disable = {
            "action_type": "change_nova_service_state",
            "input_parameters": {"resource_id": "b", "state": "disabled"},
        }
        steps = [self.migration(0), stop, disable, self.migration(2)]
        return self.add_plan(
            *(
                {**step, "uuid": uuid, "parents": [before] if before else []}
                for step, uuid, before in zip(steps, uuids, [None, *uuids], strict=False)
            ),
            {},
            strategy=BY_HAND,
        )

    def check_rolled_back(self, row: models.ActionPlan) -> None:
        server = self.cloud.server(self.uuids[0])
        self.assertEqual(("a", None), (server.host, server.task_state))
        self.assertEqual("active", self.cloud.server(self.uuids[1]).state)
        self.assertEqual("enabled", self.cloud.host("b").status)
        *reverted, failed, nop = self.actions_of(row)
        for action in reverted:
            self.assertEqual(ActionState.SUCCEEDED, action.state)
            self.assertEqual("Reverted, because the plan failed.", action.status_message)
        self.assertEqual(ActionState.FAILED, failed.state)
        self.assertEqual((ActionState.SUCCEEDED, None), (nop.state, nop.status_message))
        with self.database.reader() as session:
            self.assertEqual(0, session.query(models.ActionOrigin).count())

    def test_a_plan_that_fails_is_rolled_back(self) -> None:
        row = self.rolled_back()
        plan = self.carry_out(row)
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertIn(ROLLED_BACK, plan.status_message or "")
        self.check_rolled_back(row)

    def test_a_plan_is_not_rolled_back_unless_that_is_asked_for(self) -> None:
        row = self.rolled_back()
        self.conf.clear_override("rollback_when_actionplan_failed", group="watcher_applier")
        self.assertNotIn(ROLLED_BACK, self.carry_out(row).status_message or "")
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)

    def test_a_plan_that_succeeds_is_not_rolled_back(self) -> None:
        self.conf.set_override("rollback_when_actionplan_failed", True, group="watcher_applier")
        row = self.add_plan(self.migration(0))
        self.assertEqual(PlanState.SUCCEEDED, self.carry_out(row).state)
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)
        with self.database.reader() as session:
            self.assertEqual(0, session.query(models.ActionOrigin).count())

    def test_what_cannot_be_reverted_says_so(self) -> None:
        row = self.rolled_back()
        with mock.patch.object(self.cloud, "start", side_effect=CloudRefused("Not today.")):
            self.carry_out(row)
        migration, stop, *_ = self.actions_of(row)
        self.assertEqual("Not reverted: Not today.", stop.status_message)
        self.assertIn("Reverted", migration.status_message or "")

    def test_a_rollback_outlives_its_applier(self) -> None:
        row = self.rolled_back()
        interrupts = SimulatedInterrupts(self)
        with mock.patch.object(
            self.cloud, "start", side_effect=lambda *args: interrupts.stop()
        ) as start:
            self.assertEqual(PlanState.ONGOING, self.carry_out(row, interrupts).state)
        start.assert_called_once()
        self.assertEqual("enabled", self.cloud.host("b").status)
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)

        self.assertEqual(PlanState.FAILED, self.carry_out(row).state)
        self.check_rolled_back(row)

    def test_a_plan_that_was_rolled_back_is_not_reviewed_even_if_its_applier_dies(self) -> None:
        row = self.rolled_back()
        with self.database.writer() as session:
            reviews.add(session, row.id, {"figure": "f"}, 60)
        gone = db_exception.DBConnectionError
        with mock.patch.object(plan_execution, "finish", side_effect=gone):
            self.assertRaises(gone, self.carry_out, row)
        self.assertEqual(PlanState.FAILED, self.carry_out(row).state)
        with self.database.reader() as session:
            self.assertEqual([], reviews.due(session, NOW + datetime.timedelta(days=9999), 10))

    def test_a_release_that_waits_for_a_lock_in_vain_is_not_tried_again(self) -> None:
        row = self.add_plan(self.migration(0))
        interrupts = SimulatedInterrupts(self)
        interrupts.stop()
        release = mock.patch.object(plan_claims, "release", side_effect=LockWait())
        with release as released, self.assertRaises(LockWait):
            self.carry_out(row, interrupts)
        released.assert_called_once()

    def test_a_cancel_ends_a_rollback(self) -> None:
        row = self.rolled_back()
        interrupts = SimulatedInterrupts(self)
        enable = self.cloud.enable

        def cancel(hostname: str) -> None:
            self.set_state(row, PlanState.CANCELLING)
            interrupts.cancel()
            enable(hostname)

        with mock.patch.object(self.cloud, "enable", cancel):
            self.assertEqual(PlanState.CANCELLED, self.carry_out(row, interrupts).state)
        self.assertEqual("enabled", self.cloud.host("b").status)
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)
        with self.database.reader() as session:
            self.assertEqual(0, session.query(models.ActionOrigin).count())

    def test_a_rollback_of_a_plan_that_is_lost_writes_nothing(self) -> None:
        row = self.rolled_back()
        enable = self.cloud.enable

        def lose(hostname: str) -> None:
            self.hold(row, lease("engine-2"))
            enable(hostname)

        with mock.patch.object(self.cloud, "enable", lose):
            self.assertEqual(PlanState.ONGOING, self.carry_out(row).state)
        self.assertIsNone(self.actions_of(row)[2].status_message)

    def test_a_plan_that_is_cancelled_while_it_runs(self) -> None:
        row = self.add_plan(self.migration(0), self.migration(1, migration_type="cold"), {})
        self.conf.set_override("max_workers", 1, group="watcher_workflow_engines.taskflow")

        plan = self.carry_out(row, self.cancelling(row, at=10))

        self.assertEqual(PlanState.CANCELLED, plan.state)
        self.assertEqual([ActionState.CANCELLED] * 3, self.states_of(row))
        self.assertEqual("a", self.cloud.server(self.uuids[0]).host)
        self.assertEqual([], self.leases())

    def test_a_plan_cancelled_when_all_is_done_is_cancelled(self) -> None:
        row = self.add_plan({})
        with mock.patch.object(
            plan_execution, "finish", side_effect=self.after_cancel(row, plan_execution.finish)
        ):
            self.assertEqual(PlanState.CANCELLED, self.carry_out(row).state)
        self.assertEqual([ActionState.SUCCEEDED], self.states_of(row))

    def after_cancel(self, row: models.ActionPlan, do: Callable[..., Any]) -> Callable[..., Any]:
        def call(session: Any, plan: Any, now: Any, *remarks: str) -> Any:
            session.get_one(models.ActionPlan, row.id).state = PlanState.CANCELLING
            session.flush()
            return do(session, plan, now, *remarks)

        return call

    def test_a_plan_found_cancelling_begins_nothing(self) -> None:
        row = self.add_plan(self.migration(0), {}, state=PlanState.CANCELLING)
        self.assertEqual(PlanState.CANCELLED, self.carry_out(row).state)
        self.assertEqual([ActionState.CANCELLED] * 2, self.states_of(row))

    def test_a_plan_that_another_applier_took_is_left_alone(self) -> None:
        row = self.add_plan(self.migration(0), {})
        interrupts = SimulatedInterrupts(self)
        wait = interrupts.wait

        def lose(seconds: float) -> None:
            if self.now < 5:
                self.hold(row, lease("engine-2"))
            wait(seconds)

        interrupts.wait = lose  # type: ignore[method-assign]
        self.assertEqual(PlanState.ONGOING, self.carry_out(row, interrupts).state)
        self.assertEqual([lease("engine-2").engine], self.leases())
        self.assertFalse(self.bell.rung.is_set())

    def test_a_restart_goes_on_where_the_plan_was(self) -> None:
        row = self.add_plan(
            {"uuid": (done := models.new_uuid())}, {**self.migration(0), "parents": [done]}
        )
        interrupts = SimulatedInterrupts(self)
        wait = interrupts.wait

        def stop(seconds: float) -> None:
            if self.now >= 10:
                interrupts.stop()
            wait(seconds)

        interrupts.wait = stop  # type: ignore[method-assign]
        self.assertEqual(PlanState.ONGOING, self.carry_out(row, interrupts).state)
        self.assertEqual([ActionState.SUCCEEDED, ActionState.ONGOING], self.states_of(row))
        self.assertEqual([], self.leases())

        with mock.patch.object(self.cloud, "live_migrate") as again:
            self.assertEqual(PlanState.SUCCEEDED, self.carry_out(row).state)
        again.assert_not_called()
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)

    def let_die(self, row: models.ActionPlan, times: int) -> Holder:
        """So many appliers begin with the plan and are never heard of again; the last of them."""
        for number in range(times):
            last = lease(f"engine-{number}")
            with self.database.writer() as session:
                now = NOW + 2 * number * DURATION
                self.assertTrue(self.take(session, row, last, now))
        return last

    def take(
        self, session: Session, row: models.ActionPlan, by: Holder, now: datetime.datetime
    ) -> int | None:
        """Claim a plan that is PENDING, or take it over from who has died."""
        end = dict(plan_claims.of_all(session)).get(row.id)
        if end is None:
            return plan_claims.claim(session, row.id, by, now)
        return plan_claims.take_over(session, row.id, by, now, end)

    def carry_on(self, row: models.ActionPlan, times: int) -> models.ActionPlan:
        """The plan after another applier had it, which found so many dead ones before it."""
        self.let_die(row, times)
        return self.carry_out_of_dead(row)

    def carry_out_of_dead(self, row: models.ActionPlan) -> models.ActionPlan:
        applier = self.make()
        self.assertIsNone(applier.dispatcher.claim(NOW))
        self.seconds += DURATION.total_seconds()
        self.assertEqual(row.id, applier.dispatcher.claim(NOW))
        applier.execute_plan(row.id, SimulatedInterrupts(self))
        return self.plan_of(row)

    def test_a_plan_that_kills_its_appliers_is_given_up(self) -> None:
        self.conf.set_override("max_attempts", 3, group="watcher_applier")
        row = self.add_plan({"state": ActionState.ONGOING}, self.migration(0))
        plan = self.carry_on(row, 3)
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertIn("died, 3 times in a row", plan.status_message)
        self.assertEqual([ActionState.FAILED, ActionState.CANCELLED], self.states_of(row))
        self.assertEqual([], self.leases())
        self.assertTrue(self.bell.rung.is_set())

    def test_a_plan_is_carried_on_after_fewer_deaths(self) -> None:
        self.conf.set_override("max_attempts", 3, group="watcher_applier")
        row = self.add_plan(self.migration(0))
        self.assertEqual(PlanState.SUCCEEDED, self.carry_on(row, 2).state)

    def test_a_plan_that_gets_on_may_outlive_many_appliers(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_applier")
        row = self.add_plan(*({"action_type": "nop"} for _ in range(4)))
        for number, action in enumerate(self.actions_of(row)):
            holder = lease(f"engine-{number}")
            with self.database.writer() as session:
                now = NOW + 2 * number * DURATION
                self.assertTrue(self.take(session, row, holder, now))
                plan = plan_execution.load(session, row.id, holder.engine)
                self.assertEqual(2 if number else 1, plan.attempt)
                held = next(each for each in plan.actions if each.id == action.id)
                for state in (ActionState.ONGOING, ActionState.SUCCEEDED):
                    self.assertIsNone(plan_execution.move_action(session, plan, held, state))
        self.assertEqual(PlanState.SUCCEEDED, self.carry_out_of_dead(row).state)

    def test_an_applier_that_stops_in_good_order_is_no_death(self) -> None:
        row = self.add_plan({})
        holder = self.let_die(row, 3)
        with self.database.writer() as session:
            plan_claims.release(session, row.id, holder.engine)
            self.assertTrue(plan_claims.claim(session, row.id, lease(), NOW))
            self.assertEqual(1, plan_execution.load(session, row.id, lease().engine).attempt)

    def test_a_bug_fails_the_plan_with_a_sentence(self) -> None:
        row = self.add_plan({}, {"state": ActionState.ONGOING})
        with mock.patch("watcher.applier.workflow.Workflow.run", side_effect=KeyError("bug")):
            plan = self.carry_out(row)
        self.assertEqual((PlanState.FAILED, "KeyError: 'bug'"), (plan.state, plan.status_message))
        self.assertEqual([ActionState.CANCELLED, ActionState.FAILED], self.states_of(row))

    def test_a_bug_in_a_plan_that_is_lost(self) -> None:
        row = self.add_plan({})

        def lose(*args: Any) -> None:
            self.hold(row, lease("engine-2"))
            raise KeyError("bug")

        with mock.patch("watcher.applier.workflow.Workflow.run", side_effect=lose):
            self.assertEqual(PlanState.ONGOING, self.carry_out(row).state)

    def test_a_database_that_goes_away_lets_the_plan_go(self) -> None:
        row = self.add_plan({})
        for error in (db_exception.DBConnectionError, WrongSchema, Unwritable):
            applier = self.make()
            applier.dispatcher.claim(NOW)
            with mock.patch("watcher.applier.workflow.Workflow.run", side_effect=error):
                self.assertRaises(error, applier.execute_plan, row.id, Interrupts())
            self.assertEqual((PlanState.ONGOING, []), (self.plan_of(row).state, self.leases()))

    def test_the_service_from_start_to_stop(self) -> None:
        row = self.add_plan({"action_type": "nop"}, {"action_type": "nop"})
        applier = self.make()
        applier.start()
        applier.dispatcher.wake()
        self.assertTrue(self.bell.rung.wait(TIMEOUT))
        applier.stop()
        self.assertEqual(PlanState.SUCCEEDED, self.plan_of(row).state)
        with self.database.reader() as session:
            service = session.query(models.Service).one()
            described = {
                kind.action_type: kind.description
                for kind in session.query(models.ActionDescription)
            }
        self.assertEqual(("watcher-applier", "engine-1"), (service.name, service.host))
        self.assertEqual("Move a server to another host.", described["migrate"])

    def test_descriptions_follow_the_code(self) -> None:
        for text in ("Old.", "New."):
            with self.database.writer() as session:
                plan_execution.sync_descriptions(session, {"nop": text})
        with self.database.reader() as session:
            self.assertEqual("New.", session.query(models.ActionDescription).one().description)

    def test_many_plans_two_appliers(self) -> None:
        rows = [self.add_plan({}, {}) for _ in range(10)]
        begun: list[str] = []
        appliers = [self.make(host) for host in ("engine-1", "engine-2")]

        def execute(action: Any) -> None:
            begun.append(action.parameters["message"])

        with mock.patch("watcher.applier.actions.nop.Nop.execute", execute):
            for applier in appliers:
                applier.start()
            while any(self.plan_of(row).state != PlanState.SUCCEEDED for row in rows):
                self.bell.rung.wait(TIMEOUT)
                self.bell.rung.clear()
            for applier in appliers:
                applier.stop()
        self.assertEqual(20, len(begun))
