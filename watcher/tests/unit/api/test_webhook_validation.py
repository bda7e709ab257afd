# SPDX-License-Identifier: Apache-2.0
"""Whatever operators ask for, what stands afterwards makes sense."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watcher import conf as watcher_conf
from watcher.api import patch, types, webhook_validation
from watcher.common.errors import Invalid
from watcher.db.models import Strategy, Webhook
from watcher.tests.base import TestCase
from watcher.webhooks import credentials, expressions

CONF = watcher_conf.load([], [])
STRATEGY = Strategy(name="dummy", parameters_spec={"properties": {"para1": {"type": "number"}}})
VALUES = st.one_of(
    st.sampled_from([None, "none", "secret", "keystone", "", "x", "x[", True, False, 0, 60, 86400]),
    st.sampled_from([86401, -1, 0.5, 101, 10**400, [], {}, {"para1": "x"}, {"para2": "x"}]),
    st.floats(allow_nan=False),
    st.text(max_size=5),
)
PATHS = st.sampled_from(
    [f"/{name}" for name in webhook_validation.CHANGEABLE]
    + ["/limits/max_actions", "/limits/min_efficacy", "/limits/x", "/parameters/para1"]
    + ["/auth/x", "/note/0"]
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "remove"]), "path": PATHS, "value": VALUES}
    ),
    max_size=4,
)


def webhook(**values: Any) -> Webhook:
    return Webhook(**{"debounce": 0, "cooldown": 0, "paused": False, **values})


def redefine(row: Webhook, body: Any, strategy: Strategy | None = STRATEGY) -> None:
    operations = patch.parse(body, webhook_validation.CHANGEABLE)
    for column, value in webhook_validation.redefine(row, strategy, operations, CONF).items():
        setattr(row, column, value)


class RedefineTestCase(TestCase):
    @given(st.lists(OPERATIONS, max_size=6), st.booleans(), st.sampled_from([None, STRATEGY]))
    def test_what_was_taken_makes_sense(
        self, bodies: list[Any], has_secret: bool, strategy: Strategy | None
    ) -> None:
        row = webhook(secret_hash="0" * 64 if has_secret else None)
        for body in bodies:
            before = webhook_validation.document(row)
            try:
                redefine(row, body, strategy)
            except Invalid as error:
                self.assertIn(": ", str(error))
                self.assertEqual(before, webhook_validation.document(row))
            self.make_sense(row, strategy)

    def make_sense(self, row: Webhook, strategy: Strategy | None) -> None:
        self.assertIn(row.auth, (None, "none", "secret", "keystone"))
        self.assertIs(int, type(row.debounce))
        self.assertTrue(0 <= row.debounce <= 86400 and 0 <= row.cooldown <= 86400)
        for limit in (row.max_actions, row.max_plans_per_hour):
            self.assertTrue(limit is None or limit >= 1)
        self.assertTrue(row.min_efficacy is None or 0 <= row.min_efficacy <= 100)
        if row.filter is not None:
            expressions.check(row.filter, "filter")
        if credentials.effective_auth(row.auth, CONF) == credentials.NONE:
            self.assertFalse(row.filter or row.parameters)
        if row.auth == credentials.SECRET:
            self.assertIsNotNone(row.secret_hash)
        known = strategy.parameters_spec["properties"] if strategy else {}
        self.assertLessEqual((row.parameters or {}).keys(), known.keys())
        self.assertIs(bool, type(row.paused))

    def test_the_configuration_may_lock_it(self) -> None:
        conf = watcher_conf.load([], [])
        conf.set_override("default_auth", "keystone", group="webhooks")
        operations = [patch.Operation("add", "/filter", "x")]
        values = webhook_validation.redefine(webhook(), STRATEGY, operations, conf)
        self.assertEqual({"filter": "x"}, values)

    def test_other_settings_of_one_that_the_configuration_opened(self) -> None:
        row = webhook(filter="x", parameters={"para1": "x"})
        redefine(row, [{"op": "replace", "path": "/paused", "value": True}])
        self.assertTrue(row.paused)
        redefine(row, [{"op": "remove", "path": "/filter"}])
        self.assertEqual((None, {"para1": "x"}), (row.filter, row.parameters))


class NumberTestCase(TestCase):
    def test_what_is_one(self) -> None:
        whole, any_number = types.Number(0, 10), types.Number(0, 10, whole=False)
        for value in (0, 10, None):
            self.assertEqual(value, whole.frombasetype(value))
        self.assertEqual(2.5, any_number.frombasetype(2.5))
        for value in (-1, 11, True, "1", 1.0, [], 10**400, float("inf")):
            self.assertRaises(ValueError, whole.frombasetype, value)
        for value in (-0.1, 10.1, False, "1", float("inf"), float("nan")):
            self.assertRaises(ValueError, any_number.frombasetype, value)
