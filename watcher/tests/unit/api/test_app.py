# SPDX-License-Identifier: Apache-2.0
import json
import traceback
from typing import Any
from unittest import mock

from oslo_db import exception as db_errors
from webob import exc

from watcher.api import errors
from watcher.api.controllers.v1.installed import Goals
from watcher.common.errors import CloudRefused, CloudUnavailable, Unauthorized
from watcher.common.states import AuditType
from watcher.db import events
from watcher.db.errors import Unwritable, WrongSchema
from watcher.tests import factories
from watcher.tests.base import TestCase, round_trips
from watcher.tests.unit.api.fakes import ApiTestCase, build_api


class ErrorsTestCase(TestCase):
    def test_what_an_error_means(self) -> None:
        for error, status, sentence in (
            (Unauthorized("Who?", "Bearer"), 401, "Who?"),
            (CloudUnavailable("No nova."), 503, "No nova."),
            (CloudRefused("secret"), 500, errors.UNEXPECTED),
            (ValueError("secret"), 500, errors.UNEXPECTED),
            (db_errors.DBDataError(), 400, "A value is too long or too large to be stored."),
            (db_errors.DBDuplicateEntry(), 409, "Another object has this name"),
            (db_errors.DBConnectionError(), 503, "The database does not answer now"),
            (Unwritable(), 503, "cannot be written now"),
            (WrongSchema(), 503, "run watcher-db-manage upgrade"),
            (exc.HTTPRequestTimeout("Too slow."), 408, "Too slow."),
        ):
            response = errors.respond(error)
            self.assertEqual(status, response.status_int)
            self.assertEqual("application/json", response.content_type)
            fault = json.loads(response.json["error_message"])
            self.assertIn(sentence, fault["faultstring"])
            self.assertNotIn("secret", response.text)
            self.assertEqual("Client" if status < 500 else "Server", fault["faultcode"])
            self.assertIsNone(fault["debuginfo"])


class AppTestCase(ApiTestCase):
    def test_an_unexpected_error_shows_no_details(self) -> None:
        with mock.patch.object(Goals, "page", side_effect=RuntimeError("secret")):
            response = self.request("/v1/goals")
        self.assertEqual(500, response.status_int)
        self.assertNotIn("secret", response.text)
        self.assertIn("x-openstack-request-id", response.headers)

    def test_the_stack_from_an_alarm_to_its_row_is_short(self) -> None:
        with self.database.writer() as session:
            factories.audit(session, audit_type=AuditType.EVENT, name="a")
        own: list[str] = []
        append = events.append

        def record(connection: Any, rows: Any) -> None:
            stack = [frame.filename for frame in traceback.extract_stack()]
            own.extend(name for name in stack if "/watcher/" in name and "/tests/" not in name)
            append(connection, rows)

        with mock.patch.object(events, "append", record):
            self.assertEqual(202, self.request("/v1/webhooks/a", "POST").status_int)
        self.assertLessEqual(len(own) + 1, 12, own)

    def test_two_in_one_process(self) -> None:
        other = build_api(self.conf, self.database)
        first, self.application = self.application, other
        self.assertEqual(200, self.request("/v1/goals").status_int)
        self.application = first
        self.assertEqual(200, self.request("/v1/goals").status_int)

    def test_paths_are_utf8(self) -> None:
        with self.database.writer() as session:
            factories.goal(session, name="Zoë")
        self.assertEqual("Zoë", self.request("/v1/goals/Zo%C3%AB").json["name"])
        for path in ("/v1/goals/%ff", "/v1/goals?sort_key=%ff", "/v1/goals?%00=1"):
            self.assertEqual(400, self.request(path).status_int, path)

    def test_a_body_beyond_the_limit(self) -> None:
        response = self.request(
            "/v1/audit_templates", "POST", body=b" " * 200_000, content_type="application/json"
        )
        self.assertEqual(413, response.status_int)
        self.assertIn("114688 bytes", response.text)

    def test_nothing_to_ask_without_a_decision_engine(self) -> None:
        with self.database.writer() as session:
            factories.strategy(session, factories.goal(session), name="dummy")
        self.assertEqual(503, self.request("/v1/strategies/dummy/state").status_int)

    def test_empty_answers_have_no_body_and_no_type(self) -> None:
        with self.database.writer() as session:
            factories.goal(session, name="dummy")
        template = {"name": "x", "goal": "dummy"}
        self.assertEqual(201, self.request("/v1/audit_templates", "POST", json=template).status_int)
        response = self.request("/v1/audit_templates/x", "DELETE", accept="text/html")
        self.assertEqual((204, b""), (response.status_int, response.body))
        self.assertNotIn("Content-Type", response.headers)


class StatementsTestCase(ApiTestCase):
    """A list takes as many statements for a hundred rows as for one."""

    def test_lists_look_nothing_up_for_a_row(self) -> None:
        self._grow(1)
        few = self._statements()
        self._grow(30)
        self.assertEqual(few, self._statements())

    def _grow(self, number: int) -> None:
        with self.database.writer() as session:
            for _ in range(number):
                goal = factories.goal(session)
                strategy = factories.strategy(session, goal)
                audit = factories.audit(session, goal, strategy)
                plan = factories.action_plan(session, audit, strategy)
                factories.action(session, plan)

    def _statements(self) -> dict[str, int]:
        seen = round_trips(self.database)
        counts = {}
        for resource in ("goals", "strategies", "audits", "action_plans", "actions"):
            for path in (f"/v1/{resource}", f"/v1/{resource}/detail"):
                seen.clear()
                self.assertEqual(200, self.request(path).status_int)
                counts[path] = len(seen)
        return counts
