# SPDX-License-Identifier: Apache-2.0
"""Who gets which plan, on any database."""

import datetime
import queue
import threading
from functools import partial

from oslo_db import exception as db_exception

from watcher.applier.interrupts import Interrupts
from watcher.applier.plan_dispatcher import PlanDispatcher
from watcher.common.states import PlanState
from watcher.db import plan_claims
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan
from watcher.tests.base import TIMEOUT
from watcher.tests.unit.applier.stories import DURATION, NOW, Story, lease

SECOND = datetime.timedelta(seconds=1)


class DispatcherStories(Story):
    def setUp(self) -> None:
        super().setUp()
        self.begun: queue.SimpleQueue[tuple[int, Interrupts]] = queue.SimpleQueue()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)
        self.dispatcher = self.make()

    def make(self, by: Holder | None = None) -> PlanDispatcher:
        dispatcher = PlanDispatcher(
            self.conf,
            self.database,
            by or lease(),
            self.carry_out,
            self.notifications,
            lambda: self.seconds,
        )
        self.addCleanup(self.go_on.set)
        return dispatcher

    def carry_out(self, plan_id: int, interrupts: Interrupts) -> None:
        self.begun.put((plan_id, interrupts))
        self.go_on.wait(TIMEOUT)

    def test_the_oldest_pending_plan_is_claimed(self) -> None:
        first, second = self.add_plan(), self.add_plan()
        self.add_plan(state=PlanState.RECOMMENDED)
        claimed = [self.dispatcher.claim(NOW) for _ in range(3)]
        self.assertEqual([first.id, second.id, None], claimed)
        plan = self.plan_of(first)
        self.assertEqual((PlanState.ONGOING, "engine-1"), (plan.state, plan.hostname))
        self.assertEqual([lease().engine] * 2, self.leases())

    def test_two_appliers_never_claim_the_same_plan(self) -> None:
        for _ in range(8):
            self.add_plan()
        claimed: queue.SimpleQueue[int] = queue.SimpleQueue()

        def claim_all(dispatcher: PlanDispatcher) -> None:
            while (plan_id := dispatcher.claim(NOW)) is not None:
                claimed.put(plan_id)

        threads = [
            threading.Thread(target=claim_all, args=(self.make(lease(name)),))
            for name in ("engine-1", "engine-2", "engine-3")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertEqual(8, claimed.qsize())
        self.assertEqual(8, len({claimed.get() for _ in range(8)}))

    def test_a_plan_is_taken_over_when_its_lease_has_lapsed(self) -> None:
        for ahead in (datetime.timedelta(), 600 * SECOND, -3600 * SECOND):
            with self.subTest(f"the clock of the other is ahead by {ahead}"):
                plan = self.add_plan()
                self.hold(plan)
                other = self.make(lease("engine-2"))
                self.assertIsNone(other.claim(NOW + ahead))
                self.seconds += DURATION.total_seconds() - 1
                self.assertIsNone(other.claim(NOW + ahead + DURATION - SECOND))
                self.seconds += 1
                self.assertEqual(plan.id, other.claim(NOW + ahead + DURATION))
                self.assertEqual([lease("engine-2").engine], self.leases())
                self.assertEqual("engine-2", self.plan_of(plan).hostname)
                self.set_state(plan, PlanState.SUCCEEDED)
                with self.database.writer() as session:
                    plan_claims.release(session, plan.id, lease("engine-2").engine)

    def test_a_heartbeat_extends_the_leases_of_held_plans(self) -> None:
        plan = self.add_plan()
        self.dispatcher.look(NOW)
        self.begun.get(timeout=TIMEOUT)
        other = self.make(lease("engine-2"))
        for _ in range(10):
            self.assertIsNone(other.claim(NOW + self.seconds * SECOND))
            self.seconds += DURATION.total_seconds()
            self.dispatcher.beat(NOW + self.seconds * SECOND)
        self.assertIsNone(other.claim(NOW))
        self.seconds += DURATION.total_seconds()
        self.assertEqual(plan.id, other.claim(NOW))

    def test_a_late_heartbeat_is_no_death(self) -> None:
        plan = self.add_plan()
        self.dispatcher.look(NOW)
        self.begun.get(timeout=TIMEOUT)
        self.assertIsNone(self.dispatcher.claim(NOW + 10 * DURATION))
        self.dispatcher.beat(NOW + 10 * DURATION)
        self.assertEqual([lease().engine], self.leases())
        self.assertEqual(PlanState.ONGOING, self.plan_of(plan).state)

    def test_a_heartbeat_keeps_no_plan_that_was_let_go(self) -> None:
        plan = self.add_plan()
        self.hold(plan)
        other = self.make(lease("engine-2"))
        self.assertIsNone(other.claim(NOW))
        self.dispatcher.beat(NOW + DURATION)
        self.seconds = DURATION.total_seconds()
        self.assertEqual(plan.id, other.claim(NOW + DURATION))

    def test_a_plan_without_a_lease_is_taken_over_at_once(self) -> None:
        """From an applier that stopped, or from the service that was here before."""
        for state in (PlanState.ONGOING, PlanState.CANCELLING):
            plan = self.add_plan(state=state)
            self.assertEqual(plan.id, self.dispatcher.claim(NOW))
            self.assertEqual(state, self.plan_of(plan).state)

    def test_of_two_that_take_over_one_wins(self) -> None:
        for held in (True, False):
            plan = self.add_plan(state=PlanState.PENDING if held else PlanState.ONGOING)
            later = NOW + DURATION + SECOND
            if held:
                self.hold(plan)
            claim = plan_claims.claim
            if held:
                claim = partial(plan_claims.take_over, end=NOW + DURATION)
            with self.database.writer() as session:
                self.assertEqual(plan.id, claim(session, plan.id, lease("a"), later))
            with self.database.writer() as session:
                self.assertIsNone(claim(session, plan.id, lease("b"), later))

    def test_a_plan_that_ended_meanwhile_is_not_taken_over(self) -> None:
        plan = self.add_plan(state=PlanState.SUCCEEDED)
        with self.database.writer() as session:
            self.assertIsNone(plan_claims.claim(session, plan.id, lease(), NOW))
        self.assertEqual([], self.leases())

    def test_no_more_plans_at_once_than_workers(self) -> None:
        self.conf.set_override("workers", 2, group="watcher_applier")
        dispatcher = self.make()
        for _ in range(3):
            self.add_plan()
        dispatcher.look(NOW)
        self.assertEqual(2, len(self.leases()))

    def test_a_plan_that_is_being_cancelled_is_interrupted(self) -> None:
        plan = self.add_plan()
        self.dispatcher.look(NOW)
        _, interrupts = self.begun.get(timeout=TIMEOUT)
        self.dispatcher.interrupt_held()
        self.assertFalse(interrupts.present)
        self.set_state(plan, PlanState.CANCELLING)
        self.dispatcher.interrupt_held()
        self.assertTrue(interrupts.present)
        self.assertFalse(interrupts.stopped)

    def test_a_plan_that_is_lost_is_stopped(self) -> None:
        plan = self.add_plan()
        self.dispatcher.look(NOW)
        _, interrupts = self.begun.get(timeout=TIMEOUT)
        self.hold(plan, lease("engine-2"))
        self.dispatcher.interrupt_held()
        self.assertTrue(interrupts.stopped)

    def test_stop_interrupts_the_held_plans(self) -> None:
        self.add_plan()
        self.dispatcher.start()
        _, interrupts = self.begun.get(timeout=TIMEOUT)
        interrupts.stop = self.go_on.set  # type: ignore[method-assign]
        self.dispatcher.stop()
        self.assertTrue(self.go_on.is_set())

    def plan_after_the_first_look(self) -> ActionPlan:
        """Start the dispatcher, and add a plan when it has looked for plans once."""
        looked = threading.Event()
        look = self.dispatcher.look

        def spy(now: datetime.datetime) -> None:
            look(now)
            looked.set()

        self.dispatcher.look = spy  # type: ignore[method-assign]
        self.dispatcher.start()
        self.assertTrue(looked.wait(TIMEOUT))
        plan = self.add_plan()
        return plan

    def test_a_doorbell_makes_it_look_at_once(self) -> None:
        self.conf.set_override("poll_interval", 3600, group="watcher_applier")
        plan = self.plan_after_the_first_look()
        self.dispatcher.wake()
        self.assertEqual(plan.id, self.begun.get(timeout=TIMEOUT)[0])
        self.go_on.set()
        self.dispatcher.stop()

    def test_a_plan_whose_doorbell_was_lost_is_found(self) -> None:
        """The decision engine died after it had written the plan."""
        self.conf.set_override("poll_interval", 1, group="watcher_applier")
        plan = self.plan_after_the_first_look()
        self.assertEqual(plan.id, self.begun.get(timeout=TIMEOUT)[0])
        self.go_on.set()
        self.dispatcher.stop()

    def test_a_database_that_does_not_answer_ends_nothing(self) -> None:
        self.conf.set_override("poll_interval", 1, group="watcher_applier")
        looks: queue.SimpleQueue[int] = queue.SimpleQueue()
        failures = iter([db_exception.DBConnectionError(), TimeoutError("pool"), OSError("gone")])

        def look(now: datetime.datetime) -> None:
            looks.put(1)
            for failure in failures:
                raise failure

        self.dispatcher.look = look  # type: ignore[method-assign]
        self.dispatcher.start()
        for _ in range(4):
            looks.get(timeout=TIMEOUT)
            self.dispatcher.wake()
        self.dispatcher.stop()

    def test_who_ends_a_plan_makes_room_before_it_wakes_for_the_next(self) -> None:
        held: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.dispatcher.wake = lambda: held.put(  # type: ignore[method-assign]
            len(self.dispatcher.held)
        )
        self.add_plan()
        self.go_on.set()
        self.dispatcher.look(NOW)
        self.assertEqual(0, held.get(timeout=TIMEOUT))

    def test_a_worker_that_fails_makes_room_for_another(self) -> None:
        def fail(plan_id: int, interrupts: Interrupts) -> None:
            self.begun.put((plan_id, interrupts))
            raise db_exception.DBConnectionError

        dispatcher = PlanDispatcher(self.conf, self.database, lease(), fail, self.notifications)
        self.add_plan()
        self.add_plan()
        dispatcher.look(NOW)
        self.begun.get(timeout=TIMEOUT)
        while dispatcher.held:
            pass
        dispatcher.look(NOW)
        self.begun.get(timeout=TIMEOUT)
        dispatcher.stop()
