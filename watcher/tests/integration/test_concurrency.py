# SPDX-License-Identifier: Apache-2.0
"""What many engines do to one database at the same time."""

import collections
import contextlib
import datetime
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sqlalchemy import func, select, update

from watcher.common.alarms import AlarmMessage
from watcher.common.errors import Conflict
from watcher.common.states import AuditState, AuditType, Decision, PlanState, RunState
from watcher.db import (
    action_plans,
    audits,
    claims,
    events,
    migration,
    paging,
    plan_claims,
    run_ends,
    runs,
    services,
)
from watcher.db.action_plans import PlannedAction
from watcher.db.leases import Holder
from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    AuditEvent,
    AuditRun,
    Goal,
    Service,
    Webhook,
)
from watcher.db.paging import Page
from watcher.db.timeouts import LockWait
from watcher.tests import factories
from watcher.tests.base import TIMEOUT
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
DURATION = datetime.timedelta(seconds=30)
LATER = NOW + 2 * DURATION
THREADS = 8


class ConcurrencyStories:
    def setUp(self) -> None:
        super().setUp()
        migration.create_schema(self.database)
        self.broken = threading.Event()
        """Set when a thread has failed, so that no other one waits for what it had to do."""

    def at_once(self, work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
        """What *work* gives, or raises, when so many threads begin it together."""
        barrier = threading.Barrier(threads)

        def begin(number: int) -> Any:
            barrier.wait()
            try:
                return work(number)
            except Exception:
                self.broken.set()
                raise

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(begin, range(threads)))

    def lease(self, number: int) -> Holder:
        return Holder(f"engine-{number}", f"host-{number}", DURATION)

    def add_audits(self, number: int, **values: Any) -> list[int]:
        values.setdefault("audit_type", AuditType.EVENT)
        with self.database.writer() as session:
            goal = factories.goal(session)
            return [factories.audit(session, goal, **values).id for _ in range(number)]

    def add_plan(self, state: str) -> int:
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy)
            return factories.action_plan(session, audit, strategy, state=state).id

    def post(self, audit_id: int, now: datetime.datetime = NOW, **parameters: Any) -> None:
        row = events.row(
            factories.facts(audit_id),
            AlarmMessage("generic"),
            now,
            Decision.ACCEPTED,
            None,
            parameters,
        )
        with self.database.connection(writes=True) as connection:
            events.append(connection, [row])

    def take(self) -> None:
        """What each engine does with the inbox; the losers leave it to the winner."""
        with contextlib.suppress(LockWait):
            # All events are of one minute, and more than a minute usually records.
            factories.take(self.database, max_recorded=10_000)

    def claim_one(self, number: int, now: datetime.datetime = NOW) -> AuditRun | None:
        self.take()
        with self.database.reader() as session:
            ids = runs.due(session, now, 10)
        for run_id in ids:
            run = self.database.write(
                lambda session, run_id=run_id: claims.claim(
                    session, run_id, self.lease(number), now
                )
            )
            if run is not None:
                return run
        return None

    def finish(self, run: AuditRun) -> None:
        def work(session: Any) -> None:
            if run_ends.move_audit(session, run, AuditState.SUCCEEDED, NOW):
                run_ends.finish(session, run, RunState.SUCCEEDED, NOW)

        self.database.write(work)

    def waiting(self) -> int:
        """Runs and events that wait."""
        queued = select(func.count(AuditRun.id)).where(AuditRun.state == RunState.QUEUED)
        in_inbox = select(func.count(AuditEvent.id)).where(AuditEvent.inbox.is_not(None))
        # One by one: what leaves the inbox in between is a run by then.
        with self.database.reader() as session:
            events_waiting = session.scalar(in_inbox) or 0
        with self.database.reader() as session:
            return events_waiting + (session.scalar(queued) or 0)

    def test_each_run_is_claimed_by_one_engine(self) -> None:
        for audit_id in self.add_audits(60):
            self.post(audit_id)

        def engine(number: int) -> list[int]:
            claimed = []
            while True:
                run = self.claim_one(number)
                if run is not None:
                    claimed.append(run.id)
                elif not self.waiting():
                    return claimed

        claimed = [run_id for ids in self.at_once(engine) for run_id in ids]
        self.assertEqual(60, len(claimed))
        self.assertEqual(60, len(set(claimed)))
        with self.database.reader() as session:
            attempts = session.scalars(select(AuditRun.attempt)).all()
            states = set(session.scalars(select(Audit.state)).all())
        self.assertEqual({1}, set(attempts))
        self.assertEqual({AuditState.ONGOING}, states)

    def test_events_at_once_queue_one_run(self) -> None:
        (audit_id,) = self.add_audits(1)

        def work(number: int) -> None:
            self.post(audit_id)
            self.take()

        self.at_once(work, 16)
        self.take()
        with self.database.reader() as session:
            run = session.scalars(select(AuditRun)).one()
            posted = session.scalars(select(AuditEvent)).all()
        self.assertEqual({run.id}, {event.run_id for event in posted})
        self.assertEqual((RunState.QUEUED, 15), (run.state, run.coalesced_count))
        decisions = collections.Counter(event.decision for event in posted)
        self.assertEqual({"QUEUED": 1, "COALESCED": 15}, decisions)

    def test_a_storm_of_events_while_engines_work_loses_none(self) -> None:
        """Half of the threads post, the others run what is due until no more can come."""
        audit_ids = self.add_audits(3)
        posting = collections.deque(range(THREADS // 2))
        all_posted = threading.Event()

        def post(number: int) -> None:
            for turn in range(25):
                self.post(audit_ids[(number + turn) % 3])
            posting.pop()
            if not posting:
                all_posted.set()

        def work(number: int) -> None:
            while not self.broken.is_set():
                none_follows = all_posted.is_set()
                run = self.claim_one(number)
                if run is not None:
                    self.finish(run)
                elif none_follows and not self.waiting():
                    return

        self.at_once(lambda number: (post if number % 2 else work)(number))

        with self.database.reader() as session:
            rows = session.execute(
                select(AuditRun.state, func.count(AuditEvent.id))
                .join(AuditEvent, AuditEvent.run_id == AuditRun.id)
                .group_by(AuditRun.state)
            ).all()
            merged = session.scalar(select(func.sum(AuditRun.coalesced_count)))
            number = session.scalar(select(func.count(AuditRun.id)))
        self.assertEqual([(RunState.SUCCEEDED, 100)], [tuple(row) for row in rows])
        self.assertEqual(100, number + merged)

    def test_one_engine_takes_a_lapsed_run_over(self) -> None:
        (audit_id,) = self.add_audits(1)
        self.post(audit_id)
        first = self.claim_one(99)
        taken = self.at_once(
            lambda number: self.database.write(
                lambda session: claims.take_over(
                    session, first.id, self.lease(number), LATER, first.lease_expires_at
                )
            )
        )
        (winner,) = [run for run in taken if run is not None]
        self.assertEqual(2, winner.attempt)
        with self.database.reader() as session:
            self.assertEqual(winner.engine, session.get_one(AuditRun, first.id).engine)

    def test_a_run_put_back_meets_the_event_that_comes_meanwhile(self) -> None:
        for _ in range(10):
            (audit_id,) = self.add_audits(1)
            self.post(audit_id)
            run = self.claim_one(1)

            def work(number: int, run: AuditRun = run, audit_id: int = audit_id) -> None:
                if number:
                    self.post(audit_id)
                else:
                    self.database.write(
                        lambda session: run_ends.retry(session, run, NOW, NOW, "again")
                    )

            self.at_once(work, 2)
            self.take()
            with self.database.reader() as session:
                waiting = runs.waiting(session, audit_id)
                owners = session.scalars(
                    select(AuditEvent.run_id).where(AuditEvent.audit_id == audit_id)
                ).all()
            self.assertEqual([waiting.id, waiting.id], owners)

    def test_each_set_of_parameters_gets_one_run_in_any_order(self) -> None:
        """Half of the threads post, the others run what is due; every third run begins anew."""
        (audit_id,) = self.add_audits(1)
        posting = collections.deque(range(THREADS // 2))
        all_posted = threading.Event()

        def post(number: int) -> None:
            for turn in range(20):
                self.post(audit_id, host="aAb"[(number + turn) % 3])
            posting.pop()
            if not posting:
                all_posted.set()

        def work(number: int) -> None:
            while not self.broken.is_set():
                none_follows = all_posted.is_set()
                run = self.claim_one(number)
                if run is None:
                    if none_follows and not self.waiting():
                        return
                elif run.id % 3 == 0 and run.attempt == 1:
                    self.database.write(
                        lambda session, run=run: run_ends.retry(
                            session, run, NOW, NOW, "again", "again"
                        )
                    )
                else:
                    self.finish(run)

        self.at_once(lambda number: (post if number % 2 else work)(number))

        with self.database.reader() as session:
            rows = session.execute(
                select(AuditEvent.parameters, AuditRun.parameters, AuditRun.state)
                .outerjoin(AuditRun, AuditRun.id == AuditEvent.run_id)
                .where(AuditEvent.audit_id == audit_id)
            ).all()
        self.assertEqual(80, len(rows))
        for wanted, had, state in rows:
            self.assertEqual((wanted, RunState.SUCCEEDED), (had, state))

    def test_claims_that_come_too_early_meet_events(self) -> None:
        """They leave the run where it was, with all events and no attempt."""
        (audit_id,) = self.add_audits(1)
        with self.database.writer() as session:
            session.add(Webhook(audit_id=audit_id, cooldown=60))
        self.post(audit_id)
        self.finish(self.claim_one(1))

        def work(number: int) -> Any:
            return self.post(audit_id) if number % 2 else self.claim_one(number)

        self.assertEqual({None}, set(self.at_once(work)))
        ready_at = NOW + datetime.timedelta(seconds=60)
        self.assertIsNone(self.claim_one(1, ready_at - datetime.timedelta(seconds=1)))
        run = self.claim_one(1, ready_at)
        self.assertEqual((1, THREADS // 2 - 1), (run.attempt, run.coalesced_count))
        with self.database.reader() as session:
            later = session.scalars(select(AuditEvent.run_id).order_by(AuditEvent.id).offset(1))
            self.assertEqual({run.id}, set(later))

    def test_one_applier_claims_a_plan(self) -> None:
        plan_id = self.add_plan(PlanState.PENDING)
        claimed = self.at_once(
            lambda number: self.database.write(
                lambda session: plan_claims.claim(session, plan_id, self.lease(number), NOW)
            )
        )
        self.assertEqual(1, claimed.count(plan_id))

    def test_one_applier_takes_a_plan_over(self) -> None:
        for held in (True, False):
            plan_id = self.add_plan(PlanState.PENDING)
            with self.database.writer() as session:
                plan_claims.claim(session, plan_id, self.lease(99), NOW)
                if not held:
                    plan_claims.release(session, plan_id, "engine-99")
            claim = plan_claims.claim
            if held:
                claim = partial(plan_claims.take_over, end=NOW + self.lease(99).duration)
            taken = self.at_once(
                lambda number, plan_id=plan_id, claim=claim: self.database.write(
                    lambda session: claim(session, plan_id, self.lease(number), LATER)
                )
            )
            self.assertEqual(1, taken.count(plan_id), held)
            with self.database.reader() as session:
                plan = session.get_one(ActionPlan, plan_id)
            self.assertEqual(f"host-{taken.index(plan_id)}", plan.hostname)

    def test_one_audit_gets_the_name(self) -> None:
        with self.database.writer() as session:
            goal_id = factories.goal(session).id

        def create(number: int) -> bool:
            def work(session: Any) -> None:
                audit = Audit(name="mine", audit_type=AuditType.ONESHOT, goal_id=goal_id)
                audits.create(session, audit, NOW)

            try:
                self.database.write(work)
            except Conflict:
                return False
            return True

        self.assertEqual(1, self.at_once(create).count(True))

    def test_the_first_heartbeats_at_once_leave_one_row(self) -> None:
        self.at_once(
            lambda number: self.database.write(
                lambda session: services.beat(session, "watcher-applier", "host", NOW)
            )
        )
        with self.database.reader() as session:
            self.assertEqual(NOW, session.scalars(select(Service)).one().last_seen_up)

    def test_a_deadlock_is_tried_again(self) -> None:
        ids = self.add_audits(2)
        both_hold_one = threading.Barrier(2)
        attempts = collections.Counter()

        def work(number: int) -> None:
            def cross(session: Any) -> None:
                attempts[number] += 1
                for turn, audit_id in enumerate(ids if number else reversed(ids)):
                    session.execute(
                        update(Audit).where(Audit.id == audit_id).values(status_message=f"{number}")
                    )
                    if turn == 0 and attempts[number] == 1:
                        both_hold_one.wait(TIMEOUT)

            self.database.write(cross)

        self.at_once(work, 2)
        self.assertEqual([1, 2], sorted(attempts.values()))
        with self.database.reader() as session:
            messages = set(session.scalars(select(Audit.status_message)).all())
        self.assertEqual(1, len(messages))

    def test_a_large_plan_is_written_as_it_is(self) -> None:
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy)
            action_plans.create(
                session,
                audit_id=audit.id,
                strategy_id=strategy.id,
                state=PlanState.RECOMMENDED,
                global_efficacy=[],
                indicators=[],
                actions=[
                    PlannedAction(f"action-{number}", "nop", {"message": "\U0001f525"}, [])
                    for number in range(5000)
                ],
                now=NOW,
            )
        with self.database.reader() as session:
            rows = session.execute(
                select(Action.uuid, Action.input_parameters).order_by(Action.id)
            ).all()
        self.assertEqual([f"action-{number}" for number in range(5000)], [r.uuid for r in rows])
        self.assertEqual({"message": "\U0001f525"}, rows[-1].input_parameters)

    def test_pages_over_nulls_and_equal_keys_miss_nothing(self) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            for hostname in ("b", None, "a", None, "a", "c", None):
                factories.audit(session, goal, hostname=hostname)
        keys = paging.sort_keys(Audit)
        for descending in (False, True):
            for limit in (1, 2, 3):
                seen: list[Audit] = []
                with self.database.reader() as session:
                    while True:
                        marker = seen[-1].uuid if seen else None
                        page = Page(limit, marker, "hostname", descending)
                        rows = paging.fetch(session, select(Audit), page, keys)
                        if not rows:
                            break
                        seen.extend(rows)
                self.assertEqual(7, len({audit.id for audit in seen}))
                self.assertEqual(7, len(seen))
                named = [audit.hostname for audit in seen if audit.hostname]
                self.assertEqual(sorted(named, reverse=descending), named)

    def test_times_keep_their_microseconds(self) -> None:
        precise = NOW.replace(microsecond=123456)
        (audit_id,) = self.add_audits(1)
        self.post(audit_id, precise)
        self.take()
        with self.database.reader() as session:
            self.assertEqual(precise, session.scalars(select(AuditRun.not_before)).one())
            self.assertEqual((), tuple(runs.due(session, NOW, 10)))
            self.assertEqual(1, len(runs.due(session, precise, 10)))

    def test_a_reader_sees_the_row_of_the_faster_transaction(self) -> None:
        """Not the state of the database at the beginning of its transaction."""
        (audit_id,) = self.add_audits(1)
        with self.database.writer() as session:
            self.assertIsNone(runs.waiting(session, audit_id))
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self.post, audit_id).result()
                pool.submit(self.take).result()
            self.assertIsNotNone(runs.waiting(session, audit_id))
            self.assertEqual(1, session.scalar(select(func.count(Goal.id))))


class ConcurrencyOnMariaDB(ConcurrencyStories, MariaDBTestCase):
    pass


class ConcurrencyOnPostgreSQL(ConcurrencyStories, PostgreSQLTestCase):
    pass
