# SPDX-License-Identifier: Apache-2.0
"""What many clients ask of one API at the same time."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import webob

from watcher.db import migration
from watcher.tests import factories
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.api.fakes import build_api

CLIENTS = 8


class ApiStories:
    def setUp(self) -> None:
        super().setUp()
        migration.create_schema(self.database)
        self.conf.set_override("enable_authentication", False)
        self.api = build_api(self.conf, self.database)
        names = [f"p{number}" for number in range(CLIENTS)]
        schema = {"properties": {name: {"type": "integer", "default": 0} for name in names}}
        with self.database.writer() as session:
            goal = factories.goal(session, name="dummy")
            factories.strategy(session, goal, name="dummy", parameters_spec=schema)

    def test_patches_of_parts_of_a_field_are_all_kept(self) -> None:
        for resource, field in (
            ("audits", "parameters"),
            ("audit_templates", "default_parameters"),
        ):
            path = self.create(resource)
            self.ask("PATCH", path, [{"op": "add", "path": f"/{field}", "value": {"p0": 0}}])
            answers = self.at_once(
                lambda number, path=path, field=field: self.ask(
                    "PATCH", path, [{"op": "add", "path": f"/{field}/p{number}", "value": number}]
                )
            )
            self.assertEqual({200}, {answer.status_int for answer in answers}, resource)
            kept = self.ask("GET", path).json[field]
            self.assertEqual({f"p{n}": n for n in range(CLIENTS)}, kept, resource)

    def test_one_delete_finds_it(self) -> None:
        for resource in ("audits", "audit_templates"):
            path = self.create(resource)
            self.ask("PATCH", path, [{"op": "replace", "path": "/state", "value": "CANCELLED"}])
            answers = self.at_once(lambda _, path=path: self.ask("DELETE", path))
            self.assertEqual(
                [204, *[404] * (CLIENTS - 1)],
                sorted(answer.status_int for answer in answers),
                resource,
            )

    def create(self, resource: str) -> str:
        body = {"name": "mine", "goal": "dummy", "strategy": "dummy"}
        if resource == "audits":
            body["audit_type"] = "EVENT"
        answer = self.ask("POST", f"/v1/{resource}", body)
        self.assertEqual(201, answer.status_int, answer.text)
        return f"/v1/{resource}/{answer.json['uuid']}"

    def ask(self, method: str, path: str, body: Any = None) -> webob.Response:
        request = webob.Request.blank(path, method=method)
        request.headers["OpenStack-API-Version"] = "infra-optim latest"
        if body is not None:
            request.content_type, request.body = "application/json", json.dumps(body).encode()
        return request.get_response(self.api)

    def at_once(self, ask: Any) -> list[webob.Response]:
        barrier = threading.Barrier(CLIENTS)

        def begin(number: int) -> webob.Response:
            barrier.wait()
            return ask(number)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(begin, range(CLIENTS)))


class ApiOnMariaDB(ApiStories, MariaDBTestCase):
    pass


class ApiOnPostgreSQL(ApiStories, PostgreSQLTestCase):
    pass
