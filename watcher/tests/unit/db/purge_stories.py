# SPDX-License-Identifier: Apache-2.0
"""What a purge must do on every database; the tests of each take these in."""

import datetime
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy.orm import Session

from watcher.common import errors
from watcher.common.states import RunState
from watcher.db import models, purge, reviews, runs
from watcher.db.purge import Selection
from watcher.db.session import Database
from watcher.tests import factories

NOW = datetime.datetime(2026, 5, 4, 3, 2, 1)
DAY = datetime.timedelta(days=1)


class PurgeStories:
    """Needs ``self.database`` with the schema."""

    database: Database

    def gone(self, row: Any, when: datetime.datetime = NOW) -> Any:
        row.deleted, row.deleted_at = row.id, when
        return row

    def family(self, session: Session) -> dict[str, Any]:
        """A goal and one row of everything below it, all alive."""
        goal = factories.goal(session)
        strategy = factories.strategy(session, goal)
        template = models.AuditTemplate(name=goal.name, goal_id=goal.id, strategy_id=strategy.id)
        session.add(template)
        audit = factories.audit(session, strategy=strategy, audit_type="EVENT")
        plan = factories.action_plan(session, audit, strategy)
        action = factories.action(session, plan)
        session.add(models.EfficacyIndicator(name="n", data=1.0, action_plan_id=plan.id))
        session.add(
            models.ActionPlanLease(action_plan_id=plan.id, engine="e", lease_expires_at=NOW)
        )
        session.add(models.PlanReasons(action_plan_id=plan.id, summary={}, reasons={}))
        reviews.add(session, plan.id, {}, 0)
        session.add(models.Webhook(audit_id=audit.id))
        event = factories.accepted(session, audit.id, NOW)
        run = session.get_one(models.AuditRun, event.run_id)
        run.state, run.action_plan_id = RunState.SUCCEEDED, plan.id
        return {
            "goals": goal,
            "strategies": strategy,
            "audit_templates": template,
            "audits": audit,
            "action_plans": plan,
            "actions": action,
        }

    def purged(self, *selection: Any) -> dict[str, int]:
        with self.database.reader() as session:
            found = purge.find(session, Selection(*selection))
        purge.remove(self.database, found)
        return {table.name: len(ids) for table, ids in found.items() if ids}

    def left(self) -> dict[str, int]:
        with self.database.reader() as session:
            counts = {
                name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for name, table in models.Base.metadata.tables.items()
                if name != "tallies"
            }
        return {name: count for name, count in counts.items() if count}

    def test_events_that_came_while_their_audit_was_removed_go_the_next_time(self) -> None:
        with self.database.writer() as session:
            kept = factories.audit(session, audit_type="EVENT").id
            for audit_id in (kept, kept + 1):
                factories.appended(session, audit_id, NOW)
        self.purged()
        with self.database.reader() as session:
            self.assertEqual([kept], list(session.scalars(sa.select(models.AuditEvent.audit_id))))

    def test_what_lives_is_left_alone(self) -> None:
        with self.database.writer() as session:
            self.family(session)
        before = self.left()
        self.assertEqual({}, self.purged())
        self.assertEqual(before, self.left())

    def test_a_deleted_goal_goes_with_all_below_it(self) -> None:
        with self.database.writer() as session:
            self.gone(self.family(session)["goals"])
            self.family(session)
        before = self.left()
        counts = self.purged()
        self.assertEqual(
            dict.fromkeys(
                ("goals", "strategies", "audit_templates", "audits", "action_plans", "actions"), 1
            ),
            counts,
        )
        self.assertEqual({name: count // 2 for name, count in before.items()}, self.left())

    def test_without_orphans_a_living_row_keeps_what_it_hangs_on(self) -> None:
        with self.database.writer() as session:
            kept = self.family(session)
            for name in ("goals", "strategies", "audits", "action_plans"):
                self.gone(kept[name])
            for row in self.family(session).values():
                self.gone(row)
        self.assertEqual(
            dict.fromkeys(
                ("goals", "strategies", "audit_templates", "audits", "action_plans", "actions"), 1
            ),
            self.purged(None, None, False),
        )
        with self.database.reader() as session:
            for row in kept.values():
                self.assertIsNotNone(session.get(type(row), row.id))

    def test_age_counts_where_the_deleted_rows_begin(self) -> None:
        with self.database.writer() as session:
            old = self.family(session)
            self.gone(old["audits"], NOW - 3 * DAY)
            self.gone(old["actions"], NOW)
            self.gone(self.family(session)["audits"], NOW)
        self.assertEqual({"audits": 1, "action_plans": 1, "actions": 1}, self.purged(NOW - DAY))

    def test_a_young_child_stays_when_a_living_row_keeps_its_parent(self) -> None:
        with self.database.writer() as session:
            family = self.family(session)
            self.gone(family["goals"], NOW - 3 * DAY)
            self.gone(family["strategies"], NOW - 3 * DAY)
            for name in ("audits", "action_plans", "actions"):
                self.gone(family[name], NOW)
        # The template keeps the goal and the strategy.
        self.assertEqual({}, self.purged(NOW - DAY, None, False))

    def test_a_young_child_goes_with_its_old_parent(self) -> None:
        with self.database.writer() as session:
            family = self.family(session)
            self.gone(family["audits"], NOW - 3 * DAY)
            for name in ("action_plans", "actions"):
                self.gone(family[name], NOW)
        self.assertEqual(
            {"audits": 1, "action_plans": 1, "actions": 1}, self.purged(NOW - DAY, None, False)
        )

    def test_one_goal(self) -> None:
        with self.database.writer() as session:
            mine, other = self.family(session), self.family(session)
            for family in (mine, other):
                self.gone(family["goals"])
                self.gone(family["actions"])
        with self.database.reader() as session:
            goals = purge.deleted_goals(session, mine["goals"].name)
            self.assertEqual(goals, purge.deleted_goals(session, mine["goals"].uuid))
        self.assertEqual(6, sum(self.purged(None, goals).values()))
        with self.database.reader() as session:
            self.assertIsNotNone(session.get(models.Goal, other["goals"].id))
            self.assertIsNotNone(session.get(models.Action, other["actions"].id))

    def test_a_goal_that_lives_or_is_unknown_is_refused(self) -> None:
        with self.database.writer() as session:
            name = self.family(session)["goals"].name
        with self.database.reader() as session:
            for ident in (name, "nonsense"):
                error = self.assertRaises(errors.NotFound, purge.deleted_goals, session, ident)
                self.assertIn("goal:", str(error))

    def test_a_limit_takes_whole_goals(self) -> None:
        with self.database.writer() as session:
            for extra in (7, 0, 0):
                family = self.family(session)
                self.gone(family["goals"])
                for _ in range(extra):
                    factories.action(session, family["action_plans"])
        with self.database.reader() as session:
            narrowed = purge.within(session, Selection(), 12)
            self.assertEqual(2, len(narrowed.goal_ids))
            self.assertEqual(12, sum(map(len, purge.find(session, narrowed).values())))
            narrowed = purge.within(session, Selection(), 5)
            self.assertEqual(0, sum(map(len, purge.find(session, narrowed).values())))

    def test_the_run_of_a_living_audit_forgets_a_purged_plan(self) -> None:
        with self.database.writer() as session:
            family = self.family(session)
            self.gone(family["action_plans"])
        self.purged()
        with self.database.reader() as session:
            self.assertIsNone(session.scalars(sa.select(models.AuditRun)).one().action_plan_id)

    def test_more_rows_than_a_batch(self) -> None:
        with self.database.writer() as session:
            family = self.family(session)
            for _ in range(9):
                factories.action(session, family["action_plans"])
                audit_id = family["audits"].id
                run = runs.enqueue(session, audit_id, NOW, NOW)
                run.state = RunState.FAILED
                session.flush()
            self.gone(family["audits"])
        with mock.patch.object(purge, "BATCH", 4):
            self.purged()
        self.assertEqual({"goals": 1, "strategies": 1, "audit_templates": 1}, self.left())

    def test_a_second_purge_on_the_same_pool(self) -> None:
        for _ in range(2):
            with self.database.writer() as session:
                self.gone(self.family(session)["audits"])
            self.assertEqual({"audits": 1, "action_plans": 1, "actions": 1}, self.purged())
