# SPDX-License-Identifier: Apache-2.0
"""Who may post to a locked webhook, and that what they prove it with is seen by nobody."""

import base64
import json
import logging
from typing import Any
from unittest import mock

import fixtures
import webob
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1 import loading
from keystonemiddleware import auth_token
from oslo_context.context import RequestContext
from sqlalchemy import select

from watcher.api import webhook_auth
from watcher.common.alarms import WebhookFacts
from watcher.common.errors import Forbidden, Unauthorized
from watcher.common.states import AuditType
from watcher.db import models
from watcher.db.models import Webhook
from watcher.tests import factories
from watcher.tests.base import TestCase
from watcher.tests.unit.api.fakes import ApiTestCase
from watcher.tests.unit.api.test_auth import SPOOFED, KeystoneTestCase
from watcher.webhooks.credentials import digest

SECRET = "xyzzy-plugh-1976"
BASIC = base64.b64encode(f"aodh:{SECRET}".encode()).decode()
HEADERS = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\0"))


class HideTestCase(TestCase):
    def hidden(self, path: str, **environ: Any) -> dict[str, Any]:
        """What the inner application and the server's access log see of a request."""
        request = webob.Request.blank(path, environ=environ, method="POST")
        webhook_auth.redact_secrets(request.environ)
        return dict(request.environ)

    def test_nothing_in_sight(self) -> None:
        for path in ("/v1/webhooks/a", "//v1//webhooks/a/", "/webhooks/a"):
            seen = self.hidden(
                f"{path}?a=1&token={SECRET}",
                HTTP_AUTHORIZATION=f"Basic {BASIC}",
                REQUEST_URI=f"{path}?a=1&token={SECRET}",
                RAW_URI=f"{path}?a=1&token={SECRET}",
            )
            self.assertEqual([SECRET, SECRET], seen.pop(webhook_auth.SECRETS))
            self.assertNotIn(SECRET, str(seen))
            self.assertNotIn(BASIC, str(seen))
            self.assertEqual("a=1", seen["QUERY_STRING"])
            self.assertEqual((f"{path}?a=1",) * 2, (seen["REQUEST_URI"], seen["RAW_URI"]))

    def test_other_requests_are_left_alone(self) -> None:
        seen = self.hidden("/v1/goals?token=x", HTTP_AUTHORIZATION="Bearer y")
        self.assertEqual(
            ("token=x", "Bearer y"), (seen["QUERY_STRING"], seen["HTTP_AUTHORIZATION"])
        )


class DoorkeeperTestCase(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        self.policy = mock.Mock()
        self.webhook_auth = webhook_auth.WebhookAuth(self.conf, self.policy)

    def check(self, auth: str, url: str = "/v1/webhooks/a", **environ: str) -> None:
        request = webob.Request.blank(url, environ=environ)
        webhook_auth.redact_secrets(request.environ)
        facts = WebhookFacts(
            1, "a", AuditType.EVENT, "PENDING", auth=auth, secret_hash=digest(SECRET)
        )
        self.webhook_auth.check(request, facts)

    def test_an_open_webhook_needs_no_credential(self) -> None:
        with mock.patch("keystonemiddleware.auth_token.AuthProtocol") as keystone:
            self.check("none")
            self.check("none", "/v1/webhooks/a?token=wrong", HTTP_AUTHORIZATION="Bearer wrong")
        keystone.assert_not_called()

    @given(HEADERS, HEADERS, HEADERS)
    def test_nothing_makes_it_fail_in_another_way(
        self, authorization: str, query: str, roles: str
    ) -> None:
        self.policy.authorize.return_value = False
        environ = {
            "HTTP_AUTHORIZATION": authorization,
            "QUERY_STRING": query,
            "HTTP_X_ROLES": roles,
            "HTTP_X_AUTH_TOKEN": authorization,
        }
        for auth in ("secret", "keystone"):
            refusals = (Unauthorized, Forbidden)
            self.assertRaises(refusals, self.check, auth, **environ)


class SeenByNobody:
    """Collects all that is written down, at the level that writes down most."""

    def listen(self) -> None:
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))

    def written(self) -> str:
        with self.database.reader() as session:
            rows = [
                str(list(row))
                for table in models.Base.metadata.sorted_tables
                for row in session.execute(select(table))
            ]
        return "\n".join([self.log.output, *rows])


