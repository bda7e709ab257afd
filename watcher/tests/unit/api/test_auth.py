# SPDX-License-Identifier: Apache-2.0
"""Who gets in: with keystone, without it, and on the public routes."""

from keystonemiddleware import fixture, opts
from oslo_context.context import RequestContext, get_current

from watcher.api import microversions
from watcher.common.states import AuditType
from watcher.tests import factories
from watcher.tests.unit.api.fakes import ApiTestCase

SPOOFED = {
    "X-Roles": "admin",
    "X-User-Id": "mallory",
    "X-Identity-Status": "Confirmed",
    "X-Is-Admin-Project": "True",
}


class WithoutKeystoneTestCase(ApiTestCase):
    def test_a_caller_without_headers_is_the_operator(self) -> None:
        self.assertEqual(200, self.request("/v1/goals").status_int)

    def test_a_caller_is_taken_at_its_word(self) -> None:
        for roles, status in (("admin", 200), ("Administrator", 200), ("member", 403), ("", 403)):
            response = self.request("/v1/goals", headers={"X-Roles": roles})
            self.assertEqual(status, response.status_int, roles)

    def test_log_lines_of_an_alarm_have_what_those_of_other_requests_have(self) -> None:
        response = self.request("/v1/webhooks/nobody", "POST")
        context = get_current()
        assert context is not None
        usual = RequestContext(request_id=response.headers["x-openstack-request-id"])
        self.assertEqual(usual.get_logging_values(), context.get_logging_values())

    def test_the_refusal_names_the_rule(self) -> None:
        response = self.request("/v1/goals", headers={"X-Roles": "member"})
        self.assertIn("goal:get_all", response.text)


class KeystoneTestCase(ApiTestCase):
    """A test with a keystone that knows the tokens in ``tokens``."""

    def configure(self) -> None:
        self.tokens = self.useFixture(fixture.AuthTokenFixture())
        for group, options in opts.list_auth_token_opts():
            self.conf.register_opts(options, group=group)
        uri = "https://keystone.example.com"
        self.conf.set_override("www_authenticate_uri", uri, group="keystone_authtoken")
        self.conf.set_override("enable_authentication", True)

    def token(self, role: str) -> dict[str, str]:
        """The header of somebody with a role."""
        self.tokens.add_token_data(token_id=role, role_list=[role])
        return {"X-Auth-Token": role}


class WithKeystoneTestCase(KeystoneTestCase):
    def test_no_token_no_answer(self) -> None:
        response = self.request("/v1/goals")
        self.assertEqual(401, response.status_int)
        self.assertIn("WWW-Authenticate", response.headers)
        self.assertEqual("application/json", response.content_type)
        self.assertEqual(
            microversions.text(microversions.MAXIMUM),
            response.headers["OpenStack-API-Maximum-Version"],
        )

    def test_identity_comes_from_the_token_alone(self) -> None:
        self.assertEqual(401, self.request("/v1/goals", headers=SPOOFED).status_int)
        response = self.request("/v1/goals", headers={**SPOOFED, **self.token("member")})
        self.assertEqual(403, response.status_int)

    def test_an_operator(self) -> None:
        response = self.request("/v1/goals", headers=self.token("admin"))
        self.assertEqual(200, response.status_int)

    def test_public_documents_need_no_token(self) -> None:
        for path in ("/", "//", "/healthcheck"):
            self.assertEqual(200, self.request(path).status_int, path)
        self.assertEqual(401, self.request("/v1").status_int)

    def test_an_alarm_service_has_no_token(self) -> None:
        with self.database.writer() as session:
            uuid = factories.audit(session, audit_type=AuditType.EVENT).uuid
        for path in (f"/v1/webhooks/{uuid}", f"/v1/webhooks/{uuid}/", f"//v1//webhooks/{uuid}"):
            self.assertEqual(202, self.request(path, "POST").status_int, path)
            # A token that is none does not matter either: nobody looks at it.
            response = self.request(path, "POST", headers={**SPOOFED, "X-Auth-Token": "none"})
            self.assertEqual(202, response.status_int, path)

    def test_nothing_else_is_public(self) -> None:
        for method, path in (
            ("GET", "/v1/webhooks/some"),
            ("PUT", "/v1/webhooks/some"),
            ("POST", "/v1/webhooks"),
            ("POST", "/v1/webhooks/"),
            ("POST", "/v1/webhooks/some/more"),
            ("POST", "/v1/webhooks/some%2Fmore"),
            ("POST", "/v1/webhooks/../audits"),
            ("POST", "/v1/audits"),
            ("POST", "/v1/Webhooks/some"),
            ("GET", "/v1/goals?/v1/webhooks/some"),
            ("GET", "/healthcheck/more"),
        ):
            response = self.request(path, method, headers=SPOOFED)
            self.assertEqual(401, response.status_int, f"{method} {path}")


class WebhooksWithKeystoneTestCase(KeystoneTestCase):
    def configure(self) -> None:
        super().configure()
        self.conf.set_override("enable_webhooks_auth", True, group="api")

    def test_alarm_services_prove_who_they_are(self) -> None:
        with self.database.writer() as session:
            uuid = factories.audit(session, audit_type=AuditType.EVENT).uuid
        path = f"/v1/webhooks/{uuid}"
        self.assertEqual(401, self.request(path, "POST").status_int)
        for role, status in (("service", 202), ("admin", 202), ("member", 403)):
            response = self.request(path, "POST", headers=self.token(role))
            self.assertEqual(status, response.status_int, role)
