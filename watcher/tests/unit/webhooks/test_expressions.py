# SPDX-License-Identifier: Apache-2.0
import json
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watcher.common.errors import Invalid
from watcher.tests.base import TestCase
from watcher.webhooks import expressions

ALERT = {"alerts": [{"labels": {"host": "a"}}, {"labels": {"host": "b"}}], "status": "firing"}
WORDS = st.sampled_from(
    [*"@a[]*.|&!(){}:,?<1", "==", "&&", "[]", "[*]", "'x'", "`1`", "length", "map", "sort_by"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner),
    max_leaves=6,
)


class CheckTestCase(TestCase):
    def refused(self, expression: str, word: str) -> None:
        error = self.assertRaises(Invalid, expressions.check, expression, "filter")
        self.assertTrue(str(error).startswith("filter: "), error)
        self.assertIn(word, str(error))
        self.assertNotIn("\n", str(error))

    def test_expressions(self) -> None:
        for expression in (
            "status == 'firing'",
            "alerts[?labels.severity == 'critical'] | [0].labels.host",
            "alerts[0:2:1].labels",
            "length(alerts) > `1` && !(status == 'x')",
            "merge(@, {a: status, b: ['x', status]})",
            "sort_by(alerts, &labels.host)[-1]",
        ):
            expressions.check(expression, "filter")

    def test_what_is_none(self) -> None:
        self.refused("", "empty")
        self.refused("a[", "Incomplete")
        self.refused("a b", "Unexpected token: b")
        self.refused("nope(@)", "no function nope")
        self.refused("a.b[?nope(@)]", "no function nope")
        self.refused("length(@, @)", "takes 1 arguments, and here it has 2")
        self.refused("merge()", "takes at least 1 arguments")
        self.refused("a" * 1001, "longer than 1000")
        self.refused("(" * 500, "levels deep")
        self.refused("!" * 900 + "a", "levels deep")
        for reference in ("&a", "[&a]", "{b: &a}", "@ | &a", "to_array(&a)", "sort_by(&a, &a)"):
            self.refused(reference, "& is only for")

    @given(st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=20), JSON)
    def test_whatever_is_written_it_is_invalid_or_runs(self, expression: str, payload: Any) -> None:
        try:
            expressions.check(expression, "filter")
            json.dumps(expressions.value(expression, payload, "filter"))
            expressions.holds(expression, payload, "filter")
        except Invalid:
            pass


class ValueTestCase(TestCase):
    def test_a_reference_that_was_stored_before_it_was_refused(self) -> None:
        for use in (expressions.value, expressions.holds):
            self.assertRaises(Invalid, use, "[&status]", ALERT, "filter")

    def test_values(self) -> None:
        self.assertEqual("a", expressions.value("alerts[0].labels.host", ALERT, "p"))
        self.assertEqual(["a", "b"], expressions.value("alerts[*].labels.host", ALERT, "p"))
        self.assertIsNone(expressions.value("nothing.like[0].it", ALERT, "p"))
        self.assertIsNone(expressions.value("a", None, "p"))

    def test_truth(self) -> None:
        for expression in ("status == 'firing'", "`0`", "`0.0`", "length(@)", "alerts", "'x'"):
            self.assertTrue(expressions.holds(expression, ALERT, "filter"), expression)
        for expression in ("nope", "status == 'x'", "`[]`", "`{}`", "''", "`false`", "`null`"):
            self.assertFalse(expressions.holds(expression, ALERT, "filter"), expression)

    def test_a_function_that_does_not_take_the_payload(self) -> None:
        for expression in ("length(nope)", "sum(status)", "join(status, alerts)", "keys(status)"):
            error = self.assertRaises(Invalid, expressions.value, expression, ALERT, "x.y")
            self.assertTrue(str(error).startswith("x.y: "), error)

    def test_what_grows_without_bounds(self) -> None:
        doubled = "|".join(["[@,@]"] * 90)
        for expression in (
            f"{doubled}|to_string(@)",
            doubled,
            "|".join(["[@,@][]"] * 90),
            "|".join(["join('', [@,@])"] * 60),
            "|".join(["{a:@,b:@}"] * 90),
            "|".join(["[*].[@,@][]"] * 60),
            "|".join(["map(&[@,@],@)[]"] * 60),
        ):
            expressions.check(expression, "p")
            payload = ["x"] if "*" in expression or "map" in expression else "xxxx"
            error = self.assertRaises(Invalid, expressions.value, expression, payload, "p")
            self.assertIn("p: ", str(error))

    def test_a_text_is_not_made_to_see_that_it_is_too_long(self) -> None:
        payload = {"separator": "x" * 1_000_000, "parts": [""] * 300_000}
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertRaises(Invalid, expressions.value, "join(separator, parts)", payload, "p")
        self.assertLess(tracemalloc.get_traced_memory()[1], 10_000_000)
        self.assertEqual("a, b", expressions.value("join(', ', @)", ["a", "b"], "p"))

    def test_long_texts_are_not_too_much(self) -> None:
        payload = {"alerts": [{"text": "x" * 600} for _ in range(3600)]}
        self.assertEqual(3600, expressions.value("length(alerts[*].text)", payload, "p"))

    def test_the_largest_payload_is_not_too_much(self) -> None:
        payload = {"alerts": [{"labels": {"host": str(n)}} for n in range(9000)]}
        last = "alerts[?labels.host == '8999'] | [0].labels.host"
        self.assertEqual("8999", expressions.value(last, payload, "p"))
