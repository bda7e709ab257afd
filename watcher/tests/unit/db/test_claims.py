# SPDX-License-Identifier: Apache-2.0
"""When a run may begin, and what becomes of its events when it ends."""

import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import audits, claims, run_ends, runs
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan, Audit, AuditEvent, AuditRun, Webhook
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
HOLDER = Holder("engine-1", "host-1", datetime.timedelta(seconds=30))
A: dict[str, Any] = {"host": "a"}
B: dict[str, Any] = {"host": "b"}
C: dict[str, Any] = {"host": "c"}


class ClaimsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.audit = self.add_audit()

    def add_audit(self, **webhook: Any) -> Audit:
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy, audit_type=AuditType.EVENT)
            session.add(Webhook(audit_id=audit.id, **webhook))
        return audit

    def post(self, parameters: dict[str, Any] | None = None, now: datetime.datetime = NOW) -> None:
        with self.database.writer() as session:
            factories.accepted(session, self.audit.id, now, parameters=parameters)

    def claim(self, now: datetime.datetime = NOW) -> AuditRun | None:
        waiting = self.waiting()
        assert waiting is not None
        with self.database.writer() as session:
            return claims.claim(session, waiting.id, HOLDER, now)

    def finish(
        self,
        run: AuditRun | None,
        state: str = RunState.SUCCEEDED,
        now: datetime.datetime = NOW,
        plan: str | None = None,
        over: datetime.datetime | None = None,
        applier: str | None = None,
    ) -> None:
        assert run is not None
        with self.database.writer() as session:
            assert run_ends.move_audit(session, run, state, now)
            values: dict[str, Any] = {}
            if plan is not None:
                row = ActionPlan(
                    audit_id=run.audit_id,
                    strategy_id=run.audit.strategy_id,
                    state=plan,
                    updated_at=over,
                    hostname=applier,
                )
                session.add(row)
                session.flush()
                values["action_plan_id"] = row.id
            run_ends.finish(session, run, state, now, **values)

    def put_back(self, run: AuditRun | None, not_before: datetime.datetime) -> None:
        assert run is not None
        with self.database.writer() as session:
            run_ends.retry(session, run, NOW, not_before, "again")

    def change(self, state: str) -> None:
        with self.database.writer() as session:
            audits.change(session, session.get_one(Audit, self.audit.id), {"state": state}, NOW)

    def waiting(self) -> AuditRun | None:
        factories.take(self.database)
        with self.database.reader() as session:
            return runs.waiting(session, self.audit.id)

    def events(self) -> list[tuple[Any, Any, str]]:
        factories.take(self.database)
        """What each event asked for, what its run has, and the state of that."""
        with self.database.reader() as session:
            rows = session.execute(
                select(AuditEvent.parameters, AuditRun.parameters, AuditRun.state)
                .join(AuditRun, AuditRun.id == AuditEvent.run_id)
                .order_by(AuditEvent.id)
            )
            return [tuple(row) for row in rows]


class PlanTest(ClaimsTest):
    def test_a_plan_that_becomes_pending_after_the_look_holds_the_claim_back(self) -> None:
        self.post()
        with self.database.writer() as session:
            session.add(
                ActionPlan(
                    audit_id=self.audit.id,
                    strategy_id=self.audit.strategy_id,
                    state=PlanState.PENDING,
                )
            )
        self.assertIsNone(self.claim())
        waiting = self.waiting()
        self.assertEqual(
            (RunState.QUEUED, 0, runs.PLAN_ONGOING),
            (waiting.state, waiting.attempt, waiting.wait_reason),
        )
        self.assertEqual(NOW, waiting.not_before)
        self.assertIsNone(self.claim(NOW - 60 * MINUTE))
        self.assertEqual(NOW - 60 * MINUTE, self.waiting().not_before)


