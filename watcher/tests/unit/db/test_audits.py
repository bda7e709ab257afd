# SPDX-License-Identifier: Apache-2.0
import datetime

from sqlalchemy import select

from watcher.common.errors import Conflict, Invalid, NotFound
from watcher.common.states import AuditState, AuditType, RunState
from watcher.db import audits, models, runs
from watcher.db.models import Audit, AuditRun
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0)
HOUR = datetime.timedelta(hours=1)


class AuditsTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            self.goal_id = factories.goal(session).id

    def create(self, **values):
        audit = Audit(**({"name": "a", "goal_id": self.goal_id} | values))
        return self.database.write(lambda session: audits.create(session, audit, NOW))

    def change(self, now=NOW, **changes):
        with self.database.writer() as session:
            audits.change(session, audits.get(session, "a"), changes, now)

    def delete(self):
        with self.database.writer() as session:
            audits.delete(session, audits.get(session, "a"), NOW)

    def runs(self):
        with self.database.reader() as session:
            rows = session.scalars(select(AuditRun).order_by(AuditRun.id)).all()
            return [(row.state, row.not_before) for row in rows]

    def put(self, state):
        """The engine's doing."""
        with self.database.writer() as session:
            audits.get(session, "a").state = state

    def state(self):
        with self.database.reader() as session:
            return session.scalars(select(Audit.state)).one()


class TestCreate(AuditsTestCase):
    def test_a_oneshot_audit_is_queued_at_once(self):
        self.create(audit_type=AuditType.ONESHOT)
        self.assertEqual([(RunState.QUEUED, NOW)], self.runs())

    def test_a_continuous_audit_is_queued_for_its_first_time(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="0 * * * *")
        self.assertEqual([(RunState.QUEUED, NOW + HOUR)], self.runs())

    def test_seconds_count_from_the_start_time(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="60", start_time=NOW + HOUR)
        self.assertEqual([(RunState.QUEUED, NOW + HOUR)], self.runs())
        with self.database.reader() as session:
            self.assertEqual(NOW + HOUR, audits.get(session, "a").next_run_time)

    def test_the_end_time_has_a_run_that_ends_the_audit(self):
        end = NOW + HOUR / 2
        self.create(audit_type=AuditType.CONTINUOUS, interval="0 * * * *", end_time=end)
        self.assertEqual([(RunState.QUEUED, end)], self.runs())

    def test_an_event_audit_gets_a_webhook_and_no_run(self):
        audit = self.create(audit_type=AuditType.EVENT)
        self.assertEqual([], self.runs())
        with self.database.reader() as session:
            self.assertEqual([audit.id], session.scalars(select(models.Webhook.audit_id)).all())

    def test_a_name_is_taken_once_among_the_living(self):
        self.create(audit_type=AuditType.EVENT)
        error = self.assertRaises(Conflict, self.create, audit_type=AuditType.EVENT)
        self.assertIn("name", str(error))
        self.put(AuditState.FAILED)
        self.delete()
        self.create(audit_type=AuditType.EVENT)


class TestGet(AuditsTestCase):
    def test_by_uuid_or_name_but_not_by_number(self):
        audit = self.create(audit_type=AuditType.EVENT)
        with self.database.reader() as session:
            for ident in ("a", audit.uuid, audit.uuid.upper(), audit.uuid.replace("-", "")):
                self.assertEqual(audit.id, audits.get(session, ident).id)
            for ident in (str(audit.id), "b", models.new_uuid()):
                self.assertRaises(NotFound, audits.get, session, ident)


