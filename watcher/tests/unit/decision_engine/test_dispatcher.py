# SPDX-License-Identifier: Apache-2.0
import datetime
import threading
from typing import Any

from oslo_db import exception as db_exception
from oslo_utils import timeutils
from sqlalchemy import select

from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import run_ends, runs
from watcher.db.dispatcher import CANDIDATES
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditRun, Webhook
from watcher.decision_engine.run_dispatcher import RunDispatcher
from watcher.tests import base, factories

HOLDER = Holder("engine-1:1:a", "engine-1", datetime.timedelta(seconds=30))
OTHER = Holder("b", "engine-2", HOLDER.duration)
NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
SECOND = datetime.timedelta(seconds=1)


class DispatcherTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.executed: list[str] = []
        self.seconds = 0.0
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)
        self.dispatcher = self.make()

    def make(self, holder: Holder = HOLDER, **values: Any) -> RunDispatcher:
        values.setdefault("execute", lambda run: self.go_on.wait(base.TIMEOUT))
        return RunDispatcher(self.conf, self.database, holder, clock=lambda: self.seconds, **values)

    def queue(self, not_before: datetime.datetime = NOW, **audit: object) -> AuditRun:
        audit.setdefault("audit_type", AuditType.EVENT)
        with self.database.writer() as session:
            row = factories.audit(session, **audit)
            return runs.enqueue(session, row.id, NOW, not_before)

    def run_of(self, run: AuditRun) -> AuditRun:
        with self.database.reader() as session:
            return session.get_one(AuditRun, run.id)

    def audit_of(self, run: AuditRun) -> Audit:
        with self.database.reader() as session:
            return session.get_one(Audit, run.audit_id)

    def add_plan(self, state: str) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            strategy = factories.strategy(session, goal)
            audit = factories.audit(session, goal, strategy, state=AuditState.SUCCEEDED)
            factories.action_plan(session, audit, strategy, state=state)

    def test_claims_the_longest_due_run_and_starts_its_audit(self) -> None:
        self.queue(NOW)
        first = self.queue(NOW - SECOND)

        claimed = self.dispatcher.claim(NOW)

        self.assertEqual(first.uuid, claimed.uuid)
        self.assertEqual((RunState.ONGOING, 1, HOLDER.engine), _facts(self.run_of(first)))
        audit = self.audit_of(first)
        self.assertEqual((AuditState.ONGOING, "engine-1"), (audit.state, audit.hostname))

    def test_events_that_join_delay_no_run(self) -> None:
        waiting = self.queue(NOW + SECOND)
        with self.database.writer() as session:
            factories.appended(session, waiting.audit_id, NOW)
            new = factories.audit(session, audit_type=AuditType.EVENT)
            factories.appended(session, new.id, NOW)

        claimed = self.dispatcher.claim(NOW)

        self.assertEqual(new.id, claimed.audit_id)
        self.assertEqual(0, self.run_of(waiting).coalesced_count)
        self.dispatcher.look(NOW)
        self.assertEqual(1, self.run_of(waiting).coalesced_count)

    def test_events_that_join_do_so_together_once_in_a_while(self) -> None:
        waiting = self.queue(timeutils.utcnow() + 3600 * SECOND)
        for joined in (1, 1, 3):
            with self.database.writer() as session:
                factories.appended(session, waiting.audit_id, NOW)
            self.dispatcher.look(NOW)
            self.assertEqual(joined, self.run_of(waiting).coalesced_count)
            self.assertLess(self.dispatcher.pause(NOW), 2)
            self.seconds += 0.5
        self.dispatcher.look(NOW)
        self.assertGreater(self.dispatcher.pause(NOW), 2)

    def test_leaves_what_is_not_due(self) -> None:
        self.queue(NOW + SECOND)
        self.assertIsNone(self.dispatcher.claim(NOW))

    def test_leaves_runs_of_suspended_audits(self) -> None:
        run = self.queue(state=AuditState.SUSPENDED)
        self.assertIsNone(self.dispatcher.claim(NOW))
        self.assertEqual(RunState.QUEUED, self.run_of(run).state)

    def test_ends_runs_of_cancelled_audits(self) -> None:
        run = self.queue(state=AuditState.CANCELLED)
        self.assertIsNone(self.dispatcher.claim(NOW))
        self.assertEqual(RunState.CANCELLED, self.run_of(run).state)
        self.assertEqual(AuditState.CANCELLED, self.audit_of(run).state)

    def test_runs_a_failed_event_audit_again(self) -> None:
        run = self.queue(state=AuditState.FAILED)
        self.assertEqual(run.uuid, self.dispatcher.claim(NOW).uuid)

    def test_never_two_runs_of_an_audit_at_once(self) -> None:
        first = self.queue()
        self.dispatcher.claim(NOW)
        with self.database.writer() as session:
            runs.enqueue(session, first.audit_id, NOW, NOW)

        self.assertIsNone(self.dispatcher.claim(NOW))

    def test_event_and_continuous_runs_wait_for_a_plan_under_way(self) -> None:
        for state in sorted(PlanState.UNDER_WAY):
            with self.subTest(state):
                run = self.queue()
                self.add_plan(state)
                self.assertIsNone(self.dispatcher.claim(NOW))
                self.assertEqual(RunState.QUEUED, self.run_of(run).state)

    def test_a_waiting_run_says_what_it_waits_for(self) -> None:
        run = self.queue()
        forced = self.queue(NOW + SECOND, force=True)
        self.add_plan(PlanState.ONGOING)

        self.dispatcher.look(NOW)

        self.assertEqual(runs.PLAN_ONGOING, self.run_of(run).wait_reason)
        self.assertIsNone(self.run_of(forced).wait_reason)

    def test_force_does_not_wait(self) -> None:
        run = self.queue(force=True)
        self.add_plan(PlanState.ONGOING)
        self.assertEqual(run.uuid, self.dispatcher.claim(NOW).uuid)

    def test_an_ongoing_plan_cancels_a_oneshot_audit_with_a_reason(self) -> None:
        run = self.queue(audit_type=AuditType.ONESHOT)
        self.add_plan(PlanState.ONGOING)

        self.assertEqual(RunState.CANCELLED, self.dispatcher.claim(NOW).state)

        audit = self.audit_of(run)
        self.assertEqual(AuditState.CANCELLED, audit.state)
        self.assertIn("was ongoing", audit.status_message)
        self.assertEqual(RunState.CANCELLED, self.run_of(run).state)

    def test_a_pending_plan_does_not_cancel_a_oneshot_audit(self) -> None:
        run = self.queue(audit_type=AuditType.ONESHOT)
        self.add_plan(PlanState.PENDING)
        self.assertEqual(run.uuid, self.dispatcher.claim(NOW).uuid)

    def test_a_continuous_audit_ends_at_its_end_time(self) -> None:
        run = self.queue(
            audit_type=AuditType.CONTINUOUS, state=AuditState.ONGOING, interval="60", end_time=NOW
        )
        self.assertEqual(RunState.CANCELLED, self.dispatcher.claim(NOW).state)
        self.assertEqual(AuditState.SUCCEEDED, self.audit_of(run).state)

    def test_takes_over_what_lapsed_and_nothing_earlier(self) -> None:
        """Whatever the difference of the clocks of the two nodes."""
        for ahead in (datetime.timedelta(), 600 * SECOND, -3600 * SECOND):
            with self.subTest(f"ahead by {ahead}"):
                run = self.queue()
                other = self.make(OTHER)
                self.dispatcher.claim(NOW)

                self.assertIsNone(other.claim(NOW + ahead))
                self.seconds += HOLDER.duration.total_seconds() - 1
                self.assertIsNone(other.claim(NOW + ahead + HOLDER.duration - SECOND))
                self.seconds += 1
                taken = other.claim(NOW + ahead + HOLDER.duration)

                self.assertEqual(run.uuid, taken.uuid)
                self.assertEqual((RunState.ONGOING, 2, "b"), _facts(self.run_of(run)))
                self.assertEqual("engine-2", self.audit_of(run).hostname)
                self.end(taken)

    def test_the_heartbeat_extends_the_leases_of_held_runs_alone(self) -> None:
        self.conf.set_override("max_audit_workers", 1, group="watcher_decision_engine")
        kept, forgotten = self.queue(), self.queue()
        dispatcher = self.make()
        dispatcher.look(NOW)
        dispatcher.claim(NOW)

        dispatcher.beat(NOW + 20 * SECOND)

        self.assertEqual(NOW + 50 * SECOND, self.run_of(kept).lease_expires_at)
        self.assertEqual(NOW + 30 * SECOND, self.run_of(forgotten).lease_expires_at)

    def test_the_heartbeat_keeps_no_run_that_takes_too_long(self) -> None:
        self.conf.set_override("max_run_seconds", 20, group="watcher_decision_engine")
        run, expired = self.queue(), []
        dispatcher = self.make(time_out=expired.append)
        dispatcher.look(NOW)
        self.seconds = 19.0
        dispatcher.beat(NOW + 19 * SECOND)
        self.assertEqual([], expired)

        self.seconds = 20.0
        dispatcher.beat(NOW + 20 * SECOND)

        self.assertEqual([run.uuid], [each.uuid for each in expired])
        self.assertEqual(NOW + 49 * SECOND, self.run_of(run).lease_expires_at)

    def test_a_late_heartbeat_is_no_death(self) -> None:
        run = self.queue()
        self.dispatcher.look(NOW)
        later = NOW + datetime.timedelta(minutes=5)
        for self.seconds in (0.0, 300.0):
            self.assertIsNone(self.dispatcher.claim(later))
        self.dispatcher.beat(later)
        self.assertEqual((RunState.ONGOING, 1, HOLDER.engine), _facts(self.run_of(run)))

    def test_takes_over_its_own_run_once_it_has_dropped_it(self) -> None:
        run = self.queue()

        def execute(run: AuditRun) -> None:
            raise db_exception.DBConnectionError()

        dispatcher = self.make(execute=execute)
        dispatcher.look(NOW)
        dispatcher.stop()
        self.seconds = 1.0
        self.assertIsNone(dispatcher.claim(NOW))
        self.seconds += HOLDER.duration.total_seconds()
        taken = dispatcher.claim(NOW)
        self.assertEqual((run.uuid, 2), (taken.uuid, taken.attempt))

    def test_takes_over_its_own_run_if_the_answer_to_its_claim_was_lost(self) -> None:
        """The claim was committed, but no worker of this engine has the run."""
        run = self.queue()
        self.dispatcher.claim(NOW)
        self.seconds = 1.0
        self.assertIsNone(self.dispatcher.claim(NOW))
        self.seconds += HOLDER.duration.total_seconds()
        self.assertEqual((run.uuid, 2), (self.dispatcher.claim(NOW).uuid, self.run_of(run).attempt))

    def test_a_worker_whose_run_takes_too_long_is_replaced(self) -> None:
        self.conf.set_override("max_audit_workers", 1, group="watcher_decision_engine")
        begun, over, done = threading.Event(), threading.Event(), threading.Event()

        def execute(run: AuditRun) -> None:
            if run.id == stuck.id:
                begun.set()
                over.wait(base.TIMEOUT)
            else:
                done.set()

        stuck = self.queue()
        dispatcher = self.make(execute=execute, time_out=self.end)
        dispatcher.start()
        self.addCleanup(dispatcher.stop)
        self.assertTrue(begun.wait(base.TIMEOUT))
        self.queue()
        self.seconds = 901.0
        dispatcher.beat(timeutils.utcnow())

        self.assertTrue(done.wait(base.TIMEOUT))
        over.set()
        base.wait_for(lambda: not dispatcher.held, "the other one ends")

    def test_after_so_many_lost_workers_it_hands_back_and_restarts(self) -> None:
        self.conf.set_override("max_lost_workers", 2, group="watcher_decision_engine")
        restarts: list[int] = []
        dispatcher = self.make(time_out=self.end, exhausted=lambda: restarts.append(1))
        self.conf.set_override("max_audit_workers", 3, group="watcher_decision_engine")
        taken = []
        for self.seconds in (0.0, 1.0, 2.0):
            taken.append(self.queue())
            dispatcher.look(NOW)
        first, second, third = taken
        self.seconds = 900.5
        dispatcher.beat(NOW)
        self.assertEqual([], restarts)
        self.seconds = 901.5
        dispatcher.beat(NOW)

        self.assertEqual([1], restarts)
        states = [_facts(self.run_of(run))[0] for run in (first, second, third)]
        self.assertEqual([RunState.FAILED, RunState.FAILED, RunState.QUEUED], states)
        handed_back = self.run_of(third)
        self.assertEqual((0, None), (handed_back.attempt, handed_back.engine))
        self.assertEqual(third.uuid, self.make(OTHER).claim(NOW).uuid)

    def test_a_stop_hands_back_what_does_not_end(self) -> None:
        run = self.queue()
        self.dispatcher.look(NOW)
        self.dispatcher.stop(seconds=0)
        self.assertEqual((RunState.QUEUED, 0, None), _facts(self.run_of(run)))

    def end(self, run: AuditRun) -> None:
        with self.database.writer() as session:
            run_ends.move_audit(session, run, AuditState.FAILED, NOW)
            run_ends.finish(session, run, RunState.FAILED, NOW)

    def test_a_clock_that_goes_back_delays_no_run(self) -> None:
        hour = datetime.timedelta(hours=1)
        run = self.queue(NOW + SECOND)
        self.assertEqual(run.uuid, self.dispatcher.claim(NOW - hour).uuid)

    def test_a_wait_that_is_meant_is_none_of_that(self) -> None:
        self.queue(NOW + datetime.timedelta(hours=1))
        self.assertIsNone(self.dispatcher.claim(NOW - 30 * SECOND))

    def test_takes_over_nothing_that_is_extended(self) -> None:
        hour = datetime.timedelta(hours=1)
        run = self.queue()
        other = self.make(OTHER)
        other.look(NOW)
        for number in range(10):
            self.seconds = 20.0 * number
            other.beat(NOW + number * SECOND)
            self.assertIsNone(self.dispatcher.claim(NOW - hour + number * SECOND))
        self.assertEqual(OTHER.engine, self.run_of(run).engine)

    def test_executes_everything_that_is_due_and_wakes_for_more(self) -> None:
        done = threading.Semaphore(0)

        def execute(run: AuditRun) -> None:
            now = timeutils.utcnow()
            self.database.write(
                lambda session: run_ends.finish(session, run, RunState.SUCCEEDED, now)
            )
            self.executed.append(run.uuid)
            done.release()

        dispatcher = RunDispatcher(self.conf, self.database, HOLDER, execute)
        queued = [self.queue().uuid for _ in range(5)]
        dispatcher.start()
        self.addCleanup(dispatcher.stop)
        for _ in range(5):
            self.assertTrue(done.acquire(timeout=base.TIMEOUT))
        queued.append(self.queue().uuid)
        dispatcher.wake()

        self.assertTrue(done.acquire(timeout=base.TIMEOUT))
        self.assertEqual(sorted(queued), sorted(self.executed))

    def test_a_worker_that_breaks_leaves_the_run_to_its_lease(self) -> None:
        broken = threading.Event()

        def execute(run: AuditRun) -> None:
            broken.set()
            raise RuntimeError("out of luck")

        dispatcher = RunDispatcher(self.conf, self.database, HOLDER, execute)
        run = self.queue()
        dispatcher.start()
        self.assertTrue(broken.wait(base.TIMEOUT))
        dispatcher.stop()

        self.assertEqual(RunState.ONGOING, self.run_of(run).state)
        self.assertEqual({}, dispatcher.held)

    def test_looks_past_those_that_have_to_cool_down(self) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            for _ in range(2 * CANDIDATES):
                audit = factories.audit(session, goal, audit_type=AuditType.EVENT)
                session.add(Webhook(audit_id=audit.id, cooldown=60))
                last = runs.enqueue(session, audit.id, NOW, NOW)
                last.state, last.finished_at = RunState.SUCCEEDED, NOW
                session.flush()
                runs.enqueue(session, audit.id, NOW, NOW)
        last = self.queue(NOW + SECOND)
        self.assertEqual(last.uuid, self.dispatcher.claim(NOW + SECOND).uuid)

    def test_one_busy_audit_keeps_none_of_the_others_waiting(self) -> None:
        """Each run of the busy one comes after what was due before the event behind it."""
        busy = self.queue().audit_id
        others = [self.queue(NOW + number * SECOND) for number in range(5)]
        order = []
        for second in range(20):
            now = NOW + second * SECOND
            run = self.dispatcher.claim(now)
            with self.database.writer() as session:
                factories.accepted(session, busy, now)
                if run is not None:
                    order.append(run.audit_id)
                    run_ends.move_audit(session, run, AuditState.SUCCEEDED, now)
                    run_ends.finish(session, run, RunState.SUCCEEDED, now)
                factories.accepted(session, busy, now)
        for number, other in enumerate(others):
            self.assertLessEqual(order.index(other.audit_id), 2 * number + 2)
        self.assertGreater(order.count(busy), 10)

    def test_nothing_ends_its_thread(self) -> None:
        self.conf.set_override("poll_interval", 1, group="watcher_decision_engine")
        done = threading.Event()
        failures = iter([db_exception.DBConnectionError(), TimeoutError("pool"), OSError("gone")])
        dispatcher = RunDispatcher(self.conf, self.database, HOLDER, lambda run: done.set())
        claim = dispatcher.claim

        def fail_first(now: datetime.datetime) -> AuditRun | None:
            for failure in failures:
                dispatcher.wake()
                raise failure
            return claim(now)

        dispatcher.claim = fail_first  # type: ignore[method-assign]
        self.queue()
        dispatcher.start()
        self.addCleanup(dispatcher.stop)
        self.assertTrue(done.wait(base.TIMEOUT))

    def test_stops_claiming_on_stop(self) -> None:
        self.dispatcher.start()
        self.dispatcher.stop()
        run = self.queue()
        self.dispatcher.wake()
        self.assertEqual(RunState.QUEUED, self.run_of(run).state)


