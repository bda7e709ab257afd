# SPDX-License-Identifier: Apache-2.0
"""The one route of an event: look, decide, append."""

import contextlib
import datetime
import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import fixtures
from oslo_db.exception import DBConnectionError, DBDataError, DBDuplicateEntry
from sqlalchemy import func, select

from watcher.api.intake import Delivery, Intake, IntakeResult
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.alarms import AlarmMessage, WebhookFacts
from watcher.common.errors import NotFound, Unauthorized
from watcher.common.states import AuditState, AuditType, Decision
from watcher.db import events
from watcher.db.models import Audit, AuditEvent, AuditRun, Webhook
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, round_trips
from watcher.webhooks import admission

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
REPEATED = {"delivery": "key:1"}


def pass_all(facts: WebhookFacts) -> None:
    """Nobody is asked for anything."""


class IntakeTestCase(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("max_recorded_per_minute", 3, group="webhooks")
        with self.database.writer() as session:
            spec = {"properties": {"n": {"type": "string"}}}
            strategy = factories.strategy(session, factories.goal(session), parameters_spec=spec)
            for name in "ab":
                factories.audit(session, strategy=strategy, audit_type=AuditType.EVENT, name=name)
        # A slow machine must not see the counts written by themselves.
        self.useFixture(fixtures.MonkeyPatch("watcher.api.unrecorded._PAUSE", 3600.0))
        self.unrecorded = UnrecordedEvents(self.database)
        self.addCleanup(self.unrecorded.stop)
        self.intake = Intake(self.conf, self.database, self.unrecorded)

    def delivery(self, name: str = "a", certain: bool = True, **values: Any) -> Delivery:
        return Delivery(name, AlarmMessage("generic", **values), NOW, lambda facts: certain)

    def post(
        self, name: str = "a", check: Callable[[WebhookFacts], None] = pass_all, **values: Any
    ) -> IntakeResult:
        return self.intake.receive(self.delivery(name, check is pass_all, **values), check)

    def rows(self) -> list[AuditEvent]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditEvent).order_by(AuditEvent.id)))

    def set_audits(self, state: str) -> None:
        with self.database.writer() as session:
            for audit in session.scalars(select(Audit)):
                audit.state = state


class ReceiveTest(IntakeTestCase):
    def test_an_event_is_accepted_and_nothing_else_is_written(self) -> None:
        outcome = self.post("b")
        [row] = self.rows()
        self.assertEqual(
            (Decision.ACCEPTED, row.uuid, row.audit_id, row.audit_id),
            (outcome.decision, outcome.event_uuid, outcome.facts.audit_id, row.inbox),
        )
        with self.database.reader() as session:
            self.assertEqual(0, session.scalar(select(func.count(AuditRun.id))))

    def test_a_recorded_event_takes_two_or_three_statements(self) -> None:
        executed = round_trips(self.database)
        for delivery, number in ((None, 2), ("x", 3)):
            executed.clear()
            self.post(delivery=delivery)
            self.assertEqual(number, len(executed))

    def test_an_engine_is_rung_for_when_nothing_waits_yet(self) -> None:
        self.assertEqual([True, False], [self.post().needs_doorbell for _ in range(2)])
        factories.take(self.database)
        self.assertFalse(self.post().needs_doorbell)

    def test_who_is_not_let_in_leaves_nothing(self) -> None:
        def check(facts: WebhookFacts) -> None:
            raise Unauthorized("no", "Basic")

        self.assertRaises(Unauthorized, self.post, check=check)
        self.assertRaises(NotFound, self.post, "nobody")
        self.assertEqual([], self.rows())

    def test_what_takes_longer_is_decided_about_apart_from_others(self) -> None:
        with self.database.writer() as session:
            audit = session.scalars(select(Audit).where(Audit.name == "b")).one()
            session.add(Webhook(audit_id=audit.id, filter="n == `1`"))
        connect, decide = self.database.connection, admission.decide
        in_use, while_deciding = list[Any](), list[int]()

        @contextlib.contextmanager
        def connection(writes: bool = False) -> Iterator[Any]:
            with connect(writes) as opened:
                in_use.append(opened)
                yield opened
                in_use.remove(opened)

        def spy(*facts: Any) -> Any:
            while_deciding.append(len(in_use))
            return decide(*facts)

        self.useFixture(fixtures.MockPatchObject(self.database, "connection", connection))
        self.useFixture(fixtures.MockPatchObject(admission, "decide", spy))
        self.post()
        self.post(check=lambda facts: None)
        decisions = [self.post("b", payload={"n": n}).decision for n in (1, 2)]
        self.assertEqual([1, 0, 0, 0], while_deciding)
        self.assertEqual([Decision.ACCEPTED, Decision.IGNORED], decisions)

    def test_each_recorded_delivery_is_logged_with_its_ids(self) -> None:
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        again = {"request_id": "of-again", **REPEATED}
        results = [
            self.post(request_id="of-a"),
            self.post("b", lambda facts: None, request_id="of-b"),
            self.post(**again),
            self.post(**again),
        ]
        said = ("ACCEPTED", "ACCEPTED", "ACCEPTED", "ACCEPTED, delivered again")
        expected = [
            f"Event {result.event_uuid}: {what}, audit {result.facts.audit_uuid}, "
            f"source generic, request '{result.message.request_id}'"
            for result, what in zip(results, said, strict=True)
        ]
        self.assertEqual(expected, log.output.splitlines())

    def test_an_event_that_the_database_refuses_fails_alone(self) -> None:
        append = events.append

        def fussy(connection: Any, rows: Any) -> None:
            if any(row["reason"] == "bad" for row in rows):
                raise DBDataError("bad")
            append(connection, rows)

        self.useFixture(fixtures.MockPatchObject(events, "append", fussy))
        self.post("b")
        self.assertRaises(DBDataError, self.post, reason="bad")
        self.assertEqual(1, len(self.rows()))


