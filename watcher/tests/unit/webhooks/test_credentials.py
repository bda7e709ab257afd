# SPDX-License-Identifier: Apache-2.0
"""Secrets of webhooks: where they come from, and which of them fit."""

import base64
from unittest import mock
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from watcher.tests import base
from watcher.webhooks import credentials

SECRETS = st.text(min_size=1).map(lambda text: text.strip()).filter(bool)


def basic(password: str, user: str = "watcher") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class EffectiveAuthTestCase(base.TestCase):
    def test_the_webhook_first_then_the_configuration(self) -> None:
        for required, default, auth, expected in (
            (False, "none", None, "none"),
            (False, "secret", None, "secret"),
            (True, "none", None, "keystone"),
            (True, "secret", None, "keystone"),
            (True, "secret", "none", "none"),
            (False, "keystone", "secret", "secret"),
        ):
            self.conf.set_override("enable_webhooks_auth", required, group="api")
            self.conf.set_override("default_auth", default, group="webhooks")
            self.assertEqual(expected, credentials.effective_auth(auth, self.conf))


class OpensTestCase(base.TestCase):
    def test_two_are_valid_during_a_rotation(self) -> None:
        new, old = credentials.digest("new"), credentials.digest("old")
        for presented, before, during, after in (
            (["old"], True, True, False),
            (["new"], False, True, True),
            (["other"], False, False, False),
            (["other", "old"], True, True, False),
            ([new], False, False, False),
            ([""], False, False, False),
            ([], False, False, False),
        ):
            self.assertEqual(
                (before, during, after),
                (
                    credentials.matches(presented, old, None),
                    credentials.matches(presented, new, old),
                    credentials.matches(presented, new, None),
                ),
                presented,
            )

    def test_where_there_is_no_secret_none_fits(self) -> None:
        for presented in ([], [""], ["-" * 64], ["None"], ["x", "y"]):
            self.assertFalse(credentials.matches(presented, None, None), presented)

    def test_the_same_work_whatever_the_cause(self) -> None:
        digest = credentials.digest("right")
        known = (
            (None, None),
            (digest, None),
            (None, digest),
            (digest, digest),
        )
        for presented in ([], ["wrong"], ["right"]):
            for hashes in known:
                with (
                    mock.patch.object(
                        credentials.hmac, "compare_digest", wraps=credentials.hmac.compare_digest
                    ) as compared,
                    mock.patch.object(
                        credentials.hashlib, "sha256", wraps=credentials.hashlib.sha256
                    ) as hashed,
                ):
                    credentials.matches(presented, *hashes)
                sizes = {len(text) for call in compared.call_args_list for text in call.args}
                self.assertEqual(
                    (2, {64}, 1), (compared.call_count, sizes, hashed.call_count), presented
                )

    @given(SECRETS, SECRETS)
    def test_a_secret_is_valid_for_its_own_webhook_alone(self, secret: str, other: str) -> None:
        digest = credentials.digest(secret)
        self.assertTrue(credentials.matches([secret], digest))
        if other.encode("utf-8", "replace") != secret.encode("utf-8", "replace"):
            self.assertFalse(credentials.matches([other], digest))


class AuthorizationTestCase(base.TestCase):
    def test_bearer_and_basic(self) -> None:
        for header, expected in (
            ("Bearer abc", ["abc"]),
            ("bearer  abc ", ["abc"]),
            (basic("abc"), ["abc"]),
            (basic("a:b", user=""), ["a:b"]),
            (basic("abc").replace("Basic", "BASIC"), ["abc"]),
            (basic(""), []),
            ("Basic !", []),
            ("Basic YWJj", []),
            ("Basic", []),
            ("Bearer", []),
            ("Digest abc", []),
            ("abc", []),
            ("", []),
        ):
            self.assertEqual(expected, credentials.from_authorization(header), header)

    @given(st.text())
    def test_no_header_makes_it_fail(self, header: str) -> None:
        for scheme in ("", "Bearer ", "Basic "):
            secrets = credentials.from_authorization(scheme + header)
            self.assertFalse(credentials.matches(secrets, None))


class QueryTestCase(base.TestCase):
    def test_what_is_left_of_a_query(self) -> None:
        for query, left, secrets in (
            ("", "", []),
            ("token=abc", "", ["abc"]),
            ("a=1&token=abc&b=2", "a=1&b=2", ["abc"]),
            ("token=abc&token=d%20e", "", ["abc", "d e"]),
            ("%74oken=abc", "", ["abc"]),
            ("token=", "", []),
            ("token", "", []),
            ("tokens=abc&x", "tokens=abc&x", []),
            ("aodh-alarm-ssl-verify=0&token=a", "aodh-alarm-ssl-verify=0", ["a"]),
        ):
            self.assertEqual((left, secrets), credentials.from_query(query), query)

    @given(st.text(), st.text())
    def test_any_query_is_taken_apart(self, before: str, after: str) -> None:
        left, secrets = credentials.from_query(f"{before}&token=Tr0ub4dor&{after}")
        self.assertIn("Tr0ub4dor", secrets)
        self.assertNotIn("Tr0ub4dor", left)

    @given(SECRETS.filter(lambda text: text.isprintable()))
    def test_any_secret_survives_the_url(self, secret: str) -> None:
        for quoted in (quote(secret, safe=""), quote_plus(secret)):
            self.assertEqual(("", [secret]), credentials.from_query(f"token={quoted}"))