class AdoptTest(base.DatabaseTestCase):
    def test_queues_what_another_service_left_behind(self) -> None:
        later = NOW + datetime.timedelta(hours=1)
        with self.database.writer() as session:
            wanted = [
                factories.audit(session, audit_type=AuditType.ONESHOT),
                factories.audit(
                    session,
                    audit_type=AuditType.CONTINUOUS,
                    state=AuditState.ONGOING,
                    interval="7200",
                    next_run_time=later,
                ),
                factories.audit(session, audit_type=AuditType.EVENT, state=AuditState.ONGOING),
            ]
            factories.audit(session, audit_type=AuditType.EVENT)
            factories.audit(session, state=AuditState.SUCCEEDED)
            factories.audit(session, audit_type=AuditType.CONTINUOUS, state=AuditState.FAILED)
            ids = [audit.id for audit in wanted]
            self.assertEqual(3, runs.adopt(session, NOW))
            self.assertEqual(0, runs.adopt(session, NOW))

        with self.database.reader() as session:
            queued = session.execute(select(AuditRun.audit_id, AuditRun.not_before)).all()
        self.assertEqual(
            [(ids[0], NOW), (ids[1], later), (ids[2], NOW)], sorted(map(tuple, queued))
        )


def _facts(run: AuditRun) -> tuple[str, int, str | None]:
    return run.state, run.attempt, run.engine
