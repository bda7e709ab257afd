# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from watcher.cloud.compute import Aggregate
from watcher.model import scope
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid

HOSTS = (
    host("h1", zone="az1", aggregates=[Aggregate(1, "fast")]),
    host("h2", zone="az1", aggregates=[Aggregate(1, "fast"), Aggregate(2, "green")]),
    host("h3", zone="az2"),
)
SERVERS = (
    server("s1", "h1", project_id="p1", metadata={"tier": "Gold", "owner": "me"}),
    server("s2", "h2", project_id="p1", metadata={"tier": "lead"}),
    server("s3", "h3", project_id="p2"),
    server("s4", "h3", project_id="p1", metadata={"tier": "gold"}),
)


def seen(*rules):
    """Names of the hosts, of the servers, and of those that stay where they are."""
    model = scope.apply(ComputeModel.build(HOSTS, SERVERS), [{"compute": list(rules)}])
    return (
        [each.hostname for each in model.hosts],
        [each.name for each in model.servers],
        [each.name for each, free in zip(model.servers, model.movable, strict=True) if not free],
    )


def hosts(*rules):
    return seen(*rules)[0]


def stay(**exclude):
    names, _, excluded = seen({"exclude": [exclude]})
    assert names == ["h1", "h2", "h3"]
    return excluded


class ScopeTest(TestCase):
    def test_no_rules_leave_the_model_as_it_is(self):
        model = ComputeModel.build(HOSTS, SERVERS)
        for rules in ([], [{"compute": []}], [{"storage": []}]):
            self.assertIs(model, scope.apply(model, rules))

    def test_names_that_match_nothing_are_found(self):
        model = ComputeModel.build(HOSTS, SERVERS)
        rules = [
            {"availability_zones": [{"name": "az1"}, {"name": "az9"}, {"name": "*"}]},
            {"host_aggregates": [{"id": 1}, {"name": "green"}, {"id": 7}, {"name": "gren"}]},
            {"exclude": [{"compute_nodes": [{"name": "h1"}, {"name": "h-1"}]}]},
            {"exclude": [{"instances": [{"uuid": uid("s1")}, {"uuid": uid("gone")}]}]},
        ]
        expected = sorted(["az9", "7", "gren", "h-1", uid("gone")])
        self.assertEqual(expected, scope.unknown(model, [{"compute": rules}]))
        self.assertEqual([], scope.unknown(model, [{"storage": []}]))

    def test_included_zones_and_aggregates_add_up(self):
        self.assertEqual(["h3"], hosts({"availability_zones": [{"name": "az2"}]}))
        self.assertEqual(["h1", "h2"], hosts({"host_aggregates": [{"id": 1}]}))
        self.assertEqual(["h2"], hosts({"host_aggregates": [{"name": "green"}]}))
        self.assertEqual(
            ["h2", "h3"],
            hosts(
                {"host_aggregates": [{"name": "green"}]},
                {"availability_zones": [{"name": "az2"}]},
            ),
        )

    def test_a_star_is_every_zone_or_every_aggregate(self):
        self.assertEqual(["h1", "h2", "h3"], hosts({"availability_zones": [{"name": "*"}]}))
        self.assertEqual(["h1", "h2"], hosts({"host_aggregates": [{"id": "*"}]}))
        self.assertEqual(["h1", "h2"], hosts({"host_aggregates": [{"name": "*"}]}))

    def test_what_matches_nothing_leaves_nothing(self):
        self.assertEqual(([], [], []), seen({"availability_zones": [{"name": "az9"}]}))

    def test_excluded_hosts_go_with_their_servers(self):
        self.assertEqual(
            (["h1", "h2"], ["s1", "s2"], []),
            seen({"exclude": [{"compute_nodes": [{"name": "h3"}]}]}),
        )
        self.assertEqual(
            ["h1", "h3"], hosts({"exclude": [{"host_aggregates": [{"name": "green"}]}]})
        )

    def test_an_unknown_host_is_no_error(self):
        self.assertEqual(
            ["h1", "h2", "h3"], hosts({"exclude": [{"compute_nodes": [{"name": "h9"}]}]})
        )

    def test_excluded_servers_stay_as_load(self):
        self.assertEqual(["s2"], stay(instances=[{"uuid": uid("s2")}]))
        self.assertEqual(["s1", "s2", "s4"], stay(projects=[{"uuid": "p1"}]))
        self.assertEqual(
            ["s2", "s3"], stay(instances=[{"uuid": uid("s2")}], projects=[{"uuid": "p2"}])
        )

    def test_metadata_needs_all_keys_and_one_equal_value(self):
        self.assertEqual(["s1", "s4"], stay(instance_metadata=[{"tier": "GOLD"}]))
        self.assertEqual(["s1"], stay(instance_metadata=[{"tier": "gold", "owner": "you"}]))
        self.assertEqual([], stay(instance_metadata=[{"tier": "tin"}, {"colour": "red"}, {}]))

    def test_what_is_left_is_a_whole_model(self):
        model = scope.apply(
            ComputeModel.build(HOSTS, SERVERS),
            [{"compute": [{"exclude": [{"compute_nodes": [{"name": "h1"}]}]}]}],
        )
        self.assertEqual([0, 1, 1], model.placement.tolist())
        self.assertEqual((2, 4), model.capacity.shape)
        self.assertEqual((3, 4), model.demand.shape)
        self.assertEqual({"h2": 0, "h3": 1}, model.host_index)

    @given(st.sets(st.sampled_from(["h1", "h2", "h3"])))
    def test_servers_stay_on_their_hosts(self, gone):
        model = scope.apply(
            ComputeModel.build(HOSTS, SERVERS),
            [{"compute": [{"exclude": [{"compute_nodes": [{"name": name} for name in gone]}]}]}],
        )
        self.assertEqual({"h1", "h2", "h3"} - gone, {each.hostname for each in model.hosts})
        self.assertEqual(
            [each.host for each in model.servers],
            [model.hosts[where].hostname for where in model.placement],
        )
