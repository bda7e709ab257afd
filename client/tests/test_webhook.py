# SPDX-License-Identifier: Apache-2.0
"""webhook list, show, set, unset, secret."""

from typing import Any

from tests.base import AUDIT, CommandTestCase


def webhook(name: str = "hot", **values: Any) -> dict[str, Any]:
    return {
        "audit_uuid": AUDIT,
        "audit_name": name,
        "url": f"http://watcher/v1/webhooks/{AUDIT}",
        "auth": "none",
        "secret": {"set": False, "rotating": False},
        "limits": {"max_actions": 5, "max_plans_per_hour": None, "min_efficacy": None},
        "parameters": {},
        "paused": False,
        "note": None,
        **values,
    }


class ListTest(CommandTestCase):
    def test_short_and_in_full(self) -> None:
        self.serve("GET", "/v1/webhooks", {"webhooks": [webhook()]})
        [short] = self.shown("webhook", "list")
        self.assertEqual(["Audit", "Name", "Auth", "Secret", "Paused", "URL"], [*short])
        [full] = self.shown("webhook", "list", "--detail")
        self.assertEqual({"max_actions": 5}, {k: v for k, v in full["Limits"].items() if v})
        self.assertIn("max_actions: 5", self.printed("webhook", "list", "--detail"))
        self.assertEqual("hot\n", self.printed("webhook", "list", "-f", "value", "-c", "Name"))

    def test_a_label_is_a_sort_key_too(self) -> None:
        self.serve("GET", "/v1/webhooks", {"webhooks": []})
        for key in ("Name", "audit_name"):
            options = ("--sort-key", key, "--sort-dir", "desc", "--marker", AUDIT)
            self.assertEqual([], self.shown("webhook", "list", *options))
        query = f"GET /v1/webhooks?marker={AUDIT}&sort_key=audit_name&sort_dir=desc"
        self.assertEqual([query] * 2, self.sent())

    def test_pages(self) -> None:
        following = "http://elsewhere/v1/webhooks?limit=2&marker=x"
        self.serve(
            "GET", "/v1/webhooks", {"webhooks": [webhook("a"), webhook("b")], "next": following}
        )
        self.serve("GET", "/v1/webhooks?marker=x", {"webhooks": [webhook("c"), webhook("d")]})
        for options, names in (((), "ab"), (("--limit", "3"), "abc"), (("--limit", "0"), "abcd")):
            listed = self.shown("webhook", "list", *options)
            self.assertEqual([*names], [each["Name"] for each in listed])
        status, _, error = self.run_command("webhook", "list", "--limit", "-1")
        self.assertEqual(2, status)
        self.assertIn("non-negative", error)


class ShowTest(CommandTestCase):
    def test_a_name_of_any_characters(self) -> None:
        self.serve("GET", "/v1/webhooks/a%2Fb%20%3F", webhook("a/b ?"))
        self.assertEqual("a/b ?", self.shown("webhook", "show", "a/b ?")["Name"])

    def test_what_the_service_says(self) -> None:
        self.refuse("GET", "/v1/webhooks/nope", 404, "There is no audit nope.")
        self.assertIn("There is no audit nope. (HTTP 404)", self.refused("webhook", "show", "nope"))

    def test_the_secret_in_words(self) -> None:
        for given, word in (
            ({"set": False, "rotating": False}, "none"),
            ({"set": True, "rotating": False}, "set"),
            ({"set": True, "rotating": True}, "rotating"),
        ):
            self.serve("GET", "/v1/webhooks/hot", webhook(secret=given))
            self.assertIn(word, self.printed("webhook", "show", "hot", "-c", "Secret"))
            self.assertEqual(given, self.shown("webhook", "show", "hot")["Secret"])


class SetTest(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch = self.serve("PATCH", "/v1/webhooks/hot", webhook(note="changed"))

    def test_each_setting(self) -> None:
        options = (
            *("--auth", "secret", "--debounce", "0", "--cooldown", "600", "--max-actions", "20"),
            *("--max-plans-per-hour", "2", "--min-efficacy", "2.5", "--filter", "a == 'b'"),
            *("--parameter", "t/h=x.y == `1`", "--parameter", "o=z", "--pause", "--note", "Why"),
        )
        self.assertEqual("changed", self.shown("webhook", "set", "hot", *options)["Note"])
        replaced = {
            "/auth": "secret",
            "/debounce": 0,
            "/cooldown": 600,
            "/limits/max_actions": 20,
            "/limits/max_plans_per_hour": 2,
            "/limits/min_efficacy": 2.5,
            "/filter": "a == 'b'",
            "/paused": True,
            "/note": "Why",
        }
        added = {"/parameters/t~1h": "x.y == `1`", "/parameters/o": "z"}
        self.assertEqual(
            [
                {"op": op, "path": path, "value": value}
                for op, values in (("replace", replaced), ("add", added))
                for path, value in values.items()
            ],
            self.patch.last_request.json(),
        )

    def test_resume(self) -> None:
        self.shown("webhook", "set", "hot", "--resume")
        self.assertEqual(
            [{"op": "replace", "path": "/paused", "value": False}], self.patch.last_request.json()
        )

    def test_unset(self) -> None:
        self.shown("webhook", "unset", "hot", "--auth", "--min-efficacy", "--parameter", "t")
        paths = ["/auth", "/limits/min_efficacy", "/parameters/t"]
        self.assertEqual(
            [{"op": "remove", "path": path} for path in paths], self.patch.last_request.json()
        )

    def test_nothing(self) -> None:
        for command in ("set", "unset"):
            self.assertIn("name a setting", self.refused("webhook", command, "hot"))
        self.assertIn(
            'Expected <name=expression>, got "t"',
            self.refused("webhook", "set", "hot", "--parameter", "t"),
        )
        self.assertFalse(self.patch.called)


class SecretTest(CommandTestCase):
    def test_create_and_delete(self) -> None:
        self.serve("POST", "/v1/webhooks/hot/secret", {"secret": "s3"}, status_code=201)
        self.serve("DELETE", "/v1/webhooks/hot/secret", status_code=204)
        made = self.printed("webhook", "secret", "create", "hot", "-f", "value", "-c", "Secret")
        self.assertEqual("s3\n", made)
        self.assertEqual("", self.printed("webhook", "secret", "delete", "hot"))
