# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

from sqlalchemy import select

from watcher.common.states import ActionState, AuditType, Decision, PlanState, RunState
from watcher.db import counters, retention
from watcher.db.models import Action, ActionPlan, AuditEvent, AuditRun, PlanReasons
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
DAY = datetime.timedelta(days=1)


class ForgetEventsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            self.audit_id = factories.audit(session, audit_type=AuditType.EVENT).id

    def event(self, age: datetime.timedelta, run_state: str | None = None) -> str:
        with self.database.writer() as session:
            run_id = None
            if run_state is not None:
                run = AuditRun(
                    audit_id=self.audit_id, state=run_state, not_before=NOW, created_at=NOW
                )
                session.add(run)
                session.flush()
                run_id = run.id
            row = AuditEvent(
                audit_id=self.audit_id,
                run_id=run_id,
                received_at=NOW - age,
                source="generic",
                decision=Decision.QUEUED if run_id else Decision.IGNORED,
            )
            session.add(row)
            session.flush()
            return row.uuid

    def kept(self) -> set[str]:
        with self.database.reader() as session:
            return set(session.scalars(select(AuditEvent.uuid)))

    def totals(self) -> Any:
        with self.database.reader() as session:
            return +counters.totals(session)

    def test_removes_old_events_that_no_run_needs(self) -> None:
        kept = {
            self.event(3 * DAY, RunState.QUEUED),
            self.event(3 * DAY, RunState.ONGOING),
        }
        with self.database.writer() as session:
            kept.add(factories.appended(session, self.audit_id, NOW - 3 * DAY).uuid)
        self.event(3 * DAY, RunState.FAILED)
        self.event(3 * DAY)
        kept.add(self.event(DAY, RunState.SUCCEEDED))
        before = self.totals()

        self.assertEqual(
            2, self.database.write(lambda session: retention.remove_events(session, NOW - 2 * DAY))
        )

        self.assertEqual(kept, self.kept())
        self.assertEqual(before, self.totals())

    def test_those_that_stay_do_not_hold_up_the_others(self) -> None:
        self.patch(retention, "BATCH", 2)
        kept = {self.event(9 * DAY, RunState.QUEUED)}
        with self.database.writer() as session:
            run_id = session.scalars(select(AuditRun.id)).one()
            for _ in range(4):
                row = AuditEvent(
                    audit_id=self.audit_id,
                    run_id=run_id,
                    received_at=NOW - 9 * DAY,
                    source="generic",
                    decision=Decision.COALESCED,
                )
                session.add(row)
                session.flush()
                kept.add(row.uuid)
        self.event(8 * DAY)
        self.assertEqual(
            1, self.database.write(lambda session: retention.remove_events(session, NOW))
        )
        self.assertEqual(kept, self.kept())

    def test_removes_a_batch_at_a_time(self) -> None:
        self.patch(retention, "BATCH", 2)
        for _ in range(3):
            self.event(3 * DAY)
        numbers = [
            self.database.write(lambda session: retention.remove_events(session, NOW))
            for _ in range(3)
        ]
        self.assertEqual([2, 1, 0], numbers)


class ForgetRunsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            self.strategy = factories.strategy(session, factories.goal(session))
            self.audits = {
                audit_type: factories.audit(session, strategy=self.strategy, audit_type=audit_type)
                for audit_type in AuditType.ALL
            }

    def plan(
        self,
        state: str,
        age: int,
        audit_type: str = AuditType.EVENT,
        run: str | None = RunState.SUCCEEDED,
        **values: Any,
    ) -> ActionPlan:
        """A plan with two actions, and the run that made it."""
        then = NOW - age * DAY
        audit = self.audits[audit_type]
        with self.database.writer() as session:
            plan = factories.action_plan(
                session,
                audit,
                self.strategy,
                state=state,
                created_at=then,
                updated_at=then,
                **values,
            )
            for _ in range(2):
                factories.action(session, plan, state=ActionState.CANCELLED)
            session.add(PlanReasons(action_plan_id=plan.id, summary={}, reasons={}))
            if run is not None:
                session.add(
                    AuditRun(
                        audit_id=audit.id,
                        state=run,
                        not_before=then,
                        created_at=then,
                        started_at=then,
                        finished_at=then,
                        action_plan_id=plan.id,
                    )
                )
        return plan

    def forget(self) -> None:
        before, replaced = NOW - 90 * DAY, NOW - 7 * DAY
        with self.database.reader() as session:
            counts = +counters.totals(session)
        while retention.remove_plans(self.database, before, replaced):
            pass
        while self.database.write(lambda session: retention.remove_runs(session, before)):
            pass
        with self.database.reader() as session:
            self.assertEqual(counts, +counters.totals(session))

    def kept(self) -> tuple[set[int], int]:
        with self.database.reader() as session:
            plans = set(session.scalars(select(ActionPlan.id)))
            return plans, len(session.scalars(select(AuditRun.id)).all())

    def test_plans_that_were_never_started_go_with_their_runs(self) -> None:
        for state in (PlanState.SUPERSEDED, PlanState.CANCELLED, PlanState.SUCCEEDED):
            self.plan(state, 91)
        young = self.plan(PlanState.SUPERSEDED, 89)
        waiting = self.plan(PlanState.RECOMMENDED, 91)
        self.forget()
        self.assertEqual(({young.id, waiting.id}, 2), self.kept())
        with self.database.reader() as session:
            self.assertEqual(4, len(session.scalars(select(Action.id)).all()))

    def test_of_plans_that_were_started_the_run_goes(self) -> None:
        started = self.plan(PlanState.SUCCEEDED, 91, hostname="node-1")
        self.forget()
        self.assertEqual(({started.id}, 0), self.kept())

    def test_replaced_plans_of_continuous_audits_go_sooner(self) -> None:
        self.plan(PlanState.CANCELLED, 8, AuditType.CONTINUOUS)
        kept = self.plan(PlanState.CANCELLED, 6, AuditType.CONTINUOUS)
        other = self.plan(PlanState.SUPERSEDED, 8, AuditType.EVENT)
        self.forget()
        self.assertEqual(({kept.id, other.id}, 3), self.kept())

    def test_what_another_service_left_stays_until_it_is_replaced(self) -> None:
        old = self.plan(PlanState.SUPERSEDED, 200, run=None)
        self.plan(PlanState.SUPERSEDED, 100, run=None)
        self.plan(PlanState.SUCCEEDED, 150, hostname="x")  # our first run of the audit
        self.forget()
        plans, _ = self.kept()
        self.assertIn(old.id, plans)
        self.assertEqual(2, len(plans))

    def test_events_outlive_their_run(self) -> None:
        self.plan(PlanState.SUPERSEDED, 91)
        with self.database.writer() as session:
            run = session.scalars(select(AuditRun)).one()
            session.add(
                AuditEvent(
                    audit_id=run.audit_id,
                    run_id=run.id,
                    received_at=NOW,
                    source="generic",
                    decision=Decision.QUEUED,
                )
            )
        self.forget()
        with self.database.reader() as session:
            self.assertIsNone(session.scalars(select(AuditEvent.run_id)).one())

    def test_a_batch_at_a_time(self) -> None:
        self.patch(retention, "PLANS", 2)
        for _ in range(3):
            self.plan(PlanState.SUPERSEDED, 91)
        found = [retention.remove_plans(self.database, NOW, NOW) for _ in range(3)]
        self.assertEqual([2, 1, 0], found)