class TestChange(AuditsTestCase):
    def test_what_a_user_may_do_to_a_state(self):
        self.create(audit_type=AuditType.EVENT)
        allowed = {
            (AuditState.PENDING, AuditState.CANCELLED),
            (AuditState.ONGOING, AuditState.CANCELLED),
            (AuditState.ONGOING, AuditState.SUSPENDED),
            (AuditState.SUSPENDED, AuditState.ONGOING),
        }
        for before in AuditState.ALL:
            for after in AuditState.ALL:
                self.put(before)
                if (before, after) in allowed:
                    self.change(state=after)
                    self.assertEqual(after, self.state())
                else:
                    error = self.assertRaises(Invalid, self.change, state=after)
                    self.assertIn("State transition not allowed", str(error))
                    self.assertEqual(before, self.state())
        self.assertRaises(Invalid, self.change, state="BORED")

    def test_a_late_change_gets_the_present_state(self):
        self.create(audit_type=AuditType.EVENT)
        with self.database.writer() as session:
            audit = audits.get(session, "a")
            audits.change(session, audit, {"state": AuditState.CANCELLED}, NOW)
            again = {"state": AuditState.CANCELLED}
            error = self.assertRaises(Invalid, audits.change, session, audit, again, NOW)
        self.assertIn("not allowed: CANCELLED -> CANCELLED", str(error))

    def test_a_refused_state_takes_all_changes_with_it(self):
        self.create(audit_type=AuditType.EVENT)
        self.assertRaises(Invalid, self.change, state=AuditState.SUCCEEDED, auto_trigger=True)
        with self.database.reader() as session:
            self.assertFalse(audits.get(session, "a").auto_trigger)

    def test_cancelling_ends_the_waiting_run(self):
        self.create(audit_type=AuditType.ONESHOT)
        self.change(state=AuditState.CANCELLED)
        self.assertEqual([(RunState.CANCELLED, NOW)], self.runs())

    def test_suspending_leaves_the_waiting_run(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="3600")
        self.put(AuditState.ONGOING)
        self.change(state=AuditState.SUSPENDED)
        self.change(state=AuditState.ONGOING)
        self.assertEqual([(RunState.QUEUED, NOW)], self.runs())

    def test_resuming_queues_a_run_if_there_is_none(self):
        audit = self.create(audit_type=AuditType.CONTINUOUS, interval="3600")
        self.put(AuditState.SUSPENDED)
        with self.database.writer() as session:
            runs.cancel_waiting(session, AuditRun.audit_id == audit.id, NOW, "lost")
        self.change(state=AuditState.ONGOING, now=NOW + HOUR)
        self.assertEqual([(RunState.CANCELLED, NOW), (RunState.QUEUED, NOW + HOUR)], self.runs())

    def test_a_new_interval_counts_from_now(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="60")
        self.put(AuditState.ONGOING)
        self.change(interval="3600")
        self.assertEqual([(RunState.QUEUED, NOW + HOUR)], self.runs())

    def test_an_audit_that_never_ran_keeps_its_first_time(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="60", start_time=NOW + HOUR)
        self.change(interval="30")
        self.assertEqual([(RunState.QUEUED, NOW + HOUR)], self.runs())
        self.change(start_time=NOW + 2 * HOUR)
        self.assertEqual([(RunState.QUEUED, NOW + 2 * HOUR)], self.runs())
        self.change(start_time=None)
        self.assertEqual([(RunState.QUEUED, NOW)], self.runs())

    def test_an_end_time_comes_and_goes(self):
        self.create(audit_type=AuditType.CONTINUOUS, interval="0 * * * *")
        self.change(end_time=NOW + HOUR / 2)
        self.assertEqual([(RunState.QUEUED, NOW + HOUR / 2)], self.runs())
        self.change(end_time=None)
        self.assertEqual([(RunState.QUEUED, NOW + HOUR)], self.runs())

    def test_an_interval_of_another_audit_schedules_nothing(self):
        self.create(audit_type=AuditType.ONESHOT)
        self.change(interval="3600", end_time=NOW + HOUR)
        self.assertEqual([(RunState.QUEUED, NOW)], self.runs())

    def test_a_taken_name_is_a_conflict(self):
        self.create(audit_type=AuditType.EVENT, name="b")
        self.create(audit_type=AuditType.EVENT)
        self.assertRaises(Conflict, self.change, name="b")
        self.change(name="a")


class TestDelete(AuditsTestCase):
    def test_only_what_no_longer_runs(self):
        self.create(audit_type=AuditType.ONESHOT)
        for state in (AuditState.PENDING, AuditState.ONGOING):
            self.put(state)
            error = self.assertRaises(Invalid, self.delete)
            self.assertIn("Couldn't delete when state is", str(error))
        self.put(AuditState.SUSPENDED)
        with self.database.writer() as session:
            audit = audits.get(session, "a")
            audits.delete(session, audit, NOW)
            self.assertRaises(NotFound, audits.delete, session, audit, NOW)
        self.assertEqual(AuditState.DELETED, self.state())
        self.assertEqual([(RunState.CANCELLED, NOW)], self.runs())
        with self.database.reader() as session:
            self.assertRaises(NotFound, audits.get, session, "a")


class TestAutomatic(AuditsTestCase):
    def create(self, **values):
        return super().create(**({"audit_type": AuditType.EVENT, "auto_trigger": True} | values))

    def test_those_that_start_plans_again_and_again(self):
        self.create(name="e")
        self.create(name="c", audit_type=AuditType.CONTINUOUS, interval="60")
        self.create(name="once", audit_type=AuditType.ONESHOT)
        self.create(name="asks", auto_trigger=False)
        self.create(name="a")
        self.put(AuditState.CANCELLED)
        self.delete()
        self.create(name="a")
        self.put(AuditState.SUSPENDED)
        with self.database.reader() as session:
            found = audits.automatic(session)
        self.assertEqual(["e", "c"], [audit.name for audit in found])
        self.assertEqual([(self.goal_id, None)] * 2, [(a.goal.id, a.strategy) for a in found])