class ParametersTest(ClaimsTest):
    def test_a_run_does_not_wait_for_a_time_before_the_clocks_were_set_back(self) -> None:
        self.post(A)
        run, an_hour_ago = self.claim(), NOW - 60 * MINUTE
        self.post(B)
        self.waiting()
        with self.database.writer() as session:
            run_ends.retry(session, run, an_hour_ago, an_hour_ago + SECOND, "again")
        self.assertEqual(an_hour_ago + SECOND, self.waiting().not_before)

    def test_each_set_of_parameters_gets_a_run(self) -> None:
        for parameters in (A, B, A, {}, B):
            self.post(parameters)
        ran = []
        while self.waiting() is not None:
            run = self.claim()
            ran.append(run.parameters)
            self.finish(run)
        self.assertEqual([A, B, {}], ran)
        for own, of_run, state in self.events():
            self.assertEqual((own, RunState.SUCCEEDED), (of_run, state))

    def test_a_failed_run_gives_back_events_with_other_parameters(self) -> None:
        self.post(A)
        self.post(B)
        self.finish(self.claim(), RunState.FAILED)
        self.assertEqual([(A, A, RunState.FAILED), (B, B, RunState.QUEUED)], self.events())
        self.assertEqual(NOW, self.waiting().not_before)

    def test_events_with_equal_parameters_are_one_run(self) -> None:
        self.post({"x": 1, "y": {"p": 1, "q": 2}})
        self.post({"y": {"q": 2, "p": 1}, "x": 1})
        self.finish(self.claim())
        self.assertIsNone(self.waiting())

    def test_case_and_type_make_a_difference(self) -> None:
        for value in ("a", "A", 1, True):
            self.post({"x": value})
        for _ in range(4):
            self.finish(self.claim())
        self.assertIsNone(self.waiting())

    def test_what_is_passed_on_joins_the_run_that_waits(self) -> None:
        self.post(A)
        self.post(B)
        run = self.claim()
        self.post(B)
        waiting = self.waiting()
        self.finish(run)
        self.assertEqual(
            (waiting.id, B, 1), (self.waiting().id, waiting.parameters, self.count(waiting))
        )
        self.finish(self.claim())
        self.assertIsNone(self.waiting())

    def count(self, run: AuditRun) -> int:
        with self.database.reader() as session:
            return session.get_one(AuditRun, run.id).coalesced_count

    def test_the_oldest_parameters_come_first(self) -> None:
        """However many events with others keep coming."""
        self.post(A)
        self.post(B)
        run = self.claim()
        self.post(C)
        self.finish(run)
        self.assertEqual(B, self.waiting().parameters)
        self.finish(self.claim())
        self.assertEqual(C, self.waiting().parameters)

    def test_a_run_put_back_leaves_the_younger_one_its_parameters(self) -> None:
        self.post(A)
        run = self.claim()
        self.post(B)
        self.put_back(run, NOW + MINUTE)
        waiting = self.waiting()
        self.assertEqual((B, NOW + MINUTE), (waiting.parameters, waiting.not_before))
        self.finish(self.claim(NOW + MINUTE))
        self.finish(self.claim(NOW + MINUTE))
        self.assertEqual([(A, A, RunState.SUCCEEDED), (B, B, RunState.SUCCEEDED)], self.events())

    def test_a_run_waits_since_the_first_event_that_it_was_given(self) -> None:
        self.post(A)
        run = self.claim()
        self.post(B, NOW + SECOND)
        self.put_back(run, NOW)
        self.assertEqual(NOW, self.waiting().created_at)
        self.post(C, NOW + 2 * SECOND)
        self.finish(self.claim(NOW + MINUTE), now=NOW + MINUTE)
        self.assertEqual((A, NOW), (self.waiting().parameters, self.waiting().created_at))
        self.finish(self.claim(NOW + MINUTE), now=NOW + MINUTE)
        self.assertEqual(
            (C, NOW + 2 * SECOND), (self.waiting().parameters, self.waiting().created_at)
        )

    def test_a_run_put_back_does_not_hurry_the_younger_one(self) -> None:
        self.post(A)
        run = self.claim()
        with self.database.writer() as session:
            session.scalars(select(Webhook)).one().debounce = 300
            factories.accepted(session, self.audit.id, NOW)
        self.put_back(run, NOW + MINUTE)
        self.assertEqual(NOW + 5 * MINUTE, self.waiting().not_before)

    def test_an_event_joins_the_run_that_waits_for_its_next_attempt(self) -> None:
        self.post(A)
        self.put_back(self.claim(), NOW + MINUTE)
        self.post(A)
        self.assertEqual(NOW + MINUTE, self.waiting().not_before)
        self.assertEqual(1, self.waiting().coalesced_count)

    def test_a_suspended_audit_keeps_what_each_event_asked_for(self) -> None:
        self.post(A)
        run = self.claim()
        self.post(B)
        self.change(AuditState.SUSPENDED)
        with self.database.writer() as session:
            self.assertFalse(run_ends.move_audit(session, run, AuditState.SUCCEEDED, NOW))
        self.change(AuditState.ONGOING)
        self.finish(self.claim())
        self.finish(self.claim())
        self.assertIsNone(self.waiting())
        self.assertEqual([own for own, _, _ in self.events()], [run for _, run, _ in self.events()])

    def test_a_cancelled_audit_passes_nothing_on(self) -> None:
        for deleted in (False, True):
            self.audit = self.add_audit()
            self.post(A)
            self.post(B)
            run = self.claim()
            self.change(AuditState.CANCELLED)
            if deleted:
                with self.database.writer() as session:
                    audits.delete(session, session.get_one(Audit, self.audit.id), NOW)
            with self.database.writer() as session:
                self.assertFalse(run_ends.move_audit(session, run, AuditState.SUCCEEDED, NOW))
            self.assertIsNone(self.waiting())
        self.assertEqual({RunState.CANCELLED}, {state for _, _, state in self.events()})

    def test_a_run_that_was_due_before_the_end_time_happens_after_it(self) -> None:
        """The hint came in time, and no more are let in."""
        with self.database.writer() as session:
            session.get_one(Audit, self.audit.id).end_time = NOW + SECOND
        self.post(A)
        self.assertEqual(RunState.ONGOING, self.claim(NOW + MINUTE).state)


