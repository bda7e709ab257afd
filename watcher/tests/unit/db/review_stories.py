# SPDX-License-Identifier: Apache-2.0
"""What reviews must do on every database; the tests of each take these in."""

import datetime
from concurrent.futures import ThreadPoolExecutor

from watcher.common.states import ActionState, AuditType, PlanState
from watcher.db import audits, counters, reviews
from watcher.db.models import Audit, Review
from watcher.db.session import Database
from watcher.tests import factories

NOW = datetime.datetime(2026, 5, 4, 3, 2, 1)
MINUTE = datetime.timedelta(minutes=1)


class ReviewStories:
    """Needs ``self.database`` with the schema."""

    database: Database

    def setUp(self):
        super().setUp()
        with self.database.writer() as session:
            self.strategy = factories.strategy(session, factories.goal(session), name="balance")
            self.audit = factories.audit(
                session, strategy=self.strategy, audit_type=AuditType.EVENT, auto_trigger=True
            )

    def plan(self, *states, ended=PlanState.SUCCEEDED, at=NOW, window=60, kind="migrate"):
        """A plan with actions in those *states* that has ended *at* a time, and its review."""
        with self.database.writer() as session:
            plan = factories.action_plan(session, self.audit, self.strategy, state=ended)
            for state in states:
                factories.action(session, plan, action_type=kind, state=state)
            reviews.add(session, plan.id, {"figure": "f"}, window)
        with self.database.writer() as session:
            reviews.plan_ended(session, plan.id, ended, at)
        return plan.id

    def due(self, now):
        with self.database.reader() as session:
            return reviews.due(session, now, 10)

    def claim(self, plan_id, now=NOW + MINUTE):
        with self.database.writer() as session:
            return reviews.claim(session, plan_id, MINUTE, now)

    def conclude(self, kept, at=NOW + MINUTE, **values):
        """A plan and what came of its review; whether its audit is distrusted by that."""
        review = self.claim(self.plan(ActionState.SUCCEEDED), at)
        with self.database.writer() as session:
            self.assertTrue(reviews.conclude(session, review, at, kept=kept, **values))
            return reviews.distrust(session, review, 3)

    def reload(self, kind, key):
        with self.database.reader() as session:
            return session.get_one(kind, key)

    def test_one_window_after_the_end(self):
        plan_id = self.plan(ActionState.SUCCEEDED)
        self.assertEqual([], self.due(NOW + MINUTE * 0.99))
        self.assertEqual([plan_id], self.due(NOW + MINUTE))

    def test_a_plan_that_did_nothing_is_never_reviewed(self):
        self.plan(ActionState.SKIPPED)
        self.plan(ActionState.FAILED, ended=PlanState.FAILED)
        self.plan(ActionState.SUCCEEDED, ended=PlanState.CANCELLED)
        self.plan(ActionState.SUCCEEDED, ActionState.FAILED, ended=PlanState.FAILED, kind="nop")
        self.assertEqual([], self.due(NOW + 9 * MINUTE))

    def test_a_plan_that_failed_after_a_migration_is(self):
        plan_id = self.plan(ActionState.SUCCEEDED, ActionState.FAILED, ended=PlanState.FAILED)
        self.assertEqual([plan_id], self.due(NOW + MINUTE))

    def test_the_one_that_waits_longest_comes_first(self):
        late, early = self.plan(ActionState.SUCCEEDED), self.plan(ActionState.SUCCEEDED, window=9)
        self.assertEqual([early, late], self.due(NOW + MINUTE))

    def test_one_engine_claims_it(self):
        plan_id = self.plan(ActionState.SUCCEEDED)
        review = self.claim(plan_id)
        self.assertEqual("balance", review.action_plan.strategy.name)
        self.assertIsNone(self.claim(plan_id))
        self.assertEqual([], self.due(NOW + MINUTE))

    def test_of_many_who_claim_at_once_one_does(self):
        plan_id = self.plan(ActionState.SUCCEEDED)

        def claim(_):
            return self.database.write(
                lambda session: reviews.claim(session, plan_id, MINUTE, NOW + MINUTE)
            )

        with ThreadPoolExecutor(4) as pool:
            claimed = list(pool.map(claim, range(4)))
        self.assertEqual(3, claimed.count(None))

    def test_a_lapsed_claim_is_taken_over_and_its_holder_writes_nothing(self):
        plan_id = self.plan(ActionState.SUCCEEDED)
        dead = self.claim(plan_id)
        alive = self.claim(plan_id, NOW + 2 * MINUTE)
        self.assertEqual(2, alive.attempt)
        with self.database.writer() as session:
            self.assertFalse(reviews.conclude(session, dead, NOW, kept=1.0))
            reviews.postpone(session, dead, NOW)
            self.assertTrue(reviews.conclude(session, alive, NOW, kept=0.25))
        self.assertEqual(0.25, self.reload(Review, plan_id).kept)
        self.assertEqual([], self.due(NOW + 9 * MINUTE))

    def test_a_postponed_one_comes_again(self):
        plan_id = self.plan(ActionState.SUCCEEDED)
        review = self.claim(plan_id)
        with self.database.writer() as session:
            reviews.postpone(session, review, NOW + 5 * MINUTE)
        self.assertEqual([], self.due(NOW + 4 * MINUTE))
        self.assertEqual([plan_id], self.due(NOW + 5 * MINUTE))

    def test_three_broken_promises_take_auto_trigger(self):
        self.assertEqual([False, False, True], [self.conclude(kept) for kept in (0.1, -3, 0.49)])
        audit = self.reload(Audit, self.audit.id)
        self.assertEqual((False, reviews.DISTRUSTED), (audit.auto_trigger, audit.status_message))
        with self.database.writer() as session:
            self.assertTrue(reviews.repeat_distrust(session, audit.id))
        self.assertFalse(self.conclude(0.1))

    def test_one_kept_promise_among_them_is_enough(self):
        self.assertEqual([False] * 4, [self.conclude(kept) for kept in (0.1, 0.5, 0.1, 0.1)])
        self.assertTrue(self.reload(Audit, self.audit.id).auto_trigger)

    def test_an_unknown_share_does_not_count(self):
        kept = [self.conclude(0.1), self.conclude(0.1), self.conclude(None)]
        kept += [self.conclude(0.1, counts=False), self.conclude(0.1)]
        self.assertEqual([False] * 4 + [True], kept)

    def test_the_last_ones_count_by_the_time_of_the_review(self):
        kept = [self.conclude(0.1, at=NOW + minutes * MINUTE) for minutes in (3, 1)]
        self.assertFalse(self.conclude(0.9, at=NOW + 2 * MINUTE))
        self.assertEqual([False] * 2, kept)
        self.assertFalse(self.conclude(0.1, at=NOW + 4 * MINUTE))
        self.assertTrue(self.conclude(0.1, at=NOW + 5 * MINUTE))

    def test_a_user_sets_auto_trigger_again(self):
        for kept in (0.1, 0.1, 0.1):
            self.conclude(kept)
        with self.database.writer() as session:
            audit = audits.get(session, self.audit.uuid)
            audits.change(session, audit, {"auto_trigger": True}, NOW)
        audit = self.reload(Audit, self.audit.id)
        self.assertEqual((True, None), (audit.auto_trigger, audit.status_message))
        self.assertEqual([False, False, True], [self.conclude(0.1) for _ in range(3)])

    def test_without_auto_trigger_there_is_nothing_to_take(self):
        with self.database.writer() as session:
            session.get_one(Audit, self.audit.id).auto_trigger = False
        self.assertEqual([False] * 3, [self.conclude(0.1) for _ in range(3)])
        with self.database.writer() as session:
            self.assertFalse(reviews.repeat_distrust(session, self.audit.id))

    def test_the_error_of_each_review_is_counted(self):
        for kept in (1.0, 1.2, 0.0, None):
            self.conclude(kept)
        with self.database.reader() as session:
            counts = counters.totals(session)
        errors = {key[2]: count for key, count in counts.items() if key[0] == "promise_error"}
        self.assertEqual(
            {"0.1": 1, "0.25": 2, "0.5": 2, "0.75": 2, "1": 3, "2": 3, "+Inf": 3, "sum": 1200},
            errors,
        )
