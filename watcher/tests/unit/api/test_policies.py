# SPDX-License-Identifier: Apache-2.0
"""Every route has a policy, and every policy a route."""

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import Any

import fixtures
from oslo_policy.policy import Enforcer

from watcher import policies
from watcher.api.controllers.v1.root import V1
from watcher.api.resource import Collaborators, Route
from watcher.tests.base import TestCase
from watcher.tests.unit.api.fakes import ApiTestCase
from watcher.tests.unit.api.test_auth import KeystoneTestCase

IDENT = "00000000-0000-4000-8000-000000000000"
PUBLIC = {("POST", "/v1/webhooks/{ident}")}
"""What it asks of callers is each webhook's own business."""
BODIES = {
    "/v1/audits": {"audit_type": "ONESHOT", "goal": "dummy"},
    "/v1/audit_templates": {"name": "x", "goal": "dummy"},
}


def _anonymous(path: str) -> str:
    """*path* with all placeholders alike."""
    return re.sub(r"\{\w+\}", "{ident}", path)


def routes() -> Iterator[tuple[str, str, Route]]:
    """Method, path and route of all there is below /v1."""
    nobody: Any = None
    v1 = V1(Collaborators(*[nobody] * len(dataclasses.fields(Collaborators))))
    for name, resource in v1.children.items():
        for route in resource.routes:
            yield route.method, _anonymous("/".join(["/v1", name, *route.path])), route


def rules() -> dict[tuple[str, str], str]:
    """Names of the rules by what they guard."""
    return {
        (operation["method"], _anonymous(operation["path"])): rule.name
        for rule in policies.list_rules()
        for operation in getattr(rule, "operations", [])
    }


class PairsTestCase(TestCase):
    def test_a_rule_for_each_route_and_a_route_for_each_rule(self) -> None:
        served = {(method, path) for method, path, _ in routes()}
        self.assertEqual(rules().keys(), served)

    def test_as_many_as_agreed(self) -> None:
        self.assertEqual(49, len(rules()))
        self.assertEqual(46, len(list(policies.list_rules())))


class NobodyTestCase(KeystoneTestCase):
    def test_without_a_token_nothing_is_answered(self) -> None:
        for method, path, _ in routes():
            if (method, path) not in PUBLIC:
                response = self.request(path.replace("{ident}", IDENT), method)
                self.assertEqual(401, response.status_int, f"{method} {path}")


class DeniedTestCase(ApiTestCase):
    def test_without_a_role_nothing_is_allowed(self) -> None:
        for method, path, route in routes():
            if (method, path) in PUBLIC:
                continue
            arguments: dict[str, Any] = {}
            if route.body is not None:
                arguments["json"] = BODIES.get(path, [])
            response = self.request(
                path.replace("{ident}", IDENT),
                method,
                headers={"X-Roles": "member", "OpenStack-API-Version": "infra-optim latest"},
                **arguments,
            )
            self.assertEqual(403, response.status_int, f"{method} {path}: {response.text}")
            self.assertIn(rules()[method, path], response.text)


class PolicyFileTestCase(ApiTestCase):
    def configure(self) -> None:
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, "policy.yaml")
        with open(path, "w") as file:
            file.write('"goal:get_all": "project_id:%(project_id)s and user_id:%(user_id)s"\n')
        Enforcer(self.conf)  # registers the option
        self.conf.set_override("policy_file", path, group="oslo_policy")

    def test_a_rule_compares_with_the_caller(self) -> None:
        member = {"X-Roles": "member"}
        identity = {"X-Project-Id": "p", "X-User-Id": "u"}
        self.assertEqual(200, self.request("/v1/goals", headers=member | identity).status_int)
        self.assertEqual(403, self.request("/v1/audits", headers=member | identity).status_int)
