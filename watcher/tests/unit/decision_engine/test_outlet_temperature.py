# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine.strategies.outlet_temperature import OutletTemperature
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

ALONE = "hot hosts not relieved"


def solve(model, heat, **parameters):
    measured = Metrics(host_outlet_temp=heat)
    return OutletTemperature().execute(
        clusters.inputs(OutletTemperature, model, measured, **parameters)
    )


class OutletTemperatureTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in (1, 2, 3, 4)]
        self.servers = [server("s1", "h1", 1), server("s2", "h1", 2), server("s3", "h2", 1)]
        self.heat = {"h1": 40, "h2": 42, "h3": 20, "h4": 25}

    def solve(self, **parameters):
        return solve(ComputeModel.build(self.hosts, self.servers), self.heat, **parameters)

    def moves(self):
        return clusters.moves(self.solve())

    def test_each_hot_host_loses_its_largest_server_the_warmest_first(self):
        # Each to a host of its own, although h3 is cooler.
        solution = self.solve()
        self.assertEqual([("s3", "h2", "h3"), ("s2", "h1", "h4")], clusters.moves(solution))
        self.assertEqual(
            ["live", "live"],
            [action.input_parameters["migration_type"] for action in solution.actions],
        )
        self.assertEqual(
            "h2 at 42.0 °C, threshold 35 °C; h3 at 20.0 °C", solution.actions[0].reason
        )
        self.assertEqual({ALONE: {"before": 2, "after": 0}}, solution.summary)
        self.assertEqual({}, solution.indicators)

    def test_hosts_take_turns(self):
        self.heat["h4"] = 36
        self.servers.append(server("s4", "h4"))
        self.assertEqual(["h3", "h3", "h3"], [to for _, _, to in self.moves()])

    def test_at_the_threshold_a_host_is_hot(self):
        self.heat = {"h1": 35, "h3": 34.9}
        self.assertEqual([("s2", "h1", "h3")], self.moves())

    def test_the_next_server_goes_if_the_largest_has_no_place(self):
        self.hosts[2:] = [host("h3", 1), host("h4", 0)]
        del self.heat["h2"]
        self.assertEqual([("s1", "h1", "h3")], self.moves())

    def test_a_hot_host_that_cannot_be_helped_does_not_keep_others_from_it(self):
        self.servers[2] = dataclasses.replace(self.servers[2], locked=True)
        self.assertEqual([("s2", "h1", "h3")], self.moves())

    def test_only_active_servers_move(self):
        for state in ("paused", "stopped"):
            self.servers[1] = dataclasses.replace(self.servers[1], state=state)
            self.assertEqual({"s1", "s3"}, {name for name, _, _ in self.moves()})

    def test_hosts_without_temperature_take_no_part(self):
        self.heat = {"h1": 40, "h2": math.nan, "h4": 25}
        self.assertEqual([("s2", "h1", "h4")], self.moves())
        self.heat = {}
        self.assertEqual([], self.moves())

    def test_without_a_cool_host_nothing_moves(self):
        self.heat = dict.fromkeys(("h1", "h2", "h3", "h4"), 50)
        self.assertEqual([], self.moves())

    def test_unavailable_hosts_take_no_part(self):
        self.hosts[2] = dataclasses.replace(self.hosts[2], status="disabled")
        self.hosts[1] = dataclasses.replace(self.hosts[1], state="down")
        self.assertEqual([("s2", "h1", "h4")], self.moves())

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.data())
    def test_nothing_is_broken(self, cluster, data):
        names = st.sampled_from([each.hostname for each in cluster.hosts])
        heat = data.draw(st.dictionaries(names, st.floats(20, 50)))
        solution = solve(cluster.model, heat)
        self.assertEqual([], checker.faults(solution, cluster.model))
        self.assertEqual(solution, solve(cluster.model, heat))
        sources = [source for _, source, _ in clusters.moves(solution)]
        self.assertEqual(len(sources), len(set(sources)), "more than one off a host")
        for name, source, destination in clusters.moves(solution):
            self.assertGreaterEqual(heat[source], 35, name)
            self.assertLess(heat[destination], 35, name)