class SecretTestCase(SeenByNobody, ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT, name="hot-host")
            session.add(
                Webhook(
                    audit_id=audit.id,
                    auth="secret",
                    secret_hash=digest(SECRET),
                    previous_secret_hash=digest("previous"),
                )
            )
        self.listen()

    def post(self, query: str = "", **headers: str) -> webob.Response:
        body = json.dumps({"labels": {"host": "compute-1"}}).encode()
        return self.request(f"/v1/webhooks/hot-host{query}", "POST", headers=headers, body=body)

    def test_a_secret_comes_in_three_ways(self) -> None:
        for query, headers in (
            (f"?token={SECRET}", {}),
            (f"?aodh-alarm-ssl-verify=0&token={SECRET}", {}),
            ("", {"Authorization": f"Bearer {SECRET}"}),
            ("", {"Authorization": f"Basic {BASIC}"}),
            ("?token=previous", {}),
            ("?token=wrong", {"Authorization": f"Bearer {SECRET}"}),
        ):
            self.assertEqual(202, self.post(query, **headers).status_int, (query, headers))
        self.assertIn("compute-1", self.written())
        self.assertNotIn(SECRET, self.written())
        self.assertNotIn(BASIC, self.written())

    def test_all_refusals_are_alike(self) -> None:
        with self.database.writer() as session:
            bare = factories.audit(session, audit_type=AuditType.EVENT, name="bare")
            session.add(Webhook(audit_id=bare.id, auth="secret"))
            factories.audit(session, audit_type=AuditType.ONESHOT, name="rowless")
        self.conf.set_override("default_auth", "secret", group="webhooks")
        answers = set()
        for ident in ("hot-host", "bare", "rowless"):
            for query, headers in (
                ("", {}),
                ("?token=", {}),
                (f"?token=x{SECRET}", {}),
                (f"?token={digest(SECRET)}", {}),
                ("", {"Authorization": f"Digest {SECRET}"}),
                ("", {"Authorization": "Bearer wrong-and-secret"}),
                ("", {"X-Auth-Token": SECRET, **SPOOFED}),
            ):
                # Not even the body is looked at.
                response = self.request(
                    f"/v1/webhooks/{ident}{query}", "POST", headers=headers, body=b"{"
                )
                answers.add(
                    (response.status_int, response.text, response.headers["WWW-Authenticate"])
                )
        [(status, _text, challenge)] = answers
        self.assertEqual(
            (401, 'Bearer realm="watcher", Basic realm="watcher"'), (status, challenge)
        )
        self.assertNotIn(SECRET, self.written())
        self.assertNotIn("wrong-and-secret", self.written())

    def test_errors_show_no_secret(self) -> None:
        with mock.patch.object(RequestContext, "__init__", side_effect=RuntimeError):
            response = self.post(f"?token={SECRET}", Authorization=f"Bearer {SECRET}")
        self.assertEqual(500, response.status_int)
        self.assertIn("RuntimeError", self.written())
        self.assertNotIn(SECRET, response.text + self.written())

    def test_a_new_secret_is_shown_and_not_written_down(self) -> None:
        secret = self.request("/v1/webhooks/hot-host/secret", "POST").json["secret"]
        self.assertEqual(202, self.post(Authorization=f"Bearer {secret}").status_int)
        self.assertIn(digest(secret), self.written())
        self.assertNotIn(secret, self.written())
        self.assertNotIn(secret, self.request("/v1/webhooks/hot-host").text)

    def test_keystone_is_not_bothered(self) -> None:
        with mock.patch.object(auth_token, "AuthProtocol", side_effect=AssertionError):
            self.assertEqual(202, self.post(f"?token={SECRET}", **SPOOFED).status_int)

    def test_names_are_for_those_who_allow_them(self) -> None:
        with self.database.reader() as session:
            uuid = session.scalars(select(models.Audit.uuid)).one()
        self.conf.set_override("allow_names", False, group="webhooks")
        response = self.post(f"?token={SECRET}")
        self.assertEqual(404, response.status_int)
        self.assertIn("There is no audit hot-host.", response.text)
        # Operators prove who they are, and may go on to say names.
        for method, what in (("GET", ""), ("GET", "/runs"), ("POST", "/preview")):
            response = self.request(f"/v1/webhooks/hot-host{what}", method)
            self.assertEqual(200, response.status_int, what)
        path = f"/v1/webhooks/{uuid}?token={SECRET}"
        self.assertEqual(202, self.request(path, "POST").status_int)


