# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine.strategies.noisy_neighbor import NoisyNeighbor, priority
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid

ALONE = "hosts with a noisy neighbor not relieved"


class Caches:
    """Cache use by name, as (bytes in the period before, bytes in the last period)."""

    def __init__(self, **values):
        self.values = {uid(name): pair for name, pair in values.items()}
        self.calls = []

    def read(self, name, servers, period, aggregate, granularity, optional=()):
        self.calls.append((name, period, aggregate, granularity))
        pairs = {each.uuid: self.values[each.uuid] for each in servers if each.uuid in self.values}
        if period == 100:
            return {key: now for key, (before, now) in pairs.items() if now is not None}
        return {
            key: (before + (now or 0)) / 2
            for key, (before, now) in pairs.items()
            if before is not None
        }


def solve(model, caches, **parameters):
    return NoisyNeighbor().execute(clusters.inputs(NoisyNeighbor, model, caches, **parameters))


class NoisyNeighborTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host("h1"), host("h2"), host("h3")]
        self.servers = [
            server("s1", "h1", metadata={"watcher-priority": "1"}),
            server("s2", "h1", metadata={"watcher-priority": "9"}),
            server("s3", "h1"),
        ]
        self.caches = Caches(s1=(100, 64), s2=(100, 136), s3=(100, 136))

    def solve(self, **parameters):
        return solve(ComputeModel.build(self.hosts, self.servers), self.caches, **parameters)

    def moves(self, **parameters):
        return clusters.moves(self.solve(**parameters))

    def test_the_last_noisy_neighbor_of_one_that_suffers_moves(self):
        solution = self.solve()
        self.assertEqual([("s2", "h1", "h2")], clusters.moves(solution))
        self.assertEqual(
            "s2 takes cache from s1, which comes before it, on h1", solution.actions[0].reason
        )
        self.assertEqual({ALONE: {"before": 1, "after": 0}}, solution.summary)
        self.assertEqual({}, solution.indicators)
        self.assertEqual(
            [
                ("instance_l3_cache_usage", 100, "mean", 300),
                ("instance_l3_cache_usage", 200, "mean", 300),
            ],
            self.caches.calls,
        )

    def test_up_to_the_threshold_no_server_suffers_or_is_noisy(self):
        for values in ({"s1": (100, 65)}, {"s2": (100, 135), "s3": (100, 135)}):
            self.caches = Caches(**{"s1": (100, 64), "s2": (100, 136), "s3": (100, 136)} | values)
            self.assertEqual([], self.moves())
        self.assertEqual(1, len(self.moves(cache_threshold=34.0)))

    def test_who_comes_before_is_not_blamed(self):
        self.caches = Caches(s1=(100, 200), s2=(100, 10), s3=(100, 100))
        self.assertEqual([], self.moves())

    def test_the_next_one_moves_if_the_last_must_stay(self):
        self.servers[1] = dataclasses.replace(self.servers[1], locked=True)
        self.assertEqual([("s3", "h1", "h2")], self.moves())

    def test_each_host_is_helped_and_none_that_suffers_takes(self):
        self.servers += [
            server("t1", "h2", metadata={"watcher-priority": 1}),
            server("t2", "h2", metadata={"watcher-priority": 2}),
        ]
        self.caches = Caches(s1=(9, 1), s2=(1, 9), t1=(9, 1), t2=(1, 9))
        self.assertEqual([("s2", "h1", "h3"), ("t2", "h2", "h3")], self.moves())

    def test_garbage_for_a_priority_is_the_usual_one(self):
        for value in ("", "high", None, [], {}, "nan", math.nan, "5"):
            one = server("s1", "h1", metadata={"watcher-priority": value})
            self.assertEqual(5, priority(one))
        self.assertEqual(5, priority(server("s1", "h1")))
        self.assertEqual(-2.5, priority(server("s1", "h1", metadata={"watcher-priority": "-2.5"})))

    def test_servers_without_values_take_no_part(self):
        for caches in (
            Caches(s1=(None, 64), s2=(100, 136)),
            Caches(s1=(100, None), s2=(100, 136)),
            Caches(s1=(math.nan, 64), s2=(100, 136)),
            Caches(),
        ):
            self.caches = caches
            self.assertEqual([], self.moves())

    def test_hosts_and_servers_that_are_not_running_take_no_part(self):
        self.servers[1] = dataclasses.replace(self.servers[1], state="paused")
        self.assertEqual(["s3"], [name for name, _, _ in self.moves()])
        self.hosts[0] = dataclasses.replace(self.hosts[0], status="disabled")
        self.assertEqual([], self.moves())

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.data())
    def test_nothing_is_broken(self, cluster, data):
        amount = st.sampled_from([0, 10, 100])
        names = st.sampled_from([each.name for each in cluster.servers] or ["nobody"])
        values = data.draw(st.dictionaries(names, st.tuples(amount, amount)))
        solution = solve(cluster.model, Caches(**values))
        self.assertEqual([], checker.faults(solution, cluster.model))
        self.assertEqual(solution, solve(cluster.model, Caches(**values)))
        sources = [source for _, source, _ in clusters.moves(solution)]
        self.assertEqual(len(sources), len(set(sources)), "more than one off a host")
