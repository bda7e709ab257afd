# SPDX-License-Identifier: Apache-2.0
import copy

import hypothesis
from hypothesis import strategies as st

from watcher.common import schemas
from watcher.common.errors import Invalid
from watcher.tests import base

SCHEMA = {
    "type": "object",
    "properties": {
        "threshold": {"type": "number", "default": 0.2, "minimum": 0, "maximum": 1},
        "retries": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        "metric": {"type": "string", "enum": ["cpu", "ram"], "default": "cpu"},
        "weights": {
            "type": "object",
            "properties": {"cpu": {"type": "number", "default": 1.0}, "ram": {"type": "number"}},
            "default": {"ram": 2.0},
        },
        "nodes": {
            "type": "array",
            "uniqueItems": True,
            "default": [],
            "items": {
                "type": "object",
                "properties": {
                    "src": {"type": "string"},
                    "free": {"type": "object", "properties": {}},
                    "kind": {"type": "string", "default": "live", "pattern": "^[a-z]+$"},
                },
                "required": ["src"],
            },
        },
    },
}

TEXT = st.text("a*é\x00", max_size=3) | st.sampled_from(["compute", "exclude", "name", "id"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class TestParameters(base.TestCase):
    def refused(self, values, *words, schema=SCHEMA):
        error = self.assertRaises(Invalid, schemas.parameters, schema, values)
        for word in words:
            self.assertIn(word, str(error))

    def test_the_order_that_was_given_stays(self):
        given = {"weights": {"ram": 1.0, "cpu": 2.0}, "retries": 1, "threshold": 0.5}
        complete = schemas.parameters(SCHEMA, given)
        self.assertEqual(["weights", "retries", "threshold"], list(complete)[:3])
        self.assertEqual(["ram", "cpu"], list(complete["weights"]))

    def test_defaults_are_filled_at_every_level(self):
        given = {"nodes": [{"src": "a"}, {"src": "b", "kind": "cold"}], "weights": {}}
        before = copy.deepcopy(given)
        self.assertEqual(
            {
                "threshold": 0.2,
                "metric": "cpu",
                "weights": {"cpu": 1.0},
                "nodes": [{"src": "a", "kind": "live"}, {"src": "b", "kind": "cold"}],
            },
            schemas.parameters(SCHEMA, given),
        )
        self.assertEqual(before, given)

    def test_a_default_is_completed_and_never_shared(self):
        first = schemas.parameters(SCHEMA, {})
        self.assertEqual({"ram": 2.0, "cpu": 1.0}, first["weights"])
        first["nodes"].append("mine")
        self.assertEqual([], schemas.parameters(SCHEMA, {})["nodes"])

    def test_the_sentence_names_the_field_and_what_is_allowed(self):
        self.refused({"threshold": 5}, "parameters.threshold: 5 is greater than the maximum of 1.")
        self.refused({"threshold": -1}, "parameters.threshold: -1 is less than the minimum of 0.")
        self.refused(
            {"retries": 0}, "parameters.retries: 0 is less than or equal to the minimum of 0."
        )
        self.refused({"threshold": "a"}, "parameters.threshold: 'a' is not of type 'number'.")
        self.refused({"threshold": True}, "parameters.threshold: True is not of type 'number'.")
        self.refused({"metric": "io"}, "parameters.metric: 'io' is not one of ['cpu', 'ram'].")
        self.refused({"metric": "io" * 500}, "parameters.metric: 'io", " one of ['cpu', 'ram'].")
        self.refused({"nodes": [{}]}, "parameters.nodes[0]: 'src' is a required property.")
        self.refused(
            {"nodes": [{"src": "a", "kind": "A"}]}, "parameters.nodes[0].kind: 'A'", "^[a-z]+$"
        )
        self.refused({"nodes": [{"src": "a"}, {"src": "a"}]}, "parameters.nodes: has equal items.")
        self.refused({"weights": 1}, "parameters.weights: 1 is not of type 'object'.")
        one_of = {"properties": {}, "oneOf": [{"required": ["pool"]}, {"required": ["type"]}]}
        self.refused({}, "'pool' is a required property, or 'type' is", schema=one_of)
        self.refused([], "parameters: must be an object.")

    def test_unknown_fields_are_refused_at_every_level(self):
        self.refused({"thresold": 1}, "parameters.thresold:", "threshold, weights")
        self.refused({"nodes": [{"src": "a", "dst": "b"}]}, "parameters.nodes[0].dst:", "src")
        self.refused({"weights": {"disk": 1}}, "parameters.weights.disk:", "cpu, ram")

    def test_an_object_without_named_properties_is_free(self):
        node = {"src": "a", "free": {"any": {"thing": [1]}}, "kind": "live"}
        self.assertEqual([node], schemas.parameters(SCHEMA, {"nodes": [node]})["nodes"])

    def test_no_schema_takes_no_parameters(self):
        self.assertEqual({}, schemas.parameters({}, {}))
        self.refused({"a": 1}, "parameters: must be empty", schema={})

    def test_of_default_parameters_none_is_required(self):
        schema = {"properties": {"node": {"type": "string"}}, "required": ["node"]}
        self.assertRaises(Invalid, schemas.parameters, schema, {})
        schemas.default_parameters(schema, {})
        error = self.assertRaises(Invalid, schemas.default_parameters, schema, {"node": 1})
        self.assertIn("default_parameters.node: 1", str(error))

    def test_hostile_values_are_refused(self):
        deep = {}
        for _ in range(900):
            deep = {"a": deep}
        self.refused(deep, "levels deep")
        self.refused({"nodes": [{"src": "a", "free": {"x": float("inf")}}]}, "infinite")
        for number in (10**400, -(10**400), 1e308):
            self.refused({"nodes": [{"src": "a", "free": {"x": number}}]}, "a number beyond 1e+18")
        self.refused({"x" * 100_000: 1}, "parameters.xxx")
        many = {"nodes": [{"src": str(i)} for i in range(20_000)]}
        self.assertEqual(20_000, len(schemas.parameters(SCHEMA, many)["nodes"]))

    @hypothesis.given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])), JSON))
    def test_any_value_is_completed_or_refused(self, values):
        try:
            complete = schemas.parameters(SCHEMA, values)
        except Invalid as error:
            self.assertTrue(str(error).startswith("parameters"))
        else:
            self.assertEqual(complete, schemas.parameters(SCHEMA, complete))


