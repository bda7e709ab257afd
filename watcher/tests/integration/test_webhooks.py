# SPDX-License-Identifier: Apache-2.0
"""Webhooks on real servers: what is told of them, and operators who change one together."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import webob
from sqlalchemy import func, select

from watcher.common.errors import Conflict
from watcher.common.states import AuditType
from watcher.db import migration, models
from watcher.db.lookup import require_free_name
from watcher.tests import factories
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.api.fakes import build_api
from watcher.tests.unit.db.history_stories import HistoryStories


class HistoryOnMariaDB(HistoryStories, MariaDBTestCase):
    pass


class HistoryOnPostgreSQL(HistoryStories, PostgreSQLTestCase):
    pass


class OperatorStories:
    """Requests that arrive at the same time."""

    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
        self.conf.set_override("enable_authentication", False)
        self.api = build_api(self.conf, self.database)
        with self.database.writer() as session:
            factories.audit(session, name="a", audit_type=AuditType.EVENT)

    def at_once(self, *requests: webob.Request) -> list[webob.Response]:
        barrier = threading.Barrier(len(requests))

        def send(request: webob.Request) -> webob.Response:
            barrier.wait()
            return request.get_response(self.api)

        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(send, requests))

    def patch(self, **values: Any) -> webob.Request:
        request = webob.Request.blank("/v1/webhooks/a", method="PATCH")
        request.content_type = "application/json"
        request.json = [
            {"op": "replace", "path": f"/{name}", "value": value} for name, value in values.items()
        ]
        return request

    def settings(self) -> dict[str, Any]:
        shown: dict[str, Any] = webob.Request.blank("/v1/webhooks/a").get_response(self.api).json
        return shown

    def test_the_first_to_change_it_make_its_row_together(self) -> None:
        names = ("debounce", "cooldown", "note", "paused")
        values = {"debounce": 7, "cooldown": 8, "note": "x", "paused": True}
        responses = self.at_once(*(self.patch(**{name: values[name]}) for name in names))
        self.assertEqual([200] * 4, [response.status_int for response in responses])
        shown = self.settings()
        self.assertEqual(values, {name: shown[name] for name in names})
        with self.database.reader() as session:
            self.assertEqual(1, session.scalar(select(func.count(models.Webhook.id))))

    def test_no_user_sets_auth_none_while_another_adds_a_filter(self) -> None:
        for _ in range(10):
            [locked] = self.at_once(self.patch(filter=None, auth="keystone"))
            self.assertEqual(200, locked.status_int)
            responses = self.at_once(self.patch(auth="none"), self.patch(filter="x"))
            self.assertEqual([200, 400], sorted(response.status_int for response in responses))
            shown = self.settings()
            self.assertIn((shown["auth"], shown["filter"]), (("none", None), ("keystone", "x")))

    def test_a_name_is_compared_to_the_letter(self) -> None:
        models.Base.metadata.drop_all(self.database.engine)
        migration.create_schema(self.database)  # for any character
        with self.database.writer() as session:
            for name in ("open1", "\U0001f525"):
                factories.audit(session, name=name, audit_type=AuditType.EVENT)
        for name, status in (
            ("open1", 202),
            ("OPEN1", 404),
            ("open1%20", 404),
            ("%F0%9F%94%A5", 202),
            ("%F0%9F%92%A7", 404),
        ):
            for path in (f"/v1/webhooks/{name}", f"/v1/audits/{name}"):
                method = "POST" if "webhooks" in path else "GET"
                response = webob.Request.blank(path, method=method).get_response(self.api)
                expected = 200 if method == "GET" and status == 202 else status
                self.assertEqual(expected, response.status_int, path)

    def test_of_many_secrets_two_are_valid(self) -> None:
        request = webob.Request.blank("/v1/webhooks/a/secret", method="POST")
        made = [
            response.json["secret"]
            for response in self.at_once(*(request.copy() for _ in range(6)))
        ]
        self.at_once(self.patch(auth="secret"))
        answers = [
            webob.Request.blank(f"/v1/webhooks/a?token={secret}", method="POST")
            .get_response(self.api)
            .status_int
            for secret in made
        ]
        self.assertEqual([202] * 2 + [401] * 4, sorted(answers))


class OperatorsOnMariaDB(OperatorStories, MariaDBTestCase):
    def test_a_name_that_the_server_takes_for_another_is_refused_with_both(self) -> None:
        for name in ("A", "a "):
            with self.database.reader() as session:
                new = models.Audit(name=name)
                error = self.assertRaises(Conflict, require_free_name, session, new, "an audit")
            self.assertIn("an audit 'a' already", str(error))
            self.assertIn(f"'{name}'", str(error))


class OperatorsOnPostgreSQL(OperatorStories, PostgreSQLTestCase):
    pass