class CooldownTest(ClaimsTest):
    def setUp(self) -> None:
        super().setUp()
        self.audit = self.add_audit(cooldown=60)

    def run_once(self, **values: Any) -> None:
        self.post()
        self.finish(self.claim(), **values)

    def ready_at(self) -> datetime.datetime | None:
        def work(session: Session) -> datetime.datetime | None:
            audit = session.get_one(Audit, self.audit.id)
            webhook = session.scalars(select(Webhook).where(Webhook.audit_id == audit.id)).one()
            return runs.cooled_down_at(session, audit, webhook, NOW + 60 * MINUTE)

        return self.database.write(work)

    def test_it_is_over_when_the_clock_was_set_back_by_an_hour(self) -> None:
        self.run_once(plan=PlanState.SUCCEEDED, over=NOW, applier="applier-1")
        self.post()
        run = self.claim(NOW - 60 * MINUTE)
        self.assertIsNotNone(run)

    def test_it_is_not_over_early_when_clocks_differ_a_little(self) -> None:
        self.run_once(plan=PlanState.SUCCEEDED, over=NOW + 10 * SECOND, applier="applier-1")
        self.post()
        self.assertIsNone(self.claim(NOW))
        self.assertEqual(NOW + 70 * SECOND, self.waiting().not_before)

    def test_the_first_run_waits_for_nothing(self) -> None:
        self.assertIsNone(self.ready_at())
        self.post()
        self.assertIsNotNone(self.claim())

    def test_an_early_run_is_put_off_and_is_no_attempt(self) -> None:
        self.run_once()
        self.post()
        self.assertIsNone(self.claim(NOW + 59 * SECOND))
        waiting = self.waiting()
        self.assertEqual(
            (NOW + MINUTE, runs.COOLDOWN, 0, None, None, None),
            (
                waiting.not_before,
                waiting.wait_reason,
                waiting.attempt,
                waiting.engine,
                waiting.started_at,
                waiting.lease_expires_at,
            ),
        )
        with self.database.reader() as session:
            self.assertEqual((), tuple(runs.due(session, NOW + 59 * SECOND, 10)))
            self.assertEqual(AuditState.SUCCEEDED, session.get_one(Audit, self.audit.id).state)
        run = self.claim(NOW + MINUTE)
        self.assertEqual((1, None), (run.attempt, run.wait_reason))

    def test_it_begins_with_the_end_of_the_plan(self) -> None:
        for state in (PlanState.SUCCEEDED, PlanState.FAILED, PlanState.CANCELLED):
            self.audit = self.add_audit(cooldown=60)
            self.run_once(plan=state, over=NOW + 10 * SECOND, applier="applier-1")
            self.assertEqual(NOW + 70 * SECOND, self.ready_at(), state)

    def test_a_plan_that_changed_nothing_does_not_prolong_it(self) -> None:
        never_begun = PlanState.RECOMMENDED, PlanState.SUPERSEDED, PlanState.CANCELLED
        for state in (*never_begun, PlanState.DELETED):
            self.audit = self.add_audit(cooldown=60)
            self.run_once(plan=state, over=NOW + 10 * SECOND)
            self.assertEqual(NOW + MINUTE, self.ready_at(), state)

    def test_an_empty_plan_is_over_with_its_run(self) -> None:
        self.run_once(plan=PlanState.SUCCEEDED)
        self.assertEqual(NOW + MINUTE, self.ready_at())

    def test_a_run_that_failed_counts_and_one_that_was_cancelled_does_not(self) -> None:
        self.run_once(state=RunState.FAILED)
        with self.database.writer() as session:
            run = runs.enqueue(session, self.audit.id, NOW, NOW)
            run.state, run.finished_at = RunState.CANCELLED, NOW + 10 * SECOND
        self.assertEqual(NOW + MINUTE, self.ready_at())

    def test_the_next_attempt_at_a_run_is_not_put_off(self) -> None:
        self.post()
        self.put_back(self.claim(), NOW + SECOND)
        self.assertEqual(2, self.claim(NOW + SECOND).attempt)

    def test_a_run_that_is_taken_over_is_not_put_off(self) -> None:
        self.run_once()
        self.post()
        run = self.claim(NOW + MINUTE)
        with self.database.writer() as session:
            session.scalars(select(Webhook).filter_by(audit_id=self.audit.id)).one().cooldown = 999
        with self.database.writer() as session:
            taken = claims.take_over(
                session, run.id, HOLDER, NOW + 2 * MINUTE, run.lease_expires_at
            )
        self.assertEqual(2, taken.attempt)

    def test_the_next_wait_reason_is_shown(self) -> None:
        self.run_once()
        self.post()
        self.claim(NOW + SECOND)
        with self.database.writer() as session:
            audit = session.get_one(Audit, self.audit.id)
            session.add(
                ActionPlan(
                    audit_id=audit.id, strategy_id=audit.strategy_id, state=PlanState.ONGOING
                )
            )
        with self.database.writer() as session:
            waiting = runs.waiting_for_plan(session, NOW + MINUTE)
            runs.note_wait_for_plan(session, waiting)
        self.assertEqual(runs.PLAN_ONGOING, self.waiting().wait_reason)
        with self.database.reader() as session:
            self.assertEqual((), tuple(runs.waiting_for_plan(session, NOW + MINUTE)))

    def test_only_plans_that_started_on_their_own_are_counted(self) -> None:
        for started, age in ((True, 10), (True, 61), (False, 10)):
            self.post()
            with self.database.writer() as session:
                run = runs.waiting(session, self.audit.id)
                run.state, run.auto_started = RunState.SUCCEEDED, started
                run.finished_at = NOW - age * MINUTE
        with self.database.reader() as session:
            self.assertEqual(1, runs.plans_started(session, self.audit.id, NOW - 60 * MINUTE))