class KeystoneWebhookTestCase(SeenByNobody, KeystoneTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT, name="hot-host")
            session.add(Webhook(audit_id=audit.id, auth="keystone"))
        self.listen()

    def post(self, **headers: str) -> webob.Response:
        return self.request("/v1/webhooks/hot-host", "POST", headers=headers)

    def test_roles_that_satisfy_the_policy(self) -> None:
        for role in ("service", "admin"):
            self.assertEqual(202, self.post(**self.token(role)).status_int, role)

    def test_all_refusals_are_alike(self) -> None:
        expired = {"X-Auth-Token": "expired-token"}
        self.tokens.add_token_data(
            token_id="expired-token", role_list=["admin"], expires="2020-01-01T00:00:00.000000Z"
        )
        answers = set()
        for headers in (
            {},
            SPOOFED,
            {"X-Auth-Token": "none-such"},
            {"Authorization": "Bearer none-such"},
            expired,
        ):
            response = self.post(**headers)
            answers.add((response.status_int, response.text, response.headers["WWW-Authenticate"]))
        [(status, text, challenge)] = answers
        self.assertEqual((401, 'Keystone uri="https://keystone.example.com"'), (status, challenge))
        self.assertIn("missing or not valid", text)

    def test_a_valid_token_without_the_role(self) -> None:
        for headers in (self.token("member"), {**SPOOFED, **self.token("reader")}):
            response = self.post(**headers)
            self.assertEqual(403, response.status_int)
            self.assertIn("webhook:trigger", response.text)

    def test_tokens_are_written_down_nowhere(self) -> None:
        for token, role in (("gAAAA-right", "admin"), ("gAAAA-member", "member")):
            self.tokens.add_token_data(token_id=token, role_list=[role])
            self.post(**{"X-Auth-Token": token, "X-Service-Token": token})
        self.post(**{"X-Auth-Token": "gAAAA-wrong"})
        self.assertIn("refused", self.written())
        self.assertNotIn("gAAAA", self.written())


class KeystoneAwayTestCase(SeenByNobody, ApiTestCase):
    def configure(self) -> None:
        self.conf.set_override("enable_authentication", True)
        for group, options in auth_token.list_opts():
            self.conf.register_opts(options, group=group)
        loading.register_auth_conf_options(self.conf, "keystone_authtoken")
        options = loading.get_auth_plugin_conf_options("v3token")
        self.conf.register_opts(options, group="keystone_authtoken")
        for name, value in (
            ("auth_type", "v3token"),
            ("auth_url", "http://127.0.0.1:1/v3"),
            ("token", "of-the-service"),
            ("http_request_max_retries", 0),
        ):
            self.conf.set_override(name, value, group="keystone_authtoken")

    def test_other_requests_get_the_error_as_json(self) -> None:
        response = self.request("/v1/goals", headers={"X-Auth-Token": "gAAAA-any"})
        self.assertEqual((503, "5"), (response.status_int, response.headers["Retry-After"]))
        fault = json.loads(response.json["error_message"])
        self.assertEqual("Keystone does not answer now; try again later.", fault["faultstring"])

    def test_that_is_no_refusal(self) -> None:
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT, name="hot-host")
            session.add(Webhook(audit_id=audit.id, auth="keystone"))
        self.listen()
        path, headers = "/v1/webhooks/hot-host", {"X-Auth-Token": "gAAAA-any"}
        response = self.request(path, "POST", headers=headers)
        self.assertEqual(503, response.status_int)
        self.assertIn("Retry-After", response.headers)
        self.assertNotIn("gAAAA", response.text + self.written())
        self.assertNotIn("of-the-service", response.text + self.written())
        self.assertEqual(401, self.request(path, "POST").status_int)
        # What is no token at all is not worth a question.
        for garbage in ("\xa0a", "\x0ba", "a\x01", "ä", "a b", "\x80" * 9000):
            for name in ("X-Auth-Token", "X-Service-Token"):
                headers = {"X-Auth-Token": "gAAAA-any", name: garbage}
                response = self.request(path, "POST", headers=headers)
                self.assertEqual(401, response.status_int, (name, garbage))
