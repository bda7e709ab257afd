# SPDX-License-Identifier: Apache-2.0
"""Requests to the webhook, down to the rows that they leave behind."""

import datetime
import json
import logging
import pathlib
from unittest import mock

import fixtures
import webob
from oslo_db import exception as db_exception
from oslo_utils import timeutils
from sqlalchemy import select

from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import counters
from watcher.db.models import Audit, AuditEvent, AuditRun
from watcher.tests import base, factories
from watcher.tests.functional import stories

CAPTURES = sorted((pathlib.Path(__file__).parent / "captures").glob("aodh-*.json"))


class WebhookTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = stories.Api()
        self.api.start_fixture()
        self.addCleanup(self.api.stop_fixture)
        with self.api.database.writer() as session:
            self.uuid = factories.audit(session, name="a", audit_type=AuditType.EVENT).uuid

    def post(self, body=b"", ident="a", headers=(), **environ):
        request = webob.Request.blank(f"/v1/webhooks/{ident}", method="POST", **environ)
        request.content_type = ""
        request.headers.update(headers)
        request.body = body
        return request.get_response(stories.application())

    def rows(self):
        factories.take(self.api.database)
        with self.api.database.reader() as session:
            events = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
            runs = session.scalars(select(AuditRun).order_by(AuditRun.id)).all()
        return events, runs


class TestCaptures(WebhookTestCase):
    def test_what_aodh_posts_becomes_an_event(self):
        self.assertEqual(11, len(CAPTURES))
        for path in CAPTURES:
            capture = json.loads(path.read_text())
            _method, target, _protocol = capture["request_line"].split()
            query = target.partition("?")[2]
            headers = dict(capture["headers"])
            response = self.post(capture["body_text"].encode(), f"{self.uuid}?{query}", headers)
            self.assertEqual((202, b""), (response.status_int, response.body), path.name)
            self.assertNotIn("content-type", response.headers)
            event, body = self.rows()[0][-1], capture["body"]
            self.assertEqual(
                (
                    "aodh",
                    body["alarm_name"],
                    body["alarm_id"],
                    body["severity"],
                    body["previous"],
                    body["current"],
                    body["reason"],
                    {name.lower(): value for name, value in headers.items()}[
                        "x-openstack-request-id"
                    ],
                    body,
                ),
                (
                    event.source,
                    event.alarm_name,
                    event.alarm_id,
                    event.severity,
                    event.previous_state,
                    event.current_state,
                    event.reason,
                    event.request_id,
                    json.loads(event.payload),
                ),
            )
            self.assertNotEqual(event.request_id, response.headers["x-openstack-request-id"])
        self.assertEqual([self.uuid], self.api.decision_engine.rung)


class TestQueue(WebhookTestCase):
    def test_the_first_event_queues_a_run_that_the_others_join(self):
        for _ in range(3):
            self.assertEqual(202, self.post().status_int)
        events, [run] = self.rows()
        self.assertEqual(
            [Decision.QUEUED, Decision.COALESCED, Decision.COALESCED],
            [event.decision for event in events],
        )
        self.assertEqual({run.id}, {event.run_id for event in events})
        self.assertEqual((RunState.QUEUED, 2), (run.state, run.coalesced_count))
        self.assertEqual([self.uuid], self.api.decision_engine.rung)

    def test_any_media_type_and_any_json_will_do(self):
        for media_type in ("", "text/plain", "application/x-www-form-urlencoded", "a/b; c=d"):
            for body in (b"", b" \n", b"null", b"5", b'"x"', b"[]", '{"ä": "☃"}'.encode()):
                response = self.post(body, headers={"Content-Type": media_type})
                self.assertEqual(202, response.status_int, (media_type, body, response.body))

    def test_outside_of_its_time_an_audit_ignores_events(self):
        with self.api.database.writer() as session:
            factories.audit(
                session,
                name="over",
                audit_type=AuditType.EVENT,
                end_time=datetime.datetime(2020, 1, 1),
            )
        self.assertEqual(202, self.post(ident="over").status_int)
        [event], runs = self.rows()
        self.assertEqual(
            (Decision.IGNORED, "outside_window"), (event.decision, event.decision_reason)
        )
        self.assertEqual([], runs)
        self.assertEqual([], self.api.decision_engine.rung)


class TestRefusals(WebhookTestCase):
    def refused(self, status, word, *args, **kwargs):
        response = self.post(*args, **kwargs)
        self.assertEqual(status, response.status_int, response.body)
        fault = json.loads(response.json["error_message"])
        self.assertIn(word, fault["faultstring"])
        self.assertEqual(([], []), self.rows())
        self.assertEqual([], self.api.decision_engine.rung)

    def test_bodies_that_are_not_json(self):
        for body in (b"{", b"a=b", b"\xff\xfe", b"\x00", b"nope", b'{"a":1}{}'):
            self.refused(400, "JSON", body)
        for body in (b"NaN", b'{"a": [Infinity]}', b"-Infinity", b"1e999", b"9" * 5000):
            self.refused(400, "", body)

    def test_bodies_that_are_too_deep(self):
        self.refused(400, "deep", b"[" * 100_000)
        self.refused(400, "deep", b"[" * 100_000 + b"]" * 100_000)
        self.refused(400, "deep", b"[" * 101 + b"]" * 101)
        self.refused(400, "deep", b'{"a":' * 5000 + b"1" + b"}" * 5000)

    def test_bodies_that_are_too_large(self):
        self.refused(400, "2097152", b'"' + b"x" * 10 * 2**20 + b'"')
        self.refused(400, "2097152", b'"' + b"x" * (2 * 2**20 - 1) + b'"')

    def test_the_largest_body(self):
        body = b'"' + b"x" * (2 * 2**20 - 2) + b'"'
        self.assertEqual(202, self.post(body).status_int)

    def test_audits_that_are_not_there(self):
        for ident in ("b", "1", "0ca2845e-c142-4d4b-a346-e495553628ce", "a%2Fb", "%00"):
            response = self.post(ident=ident)
            self.assertIn(response.status_int, (400, 404))
            self.assertEqual(ident == "%00", response.status_int == 400)

    def test_audits_that_take_no_events(self):
        with self.api.database.writer() as session:
            for name, audit_type, state in (
                ("oneshot", AuditType.ONESHOT, AuditState.PENDING),
                ("continuous", AuditType.CONTINUOUS, AuditState.ONGOING),
                ("cancelled", AuditType.EVENT, AuditState.CANCELLED),
                ("suspended", AuditType.EVENT, AuditState.SUSPENDED),
            ):
                factories.audit(session, name=name, audit_type=audit_type, state=state)
        for name, reason in (
            ("oneshot", "wrong_type"),
            ("continuous", "wrong_type"),
            ("cancelled", "audit_cancelled"),
            ("suspended", "audit_suspended"),
        ):
            self.assertEqual(400, self.post(ident=name).status_int)
            events, runs = self.rows()
            self.assertEqual(
                (Decision.REJECTED, reason, None),
                (events[-1].decision, events[-1].decision_reason, events[-1].run_id),
            )
            self.assertEqual([], runs)
        self.assertEqual([], self.api.decision_engine.rung)


