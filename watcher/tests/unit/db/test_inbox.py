# SPDX-License-Identifier: Apache-2.0
"""What engines make of the events that have come."""

import datetime
from typing import Any

from sqlalchemy import delete, select

from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import claims, inbox, models, run_ends, runs
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditEvent, AuditRun
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
SECOND = datetime.timedelta(seconds=1)
HOLDER = Holder("engine-1", "host-1", 30 * SECOND)


class InboxTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            self.audit_id = factories.audit(session, audit_type=AuditType.EVENT, name="a").id

    def post(self, now: datetime.datetime = NOW, **parameters: Any) -> None:
        with self.database.writer() as session:
            factories.appended(session, self.audit_id, now, None, parameters)

    def take(self, max_recorded: int = 60) -> None:
        factories.take(self.database, max_recorded)

    def rows(self) -> list[AuditEvent]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))

    def runs(self) -> list[AuditRun]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditRun).order_by(AuditRun.id)))

    def claim(self, now: datetime.datetime = NOW) -> AuditRun:
        self.take()

        def work(session: Any) -> AuditRun:
            waiting = runs.waiting(session, self.audit_id)
            assert waiting is not None
            run = claims.claim(session, waiting.id, HOLDER, now)
            assert run is not None
            return run

        return self.database.write(work)

    def finish(self, run: AuditRun, now: datetime.datetime = NOW) -> None:
        def work(session: Any) -> None:
            run_ends.move_audit(session, run, AuditState.SUCCEEDED, now)
            run_ends.finish(session, run, RunState.SUCCEEDED, now)

        self.database.write(work)

    def carry_out(self) -> AuditRun:
        """The run that waits, from its claim to its end."""
        run = self.claim()
        self.finish(run)
        return run

    def in_inbox(self) -> list[Any]:
        return [row.parameters for row in self.rows() if row.inbox is not None]


class TakeTest(InboxTestCase):
    def test_until_then_an_event_is_accepted_and_no_run_waits(self) -> None:
        self.post()
        [row] = self.rows()
        self.assertEqual((Decision.ACCEPTED, self.audit_id), (row.decision, row.inbox))
        self.assertEqual([], self.runs())

    def test_the_first_event_queues_a_run_that_the_others_join(self) -> None:
        for _ in range(3):
            self.post()
        self.take()
        self.post()
        self.take()
        [run] = self.runs()
        self.assertEqual((RunState.QUEUED, 3), (run.state, run.coalesced_count))
        decisions = [Decision.QUEUED, *[Decision.COALESCED] * 3]
        self.assertEqual(decisions, [row.decision for row in self.rows()])
        self.assertEqual({run.id}, {row.run_id for row in self.rows()})
        self.assertEqual([], self.in_inbox())

    def test_a_claim_takes_what_has_come_until_then(self) -> None:
        self.post()
        self.take()
        self.post()
        self.post(host="b")
        with self.database.reader() as session:
            waiting = runs.waiting(session, self.audit_id)
        with self.database.writer() as session:
            run = claims.claim(session, waiting.id, HOLDER, NOW)
        self.assertEqual(1, run.coalesced_count)
        self.assertEqual([{"host": "b"}], self.in_inbox())

    def test_events_during_a_run_cause_exactly_one_more(self) -> None:
        self.post()
        run = self.claim()
        for _ in range(3):
            self.post()
            self.take()
        self.finish(run)
        self.carry_out()
        self.take()
        self.assertEqual([0, 2], [each.coalesced_count for each in self.runs()])

    def test_a_run_waits_since_its_first_event_and_for_the_debounce(self) -> None:
        with self.database.writer() as session:
            session.add(models.Webhook(audit_id=self.audit_id, debounce=30))
        self.post()
        self.post(NOW + 10 * SECOND)
        self.take()
        [run] = self.runs()
        self.assertEqual((NOW, NOW + 30 * SECOND), (run.created_at, run.not_before))

    def test_beyond_what_is_recorded_a_run_waits_until_the_minute_is_over(self) -> None:
        for seconds in range(3):
            self.post(NOW + seconds * SECOND)
            self.finish(self.claim(NOW + 3 * SECOND))
        self.post(NOW + 3 * SECOND)
        self.take(max_recorded=3)
        self.assertEqual(NOW + 60 * SECOND, self.runs()[-1].not_before)

    def test_one_that_comes_just_in_time_does_not_wait(self) -> None:
        for seconds in range(3):
            self.post(NOW + seconds * SECOND)
        self.take(max_recorded=3)
        self.assertEqual(NOW, self.runs()[-1].not_before)

    def test_a_clock_that_is_ahead_delays_nothing(self) -> None:
        self.post(NOW + 3600 * SECOND)
        factories.take(self.database, 60, NOW)
        self.assertEqual([(NOW, NOW)], [(run.created_at, run.not_before) for run in self.runs()])

    def test_audits_that_ended_meanwhile_get_no_run(self) -> None:
        self.post()
        with self.database.writer() as session:
            session.get_one(Audit, self.audit_id).state = AuditState.CANCELLED
        self.take()
        [row] = self.rows()
        self.assertEqual(
            (Decision.REJECTED, "audit_cancelled", None),
            (row.decision, row.decision_reason, row.inbox),
        )
        self.assertEqual([], self.runs())

    def test_nor_do_those_that_are_gone(self) -> None:
        self.post()
        with self.database.writer() as session:
            session.execute(delete(Audit))
        self.take()
        self.assertEqual([Decision.REJECTED], [row.decision for row in self.rows()])

    def test_the_run_of_a_suspended_audit_waits_for_it(self) -> None:
        self.post()
        with self.database.writer() as session:
            session.get_one(Audit, self.audit_id).state = AuditState.SUSPENDED
        self.take()
        self.assertEqual([RunState.QUEUED], [run.state for run in self.runs()])
        with self.database.reader() as session:
            self.assertEqual([], runs.due(session, NOW, 10))

    def test_an_engine_that_is_later_finds_nothing_left(self) -> None:
        self.post()
        with self.database.reader() as session:
            ready = inbox.ready(session)
        self.take()
        for audit_id in ready.audit_ids:
            with self.database.writer() as session:
                inbox.queue_run(session, audit_id, 60, NOW)
        self.assertEqual(1, len(self.runs()))