class RepetitionTest(IntakeTestCase):
    def test_counts_on_the_first_row(self) -> None:
        first, again = self.post(**REPEATED), self.post(**REPEATED)
        self.assertEqual((True, first.event_uuid), (again.repeated, again.event_uuid))
        self.unrecorded.stop()
        self.assertEqual([2], [row.deliveries for row in self.rows()])

    def test_is_counted_when_the_database_answers_again(self) -> None:
        for _ in range(3):
            self.post(**REPEATED)
        with mock.patch.object(self.database, "write", side_effect=DBConnectionError("gone")):
            self.assertFalse(self.unrecorded.flush())
        self.unrecorded.stop()
        self.assertEqual([3], [row.deliveries for row in self.rows()])

    def test_one_that_comes_at_the_same_time_does_too(self) -> None:
        append = events.append
        others: list[Delivery] = []
        checked: list[str] = []

        def late(connection: Any, rows: Any) -> None:
            if others:
                connection.rollback()
                self.intake.receive(others.pop(), pass_all)
                raise DBDuplicateEntry
            append(connection, rows)

        self.useFixture(fixtures.MockPatchObject(events, "append", late))
        self.intake = Intake(self.conf, self.database, self.unrecorded, max_wait=0)
        for name, check in (("a", pass_all), ("b", lambda facts: checked.append("b"))):
            others.append(self.delivery(name, **REPEATED))
            self.assertTrue(self.post(name, check, **REPEATED).repeated)
        self.unrecorded.stop()
        self.assertEqual([2, 2], [row.deliveries for row in self.rows()])
        self.assertEqual(["b"], checked)

    def test_is_known_beyond_what_is_recorded(self) -> None:
        self.post(**REPEATED)
        for _ in range(5):
            self.post()
        self.assertTrue(self.post(**REPEATED).repeated)
        self.assertIsNone(self.post(delivery="key:2").event_uuid)

    def test_of_another_audit_is_another_message(self) -> None:
        self.post("b", **REPEATED)
        self.assertFalse(self.post(**REPEATED).repeated)

    def test_of_a_rejected_event_is_decided_anew(self) -> None:
        self.set_audits(AuditState.SUSPENDED)
        self.assertEqual(Decision.REJECTED, self.post(**REPEATED).decision)
        self.set_audits(AuditState.PENDING)
        self.assertEqual(Decision.ACCEPTED, self.post(**REPEATED).decision)
        factories.take(self.database)
        self.set_audits(AuditState.SUSPENDED)
        again = self.post(**REPEATED)
        self.assertEqual((True, Decision.QUEUED), (again.repeated, again.decision))


class StormTest(IntakeTestCase):
    def test_what_waits_in_the_inbox_covers_what_comes(self) -> None:
        for _ in range(10):
            outcome = self.post()
        self.assertEqual((Decision.COALESCED, None), (outcome.decision, outcome.event_uuid))
        self.assertEqual(3, len(self.rows()))
        self.unrecorded.flush()
        factories.take(self.database, 3)
        self.unrecorded.flush()
        self.assertEqual([9], self.coalesced())

    def test_so_does_the_run_that_waits(self) -> None:
        for _ in range(3):
            self.post()
        factories.take(self.database, 3)
        executed = round_trips(self.database)
        self.assertIsNone(self.post().event_uuid)
        self.assertEqual(1, len(executed))
        self.unrecorded.flush()
        self.assertEqual([3], self.coalesced())

    def test_what_is_refused_fills_the_minute_too(self) -> None:
        self.set_audits(AuditState.SUSPENDED)
        for _ in range(10):
            self.assertEqual(Decision.REJECTED, self.post().decision)
        self.assertEqual(3, len(self.rows()))

    def test_parameters_that_are_new_are_recorded_nevertheless(self) -> None:
        with self.database.writer() as session:
            for audit in session.scalars(select(Audit)):
                session.add(Webhook(audit_id=audit.id, auth="secret", parameters={"n": "n"}))

        def posted(node: str) -> bool:
            return self.post(payload={"n": node}).event_uuid is not None

        self.assertEqual([True] * 3 + [False], [posted("a") for _ in range(4)])
        self.assertEqual([True, False, False], [posted(node) for node in "bba"])

    def coalesced(self) -> list[int]:
        with self.database.reader() as session:
            return list(session.scalars(select(AuditRun.coalesced_count)))