class TestStorm(WebhookTestCase):
    def setUp(self):
        super().setUp()
        # A slow machine must not see the minute pass, nor the counts written by themselves.
        now = timeutils.utcnow()
        self.useFixture(fixtures.MonkeyPatch("oslo_utils.timeutils.utcnow", lambda: now))
        self.useFixture(fixtures.MonkeyPatch("watcher.api.unrecorded._PAUSE", 3600.0))
        for _ in range(60):
            self.assertIn("Location", self.post().headers)

    def test_a_covered_event_takes_one_statement(self):
        executed = base.round_trips(self.api.database)
        self.assertEqual(202, self.post().status_int)
        self.assertEqual(1, len(executed))

    def test_covered_events_are_counted_a_little_later(self):
        for _ in range(5):
            self.assertNotIn("Location", self.post().headers)
        self.assertTrue(self.api.unrecorded.flush())
        self.rows()
        self.assertTrue(self.api.unrecorded.flush())
        self.assertEqual([64], [run.coalesced_count for run in self.rows()[1]])
        self.assertEqual([self.uuid], self.api.decision_engine.rung)
        self.assertEqual({"QUEUED": 1, "COALESCED": 64}, self.counted())

    def test_refused_events_are_counted_too(self):
        with self.api.database.writer() as session:
            session.scalars(select(Audit)).one().state = AuditState.SUSPENDED
        log = self.useFixture(fixtures.FakeLogger("watcher.api", level=logging.INFO))
        for _ in range(5):
            self.assertEqual(400, self.post().status_int)
        self.assertEqual("", log.output)
        self.assertTrue(self.api.unrecorded.flush())
        self.assertEqual(60, len(self.rows()[0]))
        counts = {"QUEUED": 1, "COALESCED": 59, "REJECTED audit_suspended": 5}
        self.assertEqual(counts, self.counted())
        self.assertEqual(
            f"5 unrecorded events: REJECTED (audit_suspended), audit {self.uuid}, source generic\n",
            log.output,
        )

    def counted(self):
        """What the metric of events says, by decision and reason."""
        with self.api.database.reader() as session:
            return {
                " ".join(filter(None, labels[2:])): number
                for labels, number in counters.totals(session).items()
                if labels[0] == counters.EVENTS
            }

    def test_counts_outlive_a_database_that_is_away(self):
        for _ in range(5):
            self.post()
        gone = db_exception.DBConnectionError("gone")
        with mock.patch.object(self.api.database, "write", side_effect=gone):
            self.assertFalse(self.api.unrecorded.flush())
        self.rows()
        self.api.unrecorded.stop()
        self.assertEqual([64], [run.coalesced_count for run in self.rows()[1]])

    def test_an_event_that_no_run_covers_queues_one(self):
        self.rows()
        with self.api.database.writer() as session:
            session.scalars(select(AuditRun)).one().state = RunState.ONGOING
        self.assertIn("Location", self.post().headers)
        _events, runs = self.rows()
        self.assertEqual([RunState.ONGOING, RunState.QUEUED], [run.state for run in runs])
        self.assertGreater(runs[1].not_before, runs[1].created_at)

    def test_a_repeated_delivery_differs_from_a_covered_event(self):
        self.uuid, first = "b", None
        with self.api.database.writer() as session:
            factories.audit(session, name="b", audit_type=AuditType.EVENT)
        for key in ("k", *[""] * 60, "k"):
            response = self.post(ident="b", headers={"Idempotency-Key": key} if key else {})
            first = first or response.location
        self.assertEqual(first, response.location)
        self.assertTrue(self.api.unrecorded.flush())
        with self.api.database.reader() as session:
            row = session.scalars(select(AuditEvent).where(AuditEvent.deliveries == 2)).one()
        self.assertIn(row.uuid, first)


class TestAway(WebhookTestCase):
    def test_without_its_database_it_says_when_to_come_again(self):
        gone = db_exception.DBConnectionError("Can't connect to mysql://watcher:secret@db")
        with mock.patch.object(self.api.database, "connection", side_effect=gone):
            response = self.post()
        self.assertEqual((503, "5"), (response.status_int, response.headers["Retry-After"]))
        self.assertNotIn("secret", response.text)
        self.assertEqual(([], []), self.rows())
        self.assertEqual([], self.api.decision_engine.rung)
