# SPDX-License-Identifier: Apache-2.0
"""What is written of an event, and of the run that it causes."""

import datetime
from typing import Any

from sqlalchemy import select

from watcher.common.errors import NotFound
from watcher.common.event import Event
from watcher.common.states import AuditType, Decision, RunState
from watcher.common.webhook import Facts
from watcher.db import claims, events, models, runs, webhooks
from watcher.db.events import Recorded
from watcher.db.models import AuditEvent, AuditRun
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
SECOND = datetime.timedelta(seconds=1)
LEASE = claims.Lease("engine-1", "host-1", 30 * SECOND)
REPEATED = Event(source="generic", delivery="key:1")


class EventTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT, name="a")
            self.audit_id, self.uuid = audit.id, audit.uuid or ""

    def facts(self, now: datetime.datetime = NOW, cap: int = 3, ident: str = "a") -> Facts:
        with self.database.reader() as session:
            return webhooks.facts(session, ident, now, "none", cap)

    def post(
        self, now: datetime.datetime = NOW, event: Event | None = None, cap: int = 3, **given: Any
    ) -> Recorded:
        facts = self.facts(now, cap)
        return self.database.write(
            lambda session: events.accept(
                session, facts, event or Event(source="generic"), given, now
            )
        )

    def refuse(
        self, decision: str, reason: str, event: Event | None = None, cap: int = 3
    ) -> Recorded:
        facts = self.facts(cap=cap)
        return self.database.write(
            lambda session: events.refuse(
                session, facts, event or Event(source="generic"), decision, reason, NOW
            )
        )

    def rows(self) -> list[AuditEvent]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))

    def runs(self) -> list[AuditRun]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditRun).order_by(AuditRun.id)))

    def carry_out(self, now: datetime.datetime = NOW) -> AuditRun:
        """The run that waits, from its claim to its end."""
        run = self.claim(now)
        self.finish(run, now)
        return run

    def claim(self, now: datetime.datetime = NOW) -> AuditRun:
        def work(session: Any) -> AuditRun:
            waiting = runs.waiting(session, self.audit_id)
            assert waiting is not None
            run = claims.claim(session, waiting.id, LEASE, now)
            assert run is not None
            return run

        return self.database.write(work)

    def finish(self, run: AuditRun, now: datetime.datetime = NOW) -> None:
        self.database.write(lambda session: claims.finish(session, run, RunState.SUCCEEDED, now))


class FactsTest(EventTestCase):
    def test_an_audit_without_a_webhook_has_the_defaults(self) -> None:
        for ident in ("a", self.uuid, self.uuid.upper(), self.uuid.replace("-", "")):
            facts = self.facts(ident=ident)
            self.assertEqual((self.audit_id, self.uuid), (facts.audit_id, facts.audit_uuid))
            self.assertEqual(("none", 0, False), (facts.auth, facts.debounce, facts.paused))
            self.assertEqual((None, None), (facts.waiting_id, facts.full_until))

    def test_there_is_no_such_audit(self) -> None:
        for ident in (str(self.audit_id), "b", models.new_uuid()):
            self.assertRaises(NotFound, self.facts, ident=ident)

    def test_the_settings_of_the_webhook(self) -> None:
        spec = {"properties": {"node": {"type": "string"}}}
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session), parameters_spec=spec)
            audit = factories.audit(
                session, strategy=strategy, audit_type=AuditType.EVENT, parameters={"node": "x"}
            )
            session.add(
                models.Webhook(
                    audit_id=audit.id, auth="secret", debounce=5, parameters={"node": "host"}
                )
            )
            name = audit.name or ""
        facts = self.facts(ident=name)
        self.assertEqual(("secret", 5), (facts.auth, facts.debounce))
        self.assertEqual(
            ({"node": "host"}, {"node": "x"}, spec),
            (facts.mapping, facts.own_parameters, facts.schema),
        )

    def test_the_minute_is_full_until_its_oldest_event_is_a_minute_old(self) -> None:
        for seconds in (0, 10, 20):
            self.assertIsNone(self.facts(NOW + seconds * SECOND).full_until)
            self.post(NOW + seconds * SECOND)
        self.assertEqual(NOW + 60 * SECOND, self.facts(NOW + 59 * SECOND).full_until)
        self.assertIsNone(self.facts(NOW + 60 * SECOND).full_until)


