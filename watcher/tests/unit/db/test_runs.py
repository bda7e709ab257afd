# SPDX-License-Identifier: Apache-2.0
import datetime

from sqlalchemy import select

from watcher.common.alarms import AlarmMessage
from watcher.common.errors import LostClaim
from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import claims, run_ends, runs
from watcher.db.leases import Holder
from watcher.db.models import AuditEvent, AuditRun
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
MINUTE = datetime.timedelta(minutes=1)
HOLDER = Holder("engine-1", "host-1", datetime.timedelta(seconds=30))


class RunsTest(base.DatabaseTestCase):
    def queue(self, not_before: datetime.datetime = NOW, **audit: object) -> AuditRun:
        audit.setdefault("audit_type", AuditType.EVENT)
        with self.database.writer() as session:
            return runs.enqueue(session, factories.audit(session, **audit).id, NOW, not_before)

    def present(self, run: AuditRun) -> AuditRun:
        with self.database.reader() as session:
            return session.get_one(AuditRun, run.id)

    def claim(self, run: AuditRun, now: datetime.datetime = NOW) -> AuditRun | None:
        return self.database.write(lambda session: claims.claim(session, run.id, HOLDER, now))

    def test_a_run_that_waits_again_for_later_cannot_be_claimed_meanwhile(self) -> None:
        run = self.queue(NOW + MINUTE)
        self.assertIsNone(self.claim(run))
        self.assertEqual(RunState.QUEUED, self.present(run).state)
        self.assertEqual(run.id, self.claim(run, NOW + MINUTE).id)

    def test_an_engine_that_claims_its_own_lapsed_run_shuts_out_its_former_self(self) -> None:
        first = self.claim(self.queue())
        later = NOW + MINUTE
        second = self.database.write(
            lambda session: claims.take_over(
                session, first.id, HOLDER, later, first.lease_expires_at
            )
        )

        def finish(run: AuditRun) -> None:
            with self.database.writer() as session:
                run_ends.finish(session, run, RunState.SUCCEEDED, later)

        self.assertEqual(0, second.deaths)
        self.assertIn("did not take its end", second.errors[-1]["error"])
        error = self.assertRaises(LostClaim, finish, first)
        self.assertIn(first.uuid, str(error))
        finish(second)
        self.assertEqual((RunState.SUCCEEDED, 2), (self.present(first).state, second.attempt))

    def test_an_adopted_audit_waits_for_its_start(self) -> None:
        with self.database.writer() as session:
            for start, next_run in ((NOW + MINUTE, None), (None, NOW + MINUTE), (None, None)):
                factories.audit(
                    session,
                    audit_type=AuditType.CONTINUOUS,
                    interval="60",
                    start_time=start,
                    next_run_time=next_run,
                )
            self.assertEqual(3, runs.adopt(session, NOW))
            times = session.scalars(select(AuditRun.not_before).order_by(AuditRun.audit_id))
            self.assertEqual([NOW + MINUTE, NOW + MINUTE, NOW], times.all())

    def test_an_adopted_audit_with_cron_waits_for_its_next_time(self) -> None:
        """NOW is 12:00; the former service had run it, or missed its time."""
        midnight = datetime.datetime.combine(NOW.date(), datetime.time()) + 24 * 60 * MINUTE
        with self.database.writer() as session:
            for next_run in (None, NOW - MINUTE, midnight):
                factories.audit(
                    session,
                    audit_type=AuditType.CONTINUOUS,
                    state=AuditState.ONGOING,
                    interval="0 0 * * *",
                    next_run_time=next_run,
                )
            self.assertEqual(3, runs.adopt(session, NOW))
            times = session.scalars(select(AuditRun.not_before)).all()
            self.assertEqual([midnight] * 3, times)

    def test_an_interval_that_cannot_be_read_ends_an_adopted_audit(self) -> None:
        with self.database.writer() as session:
            for state in (AuditState.PENDING, AuditState.ONGOING):
                audit = factories.audit(
                    session, audit_type=AuditType.CONTINUOUS, state=state, interval="every day"
                )
                self.assertEqual(0, runs.adopt(session, NOW))
                session.refresh(audit)
                self.assertEqual(AuditState.CANCELLED, audit.state)
                self.assertIn("interval: 'every day' is neither", audit.status_message or "")
            self.assertEqual([], session.scalars(select(AuditRun)).all())

    def two_runs(self) -> tuple[AuditRun, AuditRun]:
        """One that is claimed, and a younger one of its audit that waits."""
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT)
            event = factories.accepted(session, audit.id, NOW)
            older = session.get_one(AuditRun, event.run_id)
        claimed = self.claim(older)
        with self.database.writer() as session:
            event = factories.accepted(session, audit.id, NOW)
            younger = session.get_one(AuditRun, event.run_id)
        return claimed, younger

    def test_a_run_put_back_beside_a_younger_one_leaves_it_its_events(self) -> None:
        older, younger = self.two_runs()
        with self.database.writer() as session:
            run_ends.retry(
                session, older, NOW, NOW + MINUTE, "The cloud was away.", "The cloud was away."
            )
        factories.take(self.database)
        with self.database.reader() as session:
            owners = session.scalars(select(AuditEvent.run_id)).all()
        self.assertEqual([younger.id, younger.id], owners)
        self.assertEqual(RunState.CANCELLED, self.present(older).state)
        younger = self.present(younger)
        self.assertEqual(
            (RunState.QUEUED, NOW + MINUTE, 1, 0),
            (younger.state, younger.not_before, younger.attempt, younger.coalesced_count),
        )

    def test_it_says_which_run_takes_its_place(self) -> None:
        older, younger = self.two_runs()
        with self.database.writer() as session:
            run_ends.hand_back(session, older, NOW)
        sentence = f"Run {younger.uuid} takes its place."
        self.assertEqual(sentence, self.present(older).status_message)


class EventsTest(base.DatabaseTestCase):
    def test_events_that_come_while_a_run_waits_join_it(self) -> None:
        event = AlarmMessage(
            source="aodh",
            payload={"severity": "low", "reason_data": [1, "\U0001f525"]},
            alarm_name="hot",
            alarm_id="a",
            severity="low",
            previous_state="ok",
            current_state="alarm",
            reason="too hot",
            request_id="req-1",
        )
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT)
            first = factories.accepted(session, audit.id, NOW, event)
            second = factories.accepted(session, audit.id, NOW, event)
            run = session.scalars(select(AuditRun)).one()
            row = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).first()
        self.assertEqual((run.id, run.id, 1), (first.run_id, second.run_id, run.coalesced_count))
        self.assertEqual((Decision.QUEUED, Decision.COALESCED), (first.decision, second.decision))
        self.assertEqual(first.uuid, row.uuid)
        for field in ("alarm_name", "alarm_id", "severity", "reason", "request_id"):
            self.assertEqual(getattr(event, field), getattr(row, field))
        self.assertIn("reason_data", row.payload)
