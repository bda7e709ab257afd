# SPDX-License-Identifier: Apache-2.0
"""Strategies that take servers off hosts: what fits into a plan, and what stays and why."""

import collections
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine.algorithms.spreading import SourceHost, Spreading
from watcher.decision_engine.strategies.noisy_neighbor import NoisyNeighbor
from watcher.decision_engine.strategies.outlet_temperature import OutletTemperature
from watcher.decision_engine.strategies.uniform_airflow import UniformAirflow
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server
from watcher.tests.unit.decision_engine.test_balancing_bounds import BOUNDS, memory
from watcher.tests.unit.decision_engine.test_noisy_neighbor import Caches

WAITS = "left for the next run by the limits of the webhook or of [optimization]"


class SpreadingTestCase(TestCase):
    STRATEGY = None

    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in (1, 2, 3, 4)]
        self.servers = [server("s1", "h1", 1), server("s2", "h1", 2), server("s3", "h2", 1)]
        self.measured = None

    def solve(self, bounds=Bounds()):  # noqa: B008 (immutable)
        model = ComputeModel.build(self.hosts, self.servers)
        return self.STRATEGY().execute(
            clusters.inputs(self.STRATEGY, model, self.measured, bounds=bounds)
        )

    def check(self, names, said, gain, bounds=Bounds()):  # noqa: B008
        solution = self.solve(bounds)
        self.assertEqual(names, [name for name, _, _ in clusters.moves(solution)])
        self.assertEqual(said, undone.sentence(solution.unmet, solution.undone))
        self.assertEqual(gain, solution.gain)


class HeatTest(SpreadingTestCase):
    STRATEGY = OutletTemperature

    def setUp(self):
        super().setUp()
        self.measured = Metrics(host_outlet_temp={"h1": 40, "h2": 42, "h3": 20, "h4": 25})

    def test_in_order(self):
        self.check(["s3", "s2"], "", 100)
        self.measured = Metrics(host_outlet_temp=dict.fromkeys(("h1", "h2", "h3", "h4"), 20))
        self.check([], "", None)

    def test_the_warmest_host_first_the_others_wait(self):
        self.check(
            ["s3"],
            f"1 of 4 hosts stays at 35 °C or above: 1 server stays: 1 {WAITS} (s2).",
            50,
            Bounds(actions=1),
        )
        self.check(
            ["s3"],
            f"1 of 4 hosts stays at 35 °C or above: 1 server stays: 1 {WAITS} (s2).",
            50,
            Bounds(memory_mb=199),
        )

    def test_a_smaller_server_may_be_within_the_bounds(self):
        self.servers[1] = dataclasses.replace(self.servers[1], memory_mb=500)
        self.check(["s3", "s1"], "", 100, Bounds(memory_mb=300))

    def test_all_hosts_are_hot(self):
        self.measured = Metrics(host_outlet_temp=dict.fromkeys(("h1", "h2", "h3", "h4"), 50))
        self.check(
            [],
            "4 of 4 hosts stay at 35 °C or above: 3 servers stay: "
            "3 without another host that takes servers (s1, s2, s3).",
            0,
        )

    def test_why_the_servers_of_a_hot_host_stay(self):
        self.servers[0] = dataclasses.replace(self.servers[0], state="paused")
        self.servers[1] = dataclasses.replace(self.servers[1], locked=True)
        self.check(
            ["s3"],
            "1 of 4 hosts stays at 35 °C or above: 2 servers stay: "
            "1 not active (s1), 1 locked (s2).",
            50,
        )

    def test_hosts_that_are_not_measured(self):
        self.measured = Metrics(host_outlet_temp={"h1": 20, "h4": float("nan")})
        self.check([], "3 hosts stay: 3 without a value of host_outlet_temp (h2, h3, h4).", None)