class TestScope(base.TestCase):
    def refused(self, value, *words):
        error = self.assertRaises(Invalid, schemas.scope, value)
        for word in words:
            self.assertIn(word, str(error))

    def test_whole_scope(self):
        value = [
            {
                "compute": [
                    {"host_aggregates": [{"id": 1}, {"name": "fast"}]},
                    {"availability_zones": [{"name": "AZ1"}]},
                    {
                        "exclude": [
                            {"instances": [{"uuid": "u"}], "compute_nodes": [{"name": "n"}]},
                            {"instance_metadata": [{"optimize": "False"}]},
                            {"projects": [{"uuid": "p"}]},
                        ]
                    },
                ]
            },
            {
                "storage": [
                    {"availability_zones": [{"name": "*"}]},
                    {"volume_types": [{"name": "ssd"}]},
                    {"exclude": [{"storage_pools": [{"name": "p"}], "volumes": [{"uuid": "v"}]}]},
                ]
            },
        ]
        self.assertEqual(value, schemas.scope(value))

    def test_storage_alone_and_nothing_at_all(self):
        storage = [{"storage": [{"volume_types": [{"name": "ssd"}]}]}]
        self.assertEqual(storage, schemas.scope(storage))
        self.assertEqual([], schemas.scope([]))

    def test_the_old_style_is_wrapped(self):
        rules = [{"host_aggregates": [{"id": "*"}]}, {"availability_zones": [{"name": "a"}]}]
        self.assertEqual([{"compute": rules}], schemas.scope(rules))

    def test_what_is_no_scope(self):
        self.refused({}, "scope: must be a list")
        self.refused([{}], "scope[0]")
        self.refused([1], "scope[0]: 1 is not of type 'object'")
        self.refused([{"network": []}], "scope[0].compute[0]", "network", "availability_zones")
        self.refused([{"compute": [], "network": []}], "scope[0]", "network")
        self.refused([{"compute": {}}], "scope[0].compute:", "array")
        self.refused(
            [{"compute": [{"host_aggregates": [{"id": "x"}]}]}],
            "scope[0].compute[0].host_aggregates[0].id: 'x'",
        )
        self.refused([{"compute": [{"host_aggregates": [{"id": 1, "name": "a"}]}]}], "[0]:")
        self.refused([{"compute": [{"availability_zones": [{}]}]}], "'name' is a required property")
        self.refused([{"storage": [{"exclude": [{"instances": []}]}]}], "instances", "volumes")

    def test_aggregates_are_not_both_included_and_excluded(self):
        aggregates = {"host_aggregates": [{"id": 1}]}
        self.refused([{"compute": [aggregates, {"exclude": [aggregates]}]}], "host_aggregates")
        self.refused(
            [{"compute": [aggregates]}, {"compute": [{"exclude": [aggregates]}]}],
            "host_aggregates",
        )
        schemas.scope([{"compute": [{"exclude": [aggregates]}]}])

    def test_a_wildcard_stands_alone(self):
        self.refused([{"compute": [{"host_aggregates": [{"id": "*"}, {"id": 1}]}]}], "only entry")
        for field in ("availability_zones", "volume_types"):
            self.refused([{"storage": [{field: [{"name": "a"}, {"name": "*"}]}]}], "only entry")

    @hypothesis.given(JSON)
    def test_any_value_is_a_scope_or_refused(self, value):
        try:
            checked = schemas.scope(value)
        except Invalid as error:
            self.assertTrue(str(error).startswith("scope"))
        else:
            self.assertEqual(checked, schemas.scope(checked))