class RepetitionTest(EventTestCase):
    def test_counts_on_the_first_row(self) -> None:
        first = self.post(event=REPEATED)
        self.carry_out()
        again = self.post(event=REPEATED)
        self.assertEqual((True, first.event_uuid), (again.repeated, again.event_uuid))
        [row] = self.rows()
        self.assertEqual((2, 1), (row.deliveries, len(self.runs())))

    def test_is_known_beyond_what_is_recorded(self) -> None:
        self.post(event=REPEATED, cap=1)
        self.assertTrue(self.post(event=REPEATED, cap=1).repeated)

    def test_of_another_audit_is_another_message(self) -> None:
        with self.database.writer() as session:
            other = factories.audit(session, audit_type=AuditType.EVENT)
            factories.accepted(session, other.id, NOW, REPEATED)
        self.assertFalse(self.post(event=REPEATED).repeated)

    def test_of_a_rejected_event_is_decided_anew(self) -> None:
        self.refuse(Decision.REJECTED, "audit_suspended", REPEATED)
        self.assertEqual(Decision.QUEUED, self.post(event=REPEATED).decision)
        again = self.refuse(Decision.REJECTED, "audit_suspended", REPEATED)
        self.assertEqual((True, Decision.QUEUED), (again.repeated, again.decision))

    def test_of_an_ignored_event_is_ignored(self) -> None:
        self.refuse(Decision.IGNORED, "paused", REPEATED)
        self.assertEqual(Decision.IGNORED, self.post(event=REPEATED).decision)
        self.assertEqual([], self.runs())


class StormTest(EventTestCase):
    def test_beyond_what_is_recorded_only_the_count_grows(self) -> None:
        for _ in range(10):
            self.post()
        [run] = self.runs()
        self.assertEqual((3, 9), (len(self.rows()), run.coalesced_count))
        self.assertTrue(events.covered(self.facts(), {}))

    def test_a_run_that_follows_waits_until_the_minute_is_over(self) -> None:
        for _ in range(3):
            self.post()
        self.carry_out()
        self.assertFalse(events.covered(self.facts(NOW + SECOND), {}))
        followed = self.post(NOW + SECOND)
        self.assertEqual(Decision.QUEUED, followed.decision)
        self.post(NOW + 2 * SECOND)
        run = self.runs()[-1]
        self.assertEqual((NOW + 60 * SECOND, 1), (run.not_before, run.coalesced_count))
        self.assertEqual(4, len(self.rows()), "a run has an event that it came from")

    def test_what_is_refused_fills_the_minute_too(self) -> None:
        for _ in range(10):
            self.refuse(Decision.IGNORED, "paused")
        self.assertEqual(3, len(self.rows()))
        self.assertEqual(NOW + 60 * SECOND, events.due(self.facts(), NOW))

    def test_parameters_that_are_new_are_recorded_nevertheless(self) -> None:
        for _ in range(4):
            self.post(node="a")
        self.assertTrue(events.covered(self.facts(), {"node": "a"}))
        self.assertFalse(events.covered(self.facts(), {"node": "b"}))
        self.assertIsNotNone(self.post(node="b").event_uuid)
        self.assertIsNone(self.post(node="b").event_uuid)


class DebounceTest(EventTestCase):
    def test_begins_with_the_first_event(self) -> None:
        with self.database.writer() as session:
            session.add(models.Webhook(audit_id=self.audit_id, debounce=30))
        self.post()
        self.post(NOW + 10 * SECOND)
        [run] = self.runs()
        self.assertEqual(NOW + 30 * SECOND, run.not_before)


class ParametersTest(EventTestCase):
    def test_each_set_gets_a_run_the_oldest_first(self) -> None:
        for node in ("a", "b", "a", "A", "b"):
            self.post(cap=60, node=node)
        ran = [self.carry_out().parameters for _ in range(3)]
        self.assertEqual([{"node": node} for node in ("a", "b", "A")], ran)
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

    def test_one_is_not_true(self) -> None:
        self.assertFalse(events.same({"a": 1}, {"a": True}))
        self.assertTrue(events.same({"a": 1, "b": None}, {"b": None, "a": 1}))
        self.assertTrue(events.same(None, {}))
