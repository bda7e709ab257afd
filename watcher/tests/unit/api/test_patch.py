# SPDX-License-Identifier: Apache-2.0
import copy

import hypothesis
from hypothesis import strategies as st

from watcher.api import patch
from watcher.common.errors import Invalid
from watcher.tests import base

WRITABLE = ("name", "scope", "parameters", "state")
DOCUMENT = {
    "name": "n",
    "scope": [{"compute": []}],
    "parameters": {"a": {"b": 1}},
    "state": "PENDING",
}
TEXT = st.text("a0-/é\x00", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SEGMENT = st.sampled_from(["name", "scope", "parameters", "state", "a", "b", "0", "-", "99", "-1"])
OPERATION = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "replace", "remove"]),
        "path": st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)),
        "value": JSON,
    }
)


def _below(path):
    """A path without its first segment."""
    return path[path.find("/", 1) :] if "/" in path[1:] else ""


def op(op, path, *value):
    return {"op": op, "path": path} | ({"value": value[0]} if value else {})


class TestParse(base.TestCase):
    def refused(self, body, word):
        error = self.assertRaises(Invalid, patch.parse, body, WRITABLE)
        self.assertIn(word, str(error))

    def test_operations(self):
        operations = patch.parse(
            [op("replace", "/state", None), op("remove", "/parameters/a", 5)], WRITABLE
        )
        self.assertEqual(
            [patch.Operation("replace", "/state"), patch.Operation("remove", "/parameters/a")],
            operations,
        )
        self.assertEqual({"state", "parameters"}, patch.touched(operations))
        self.assertEqual([], patch.parse([], WRITABLE))

    def test_what_is_no_patch(self):
        self.refused(None, "list")
        self.refused({}, "list")
        self.refused(["x"], "[0]:")
        self.refused([op("replace", "/state", "x"), {}], "[1].op")
        self.refused([op("move", "/state", 1)], "[0].op")
        self.refused([op([], "/state", 1)], "[0].op")
        self.refused([{"op": "remove"}], "[0].path")
        for path in ("", "/", "state", "/state/", "//state", "/a b", "/é", 5, "/state\n"):
            self.refused([op("remove", path)], "[0].path")
        self.refused([op("replace", "/state")], "[0].value")
        self.refused([op("add", "/state")], "[0].value")

    def test_only_writable_fields_are_named(self):
        for name in ("uuid", "created_at", "links", "goal_id", "nothing"):
            self.refused([op("replace", f"/{name}", 1)], f"/{name}")
        self.refused([op("replace", "/id/state", 1)], "/name, /parameters, /scope, /state")

    @hypothesis.given(JSON)
    def test_anything_is_operations_or_refused(self, body):
        try:
            operations = patch.parse(body, WRITABLE)
        except Invalid:
            return
        self.assertEqual(len(body), len(operations))


class TestApply(base.TestCase):
    def applied(self, *operations):
        before = copy.deepcopy(DOCUMENT)
        try:
            return patch.apply(DOCUMENT, patch.parse(list(operations), WRITABLE))
        finally:
            self.assertEqual(before, DOCUMENT)

    def refused(self, *operations):
        error = self.assertRaises(Invalid, self.applied, *operations)
        self.assertIn(operations[-1]["path"], str(error))

    def test_in_order(self):
        result = self.applied(
            op("replace", "/name", "x"),
            op("replace", "/name", "y"),
            op("add", "/parameters/c", [1]),
            op("add", "/parameters/c/0", 0),
            op("remove", "/parameters/a/b"),
            op("add", "/scope/-", {"storage": []}),
            op("remove", "/state"),
        )
        self.assertEqual(
            {
                "name": "y",
                "parameters": {"a": {}, "c": [0, 1]},
                "scope": [{"compute": []}, {"storage": []}],
            },
            result,
        )

    def test_a_place_that_is_not_there(self):
        self.refused(op("replace", "/parameters/x", 1))
        self.refused(op("remove", "/parameters/x"))
        self.refused(op("remove", "/state"), op("remove", "/state"))
        self.refused(op("add", "/parameters/x/y", 1))
        self.refused(op("add", "/scope/7", 1))
        self.refused(op("replace", "/scope/-", 1))
        self.refused(op("remove", "/scope/name"))
        self.refused(op("add", "/name/0", "x"))

    @hypothesis.given(st.lists(st.tuples(st.sampled_from(WRITABLE), OPERATION), max_size=5))
    def test_any_patch_is_applied_or_refused(self, operations):
        body = [{**each, "path": f"/{field}{_below(each['path'])}"} for field, each in operations]
        try:
            result = self.applied(*body)
        except Invalid:
            return
        untouched = set(WRITABLE) - patch.touched(patch.parse(body, WRITABLE))
        self.assertEqual(
            {name: DOCUMENT[name] for name in untouched},
            {name: result[name] for name in untouched},
        )
