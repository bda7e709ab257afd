# SPDX-License-Identifier: Apache-2.0
"""What the metrics say of a known database; the tests of each database take these in."""

import concurrent.futures
import datetime
from unittest import mock

from oslo_utils import timeutils
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.states import (
    ActionState,
    AuditState,
    AuditType,
    Decision,
    PlanState,
    RunState,
)
from watcher.db import (
    action_plans,
    claims,
    counters,
    marks,
    models,
    plan_claims,
    purge,
    runs,
    services,
)
from watcher.db.leases import Holder
from watcher.metrics.collector import DatabaseCollector
from watcher.tests import factories
from watcher.tests.base import TestCase

NOW = datetime.datetime(2026, 5, 4, 3, 2, 1)
SECOND = datetime.timedelta(seconds=1)

KNOWN = """\
# HELP watcher_events_total Events that reached the webhooks, recorded or not, and what was decided about them.
# TYPE watcher_events_total counter
watcher_events_total{decision="IGNORED",reason="outside_window",source="aodh"} 1.0
watcher_events_total{decision="QUEUED",reason="",source="aodh"} 1.0
watcher_events_total{decision="COALESCED",reason="",source="generic"} 1.0
# HELP watcher_events_coalesced_total Events that joined a run that waited already, recorded or not.
# TYPE watcher_events_coalesced_total counter
watcher_events_coalesced_total 1.0
# HELP watcher_runs_total Runs of audits that ended.
# TYPE watcher_runs_total counter
watcher_runs_total{result="FAILED",strategy=""} 1.0
watcher_runs_total{result="SUCCEEDED",strategy="hot"} 1.0
# HELP watcher_actions_total Actions that ended.
# TYPE watcher_actions_total counter
watcher_actions_total{result="FAILED",type="migrate"} 1.0
watcher_actions_total{result="SUCCEEDED",type="migrate"} 2.0
# HELP watcher_take_overs_total Runs and action plans whose holder died and that another took over.
# TYPE watcher_take_overs_total counter
watcher_take_overs_total{of="action_plan"} 0.0
watcher_take_overs_total{of="run"} 0.0
# HELP watcher_run_duration_seconds Time from the start of a run, at its last attempt, to its end.
# TYPE watcher_run_duration_seconds histogram
watcher_run_duration_seconds_bucket{le="0.1",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="0.5",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="1.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="5.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="10.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="30.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="60.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="300.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="900.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="3600.0",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_bucket{le="+Inf",result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_count{result="FAILED",strategy=""} 1.0
watcher_run_duration_seconds_sum{result="FAILED",strategy=""} 0.0
watcher_run_duration_seconds_bucket{le="0.1",result="SUCCEEDED",strategy="hot"} 0.0
watcher_run_duration_seconds_bucket{le="0.5",result="SUCCEEDED",strategy="hot"} 0.0
watcher_run_duration_seconds_bucket{le="1.0",result="SUCCEEDED",strategy="hot"} 0.0
watcher_run_duration_seconds_bucket{le="5.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="10.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="30.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="60.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="300.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="900.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="3600.0",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_bucket{le="+Inf",result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_count{result="SUCCEEDED",strategy="hot"} 1.0
watcher_run_duration_seconds_sum{result="SUCCEEDED",strategy="hot"} 2.125
# HELP watcher_alarm_to_plan_seconds Time from the first alarm of a run to its action plan.
# TYPE watcher_alarm_to_plan_seconds histogram
watcher_alarm_to_plan_seconds_bucket{le="0.5"} 0.0
watcher_alarm_to_plan_seconds_bucket{le="1.0"} 0.0
watcher_alarm_to_plan_seconds_bucket{le="2.0"} 0.0
watcher_alarm_to_plan_seconds_bucket{le="5.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="10.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="30.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="60.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="120.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="300.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="900.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="3600.0"} 1.0
watcher_alarm_to_plan_seconds_bucket{le="+Inf"} 1.0
watcher_alarm_to_plan_seconds_count 1.0
watcher_alarm_to_plan_seconds_sum 3.125
# HELP watcher_plan_promise_error How far plans were from their promise, in shares of it, when they were looked at.
# TYPE watcher_plan_promise_error histogram
watcher_plan_promise_error_bucket{le="0.1",strategy="hot"} 0.0
watcher_plan_promise_error_bucket{le="0.25",strategy="hot"} 1.0
watcher_plan_promise_error_bucket{le="0.5",strategy="hot"} 1.0
watcher_plan_promise_error_bucket{le="0.75",strategy="hot"} 1.0
watcher_plan_promise_error_bucket{le="1.0",strategy="hot"} 1.0
watcher_plan_promise_error_bucket{le="2.0",strategy="hot"} 1.0
watcher_plan_promise_error_bucket{le="+Inf",strategy="hot"} 1.0
watcher_plan_promise_error_count{strategy="hot"} 1.0
watcher_plan_promise_error_sum{strategy="hot"} 0.2
# HELP watcher_queue_depth Runs that wait, by what they wait for.
# TYPE watcher_queue_depth gauge
watcher_queue_depth{reason="due"} 1.0
watcher_queue_depth{reason="not_before"} 1.0
watcher_queue_depth{reason="cooldown"} 0.0
watcher_queue_depth{reason="same_metrics"} 0.0
watcher_queue_depth{reason="plan_ongoing"} 0.0
watcher_queue_depth{reason="run_ongoing"} 0.0
watcher_queue_depth{reason="audit_suspended"} 0.0
# HELP watcher_queue_oldest_seconds How long the first of the runs that wait could have begun already.
# TYPE watcher_queue_oldest_seconds gauge
watcher_queue_oldest_seconds{reason="due"} 7.5
watcher_queue_oldest_seconds{reason="not_before"} 0.0
watcher_queue_oldest_seconds{reason="cooldown"} 0.0
watcher_queue_oldest_seconds{reason="same_metrics"} 0.0
watcher_queue_oldest_seconds{reason="plan_ongoing"} 0.0
watcher_queue_oldest_seconds{reason="run_ongoing"} 0.0
watcher_queue_oldest_seconds{reason="audit_suspended"} 0.0
# HELP watcher_inbox_events Events that no run acts on yet.
# TYPE watcher_inbox_events gauge
watcher_inbox_events 1.0
# HELP watcher_inbox_oldest_seconds How long the first of these events waits.
# TYPE watcher_inbox_oldest_seconds gauge
watcher_inbox_oldest_seconds 1.5
# HELP watcher_runs_ongoing Runs under way.
# TYPE watcher_runs_ongoing gauge
watcher_runs_ongoing 0.0
# HELP watcher_runs_oldest_seconds How long the first of the runs under way has been so, at its last attempt.
# TYPE watcher_runs_oldest_seconds gauge
watcher_runs_oldest_seconds 0.0
# HELP watcher_action_plans Action plans that are not deleted.
# TYPE watcher_action_plans gauge
watcher_action_plans{state="RECOMMENDED"} 0.0
watcher_action_plans{state="PENDING"} 0.0
watcher_action_plans{state="ONGOING"} 0.0
watcher_action_plans{state="SUCCEEDED"} 0.0
watcher_action_plans{state="FAILED"} 1.0
watcher_action_plans{state="CANCELLING"} 0.0
watcher_action_plans{state="CANCELLED"} 0.0
watcher_action_plans{state="SUPERSEDED"} 0.0
# HELP watcher_service_up Whether a service was heard of within service_down_time.
# TYPE watcher_service_up gauge
watcher_service_up{host="engine-1",service="watcher-decision-engine"} 1.0
watcher_service_up{host="engine-2",service="watcher-decision-engine"} 0.0
# HELP watcher_model_age_seconds How long ago a decision engine that is up last read a model of the cloud.
# TYPE watcher_model_age_seconds gauge
watcher_model_age_seconds{host="engine-1",model="compute"} 100.5
watcher_model_age_seconds{host="engine-1",model="storage"} 120.0
"""  # noqa: E501