class AirflowTest(SpreadingTestCase):
    STRATEGY = UniformAirflow

    def setUp(self):
        super().setUp()
        self.power = {"h1": 100}
        self.measured = Metrics(
            host_airflow={"h1": 500, "h2": 450, "h3": 300, "h4": 200},
            host_inlet_temp={"h1": 20},
            host_power=self.power,
        )

    def test_in_order(self):
        self.check(["s2", "s1", "s3"], "", 100)

    def test_a_faulty_host_is_emptied_in_parts(self):
        self.check(
            ["s2"],
            f"2 of 4 hosts stay at an airflow of 400 or above: 2 servers stay: 2 {WAITS} (s1, s3).",
            0,
            Bounds(actions=1),
        )

    def test_no_part_of_a_host_that_cannot_be_emptied(self):
        self.hosts[2:] = [host("h3", 2), host("h4", 0)]
        self.check(
            ["s3"],
            "1 of 4 hosts stays at an airflow of 400 or above: "
            "2 servers stay: 1 too large for the room on any other host (s2), "
            "1 on a host that cannot be emptied as a whole (s1).",
            50,
            Bounds(actions=1),
        )

    def test_a_faulty_host_of_which_nothing_can_leave(self):
        self.servers = [dataclasses.replace(each, locked=True) for each in self.servers]
        self.check(
            [],
            "2 of 4 hosts stay at an airflow of 400 or above: 3 servers stay: "
            "3 locked (s1, s2, s3).",
            0,
        )


class NoiseTest(SpreadingTestCase):
    STRATEGY = NoisyNeighbor

    def setUp(self):
        super().setUp()
        self.servers = [
            server(f"{name}{number}", f"h{number}", metadata={"watcher-priority": str(place)})
            for number, first in ((1, 3), (2, 1))
            for name, place in (("quiet", first), ("loud", 9))
        ]
        self.measured = Caches(
            quiet1=(100, 60), loud1=(100, 140), quiet2=(100, 60), loud2=(100, 140)
        )

    def test_who_comes_first_is_helped_first(self):
        self.check(["loud2", "loud1"], "", 100)
        self.check(
            ["loud2"],
            f"1 of 4 hosts stays with a noisy neighbor: 1 server stays: 1 {WAITS} (loud1).",
            50,
            Bounds(actions=1),
        )

    def test_why_a_noisy_server_stays(self):
        self.servers[1] = dataclasses.replace(self.servers[1], locked=True)
        self.check(
            ["loud2"],
            "1 of 4 hosts stays with a noisy neighbor: 1 server stays: 1 locked (loud1).",
            50,
        )


class RulesTest(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), BOUNDS, st.data())
    def test_no_plan_goes_beyond_its_bounds(self, cluster, bounds, data):
        names = [each.hostname for each in cluster.hosts]

        def drawn(*values):
            return data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from(values)))

        metrics = Metrics(
            host_outlet_temp=drawn(20, 40, 50),
            host_airflow=drawn(100, 450, 600),
            host_inlet_temp=drawn(20, 40),
            host_power=drawn(100, 600),
        )
        cache = st.tuples(st.just(100), st.sampled_from([60, 100, 140]))
        caches = Caches(**{each.name: data.draw(cache) for each in cluster.servers})
        for strategy, measured in (
            (OutletTemperature, metrics),
            (UniformAirflow, metrics),
            (NoisyNeighbor, caches),
        ):
            inputs = clusters.inputs(strategy, cluster.model, measured, bounds=bounds)
            solution = strategy().execute(inputs)
            self.assertEqual([], checker.faults(solution, cluster.model))
            if bounds.actions is not None:
                self.assertLessEqual(len(solution.actions), bounds.actions)
            self.assertLessEqual(memory(solution, cluster.model), bounds.memory_mb)
            self.assertEqual(solution, strategy().execute(inputs))
            moved = {name for name, _, _ in clusters.moves(solution)}
            for each in solution.undone:
                self.assertFalse(moved & set(each.examples))

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.data())
    def test_hosts_take_turns(self, cluster, data):
        takers = data.draw(st.permutations(range(len(cluster.hosts))))
        spreading, taken = Spreading(cluster.model, takers), collections.Counter()
        for each in range(len(cluster.servers)):
            fit = spreading.whatif.hosts_for(each).nonzero()[0].tolist()
            turns = sorted(fit, key=lambda index: (taken[index], takers.index(index)))
            moves = spreading.relieve(SourceHost([each], [each]))
            self.assertEqual(turns[:1], [move.destination for move in moves])
            taken.update(turns[:1])