class ParametersTest(InboxTestCase):
    def test_each_set_gets_a_run_the_oldest_first(self) -> None:
        for node in ("a", "b", "a", "A", "b"):
            self.post(node=node)
        ran = [self.carry_out().parameters for _ in range(3)]
        self.assertEqual([{"node": node} for node in ("a", "b", "A")], ran)
        self.take()
        with self.database.reader() as session:
            self.assertIsNone(runs.waiting(session, self.audit_id))
            rows = session.execute(
                select(AuditEvent.parameters, AuditRun.parameters).join(
                    AuditRun, AuditRun.id == AuditEvent.run_id
                )
            ).all()
        self.assertEqual(5, len(rows))
        for wanted, got in rows:
            self.assertEqual(wanted, got)

    def test_those_that_wait_longer_go_before_those_that_come_meanwhile(self) -> None:
        self.post(node="a")
        self.post(node="b")
        run = self.claim()
        self.post(node="c")
        self.finish(run)
        self.assertEqual({"node": "b"}, self.carry_out().parameters)
        self.assertEqual({"node": "c"}, self.carry_out().parameters)

    def test_an_audit_whose_events_have_to_wait_is_not_ready(self) -> None:
        self.post(node="a")
        self.take()
        self.post(node="b")
        with self.database.reader() as session:
            self.assertEqual(([], []), inbox.ready(session))


class GiveBackTest(InboxTestCase):
    def test_events_of_a_run_that_another_stands_for_join_it(self) -> None:
        for _ in range(2):
            self.post()
        run = self.claim()
        self.post()
        self.take()
        self.put_back(run)
        self.assertEqual([{}, {}], self.in_inbox())
        self.take()
        [older, younger] = self.runs()
        self.assertEqual((RunState.CANCELLED, 0), (older.state, older.coalesced_count))
        self.assertEqual(1, younger.coalesced_count)
        self.assertEqual({younger.id}, {row.run_id for row in self.rows()})
        decisions = [Decision.QUEUED, Decision.COALESCED, Decision.QUEUED]
        self.assertEqual(decisions, [row.decision for row in self.rows()])

    def test_those_that_want_other_parameters_get_a_run_of_their_own(self) -> None:
        for _ in range(2):
            self.post(node="a")
        run = self.claim()
        self.post(node="b")
        self.take()
        self.put_back(run)
        self.assertEqual({"node": "b"}, self.carry_out().parameters)
        last = self.carry_out()
        self.assertEqual(({"node": "a"}, 1), (last.parameters, last.coalesced_count))

    def put_back(self, run: AuditRun) -> None:
        self.database.write(lambda session: run_ends.retry(session, run, NOW, NOW, "again"))