class MetricsStories(TestCase):
    """Needs ``self.database`` with the schema."""

    def setUp(self) -> None:
        super().setUp()
        self.registry = CollectorRegistry()
        self.registry.register(DatabaseCollector(self.conf, self.database))

    def text(self) -> str:
        with mock.patch.object(timeutils, "utcnow", return_value=NOW):
            return generate_latest(self.registry).decode()

    def values(self, *prefixes: str) -> dict[str, float]:
        """What the series that begin so show, as far as it is not 0."""
        lines = (line.rpartition(" ") for line in self.text().splitlines() if line[0] != "#")
        return {
            name: float(value)
            for name, _, value in lines
            if name.startswith(prefixes) and float(value)
        }

    def event_audit(self, session: Session, **values: object) -> models.Audit:
        return factories.audit(
            session, audit_type=AuditType.EVENT, state=AuditState.SUCCEEDED, **values
        )

    def fill(self, session: Session) -> tuple[models.Audit, models.ActionPlan]:
        """A bit of everything.  The audit without a strategy, and the plan of its run."""
        goal = factories.goal(session)
        strategy = factories.strategy(session, goal, name="hot")
        audit = self.event_audit(session, goal=goal)
        begin = NOW - 60 * SECOND
        run = runs.enqueue(session, audit.id, begin, begin)
        run.coalesced_count = 1
        for source, decision, reason in (
            ("aodh", Decision.QUEUED, None),
            ("generic", Decision.COALESCED, None),
            ("aodh", Decision.IGNORED, "outside_window"),
        ):
            session.add(
                models.AuditEvent(
                    audit_id=audit.id,
                    run_id=None if reason else run.id,
                    received_at=begin,
                    source=source,
                    decision=decision,
                    decision_reason=reason,
                )
            )
        factories.appended(session, audit.id, NOW - 1.5 * SECOND)
        plan = factories.action_plan(session, audit, strategy, state=PlanState.FAILED)
        for state in (
            ActionState.SUCCEEDED,
            ActionState.SUCCEEDED,
            ActionState.FAILED,
            ActionState.PENDING,
        ):
            factories.action(session, plan, action_type="migrate", state=state)
        counters.add_promise(session, "hot", kept=0.8)
        run.state, run.action_plan_id = RunState.SUCCEEDED, plan.id
        run.started_at = begin + SECOND
        run.finished_at = begin + 3.125 * SECOND
        failed = runs.enqueue(session, factories.audit(session, goal=goal).id, begin, begin)
        failed.state, failed.started_at, failed.finished_at = RunState.FAILED, begin, begin
        due = NOW - 7.5 * SECOND
        runs.enqueue(session, factories.audit(session, goal=goal).id, due, due)
        runs.enqueue(session, factories.audit(session, goal=goal).id, NOW, NOW + SECOND)
        services.beat(
            session,
            "watcher-decision-engine",
            "engine-1",
            NOW - 90 * SECOND,
            {"storage": NOW - 120 * SECOND, "compute": NOW - 100.5 * SECOND},
        )
        services.beat(
            session, "watcher-decision-engine", "engine-2", NOW - 91 * SECOND, {"compute": NOW}
        )
        return audit, plan

    def test_a_known_database(self) -> None:
        with self.database.writer() as session:
            self.fill(session)
        self.assertEqual(KNOWN.splitlines(), self.text().splitlines())

    def test_an_empty_database(self) -> None:
        self.assertEqual({}, self.values("watcher_"))
        self.assertIn('watcher_take_overs_total{of="run"} 0.0', self.text())
        self.assertIn("watcher_alarm_to_plan_seconds_count 0.0", self.text())

    def test_runs_that_wait_for_a_later_time(self) -> None:
        with self.database.writer() as session:
            for reason in (None, runs.COOLDOWN, runs.SAME_METRICS, runs.PLAN_ONGOING):
                run = runs.enqueue(session, self.event_audit(session).id, NOW, NOW + SECOND)
                run.wait_reason = reason
        self.assertEqual(
            {
                'watcher_queue_depth{reason="cooldown"}': 1,
                'watcher_queue_depth{reason="not_before"}': 2,
                'watcher_queue_depth{reason="same_metrics"}': 1,
            },
            self.values("watcher_queue"),
        )

    def test_what_runs_wait_for(self) -> None:
        with self.database.writer() as session:
            suspended, busy, held, forced = (
                self.event_audit(session, force=number == 3) for number in range(4)
            )
            suspended.state = AuditState.SUSPENDED
            ongoing = runs.enqueue(session, busy.id, NOW, NOW)
            ongoing.state = RunState.ONGOING
            session.flush()
            for late, audit in enumerate((suspended, busy, held, forced), start=1):
                runs.enqueue(session, audit.id, NOW, NOW - late * SECOND)
            busy.force = True
            strategy = factories.strategy(session, factories.goal(session))
            factories.action_plan(session, held, strategy, state=PlanState.ONGOING)
        self.assertEqual(
            {
                'watcher_queue_oldest_seconds{reason="audit_suspended"}': 1,
                'watcher_queue_oldest_seconds{reason="run_ongoing"}': 2,
                'watcher_queue_oldest_seconds{reason="plan_ongoing"}': 3,
                'watcher_queue_oldest_seconds{reason="due"}': 4,
                "watcher_runs_ongoing": 1,
            },
            self.values("watcher_queue_oldest", "watcher_runs_ongoing"),
        )

    COUNTED = (
        "watcher_events",
        "watcher_runs_total",
        "watcher_actions_total",
        "watcher_run_duration",
        "watcher_alarm_to_plan",
    )

    def test_counts_outlive_what_is_deleted_and_purged(self) -> None:
        with self.database.writer() as session:
            audit, plan = self.fill(session)
        before = self.values(*self.COUNTED)
        with self.database.writer() as session:
            action_plans.delete(session, session.get_one(models.ActionPlan, plan.id), NOW)
        self.assertEqual(before, self.values(*self.COUNTED))
        self.purge()
        # The run of the living audit has forgotten which strategy it was.
        self.assertEqual(before, self.values(*self.COUNTED))
        with self.database.writer() as session:
            gone = session.get_one(models.Audit, audit.id)
            gone.deleted, gone.deleted_at = gone.id, NOW
        self.purge()
        self.assertEqual(before, self.values(*self.COUNTED))
        with self.database.writer() as session:
            factories.action(
                session,
                factories.action_plan(
                    session,
                    factories.audit(session),
                    factories.strategy(session, factories.goal(session)),
                ),
                action_type="migrate",
                state=ActionState.FAILED,
            )
        after = self.values(*self.COUNTED)
        name = 'watcher_actions_total{result="FAILED",type="migrate"}'
        self.assertEqual(before | {name: before[name] + 1}, after)

    def purge(self) -> None:
        with self.database.reader() as session:
            found = purge.find(session, purge.Selection())
        purge.remove(self.database, found)

    def roll(self) -> None:
        later = NOW + datetime.timedelta(hours=2)
        while self.database.write(lambda session: counters.roll(session, later)):
            pass

    def test_counts_of_older_rows_are_written_down_once(self) -> None:
        self.patch(counters, "STEP", 2)
        shown = (*self.COUNTED, "watcher_action_plans")
        with self.database.writer() as session:
            _, plan = self.fill(session)
            plan.created_at = NOW
            waiting = session.scalars(
                select(models.AuditRun).where(models.AuditRun.state == RunState.QUEUED)
            ).first()
        before = self.values(*shown)
        for _ in range(2):
            self.roll()
            self.assertEqual(before, self.values(*shown))
        self.assertEqual({2}, {len(mark.open) for mark in self.marks(counters.RUNS_TABLE)})
        self.assertEqual({1}, {len(mark.open) for mark in self.marks(counters.EVENTS_TABLE)})

        with self.database.writer() as session:
            run = session.get_one(models.AuditRun, waiting.id)
            run.state, run.started_at, run.finished_at = RunState.FAILED, NOW, NOW
        after = self.values(*shown)
        name = 'watcher_runs_total{result="FAILED",strategy=""}'
        self.assertEqual(before[name] + 1, after[name])
        self.roll()
        self.assertEqual(after, self.values(*shown))

        with self.database.writer() as session:
            action_plans.delete(session, session.get_one(models.ActionPlan, plan.id), NOW)
        del after['watcher_action_plans{state="FAILED"}']
        self.assertEqual(after, self.values(*shown))
        with self.database.writer() as session:
            for audit in session.scalars(select(models.Audit)):
                audit.deleted, audit.deleted_at = audit.id, NOW
        self.purge()
        self.roll()
        self.assertEqual(
            {key: value for key, value in after.items() if "queue" not in key},
            self.values(*shown),
        )

    def marks(self, table: str) -> list[marks.Mark]:
        with self.database.reader() as session:
            return [marks.of(marks.tallies(session), table)]

    def test_those_who_write_counts_down_at_once_do_it_once(self) -> None:
        self.patch(counters, "STEP", 3)
        with self.database.writer() as session:
            audit, _ = self.fill(session)
            for _ in range(20):
                session.add(
                    models.AuditEvent(
                        audit_id=audit.id, received_at=NOW, source="aodh", decision="IGNORED"
                    )
                )
        before = self.values(*self.COUNTED)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(self.roll) for _ in range(4)]:
                done.result()
        self.assertEqual(before, self.values(*self.COUNTED))

    def test_take_overs(self) -> None:
        names = ("dead", "engine-2", "engine-3")
        dead, other, lease = (Holder(name, name, 30 * SECOND) for name in names)
        with self.database.writer() as session:
            run = runs.enqueue(session, self.event_audit(session).id, NOW, NOW)
            claims.claim(session, run.id, dead, NOW)
            _, plan = self.fill(session)
            plan.state = PlanState.PENDING
            session.flush()
            plan_claims.claim(session, plan.id, dead, NOW)
        # Nobody has died in the last case: the database did not answer.
        for later, holder in ((40, other), (80, lease), (120, lease)):
            with self.database.writer() as session:
                now = NOW + later * SECOND
                ((run_id, of_run),) = claims.of_all(session)
                ((plan_id, of_plan),) = plan_claims.of_all(session)
                claims.take_over(session, run_id, holder, now, of_run)
                self.assertIsNone(claims.take_over(session, run_id, holder, now, of_run))
                self.assertTrue(plan_claims.take_over(session, plan_id, holder, now, of_plan))
                self.assertFalse(plan_claims.take_over(session, plan_id, holder, now, of_plan))
        with self.database.writer() as session:
            # Nobody died: it was let go.
            plan_claims.release(session, plan.id, lease.engine)
            self.assertTrue(plan_claims.claim(session, plan.id, lease, NOW))
        self.assertEqual(
            {
                'watcher_take_overs_total{of="run"}': 2,
                'watcher_take_overs_total{of="action_plan"}': 2,
            },
            self.values("watcher_take_overs"),
        )

    def test_those_who_count_the_same_at_once_wait_for_each_other(self) -> None:
        def count(_: int) -> None:
            self.database.write(lambda session: counters.add_take_over(session, counters.RUN))

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(64)))
        self.assertEqual(
            {'watcher_take_overs_total{of="run"}': 64}, self.values("watcher_take_overs")
        )
