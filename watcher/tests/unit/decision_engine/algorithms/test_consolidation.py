# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine.algorithms import consolidation
from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.node_resource_consolidation import (
    NodeResourceConsolidation,
)
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.model.compute import MEMORY, ComputeModel
from watcher.model.whatif import WhatIf
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

SIZES = [(48, 196608, 3000), (64, 262144, 4000), (96, 393216, 6000)]
FLAVORS = [(1, 2048, 20), (2, 4096, 40), (4, 8192, 80), (8, 16384, 160), (8, 32768, 80)]


def cluster(chance, hosts, servers):
    """Hosts of three sizes and servers of five, never over capacity."""
    machines = []
    for number in range(hosts):
        vcpus, memory_mb, disk_gb = chance.choice(SIZES)
        machines.append(
            host(f"h{number:03}", vcpus, memory_mb=memory_mb, disk_gb=disk_gb, vcpu_ratio=2.0)
        )
    free = [[2 * one.vcpus, one.memory_mb, one.disk_gb] for one in machines]
    placed = []
    for number in range(servers):
        flavor = chance.choices(FLAVORS, [35, 30, 22, 10, 3])[0]
        place = chance.randrange(hosts)
        if all(left >= wanted for left, wanted in zip(free[place], flavor, strict=True)):
            free[place] = [left - wanted for left, wanted in zip(free[place], flavor, strict=True)]
            vcpus, memory_mb, disk_gb = flavor
            name, there = f"s{number:05}", machines[place].hostname
            placed.append(server(name, there, vcpus, memory_mb=memory_mb, disk_gb=disk_gb))
    return ComputeModel.build(machines, placed)


def first_fit_decreasing(model):
    """How many hosts stay empty if all servers are placed anew, the largest first."""
    demands = (model.demand / model.capacity.mean(axis=0)).max(axis=1)
    free = model.capacity[np.argsort(-model.capacity[:, MEMORY], kind="stable")]
    used = set()
    for one in np.argsort(-demands, kind="stable"):
        place = next(
            number for number, left in enumerate(free) if (left >= model.demand[one]).all()
        )
        free[place] -= model.demand[one]
        used.add(place)
    return len(model.hosts) - len(used)


class ReleaseTest(TestCase):
    def test_the_better_order_wins(self):
        # From h1 on nothing fits anywhere; from h2 on, h1 takes all.
        hosts = [host("h1", 8), host("h2", 3), host("h3", 3)]
        servers = [server("s1", "h1", 2), server("s2", "h2", 3), server("s3", "h3", 3)]
        what_if = WhatIf(ComputeModel.build(hosts, servers))
        loads, sizes = np.array([1.0, 2.0, 3.0]), np.ones(3)
        given_order = consolidation.least_first(what_if, loads, sizes)
        self.assertEqual([0, 1, 2], given_order.hosts.tolist())
        smallest = consolidation.smallest_first(what_if)
        self.assertEqual([1, 2, 0], smallest.hosts.tolist())
        self.assertEqual([1, 2], consolidation.release(what_if, [given_order, smallest]).hosts)
        self.assertEqual([0, 0, 0], what_if.placement.tolist())
        self.assertEqual([True, False, False], what_if.takers.tolist())

    def test_what_stays_anyway_takes_first(self):
        hosts = [host("h1", 4), host("h2", 8), host("h3", 2)]
        servers = [
            server("s1", "h1", 2, locked=True),
            server("s2", "h2", 2),
            server("s3", "h3", 2),
        ]
        what_if = WhatIf(ComputeModel.build(hosts, servers))
        self.assertEqual([0, 1, 2], consolidation.smallest_first(what_if).takers.tolist())

    @settings(max_examples=30, deadline=None)
    @given(st.integers(2, 20), st.integers(1, 25), st.integers(0))
    def test_as_good_as_first_fit_decreasing(self, hosts, crowd, seed):
        model = cluster(random.Random(seed), hosts, hosts * crowd)
        inputs = clusters.inputs(NodeResourceConsolidation, model, host_choice="specify")
        solution = NodeResourceConsolidation().execute(inputs)
        self.assertEqual([], checker.faults(solution, model))
        used = solution.summary["hosts in use"]
        self.assertGreaterEqual(hosts - used["after"], first_fit_decreasing(model))
        # Whoever is on a host that is freed moves, once, and nobody else does.
        freed = {source for _, source, _ in clusters.moves(solution)}
        self.assertLessEqual(used["before"] - used["after"], len(freed))
        self.assertEqual(
            sorted(one.name for one in model.servers if one.host in freed),
            sorted(name for name, _, _ in clusters.moves(solution)),
        )

    def test_a_host_is_not_emptied_by_half(self):
        hosts = [host("h1", 4), host("h2", 6)]
        servers = [server("s1", "h1", 2), server("s2", "h1", 2), server("s3", "h2", 4)]
        model = ComputeModel.build(hosts, servers)
        for strategy in (Basic, VmWorkloadConsolidation, NodeResourceConsolidation):
            measured = Metrics(**{name: {} for name in strategy.metrics})
            solution = strategy().execute(clusters.inputs(strategy, model, measured))
            self.assertEqual((), solution.actions)

    def test_an_empty_host_is_filled_if_that_frees_more(self):
        hosts = [host("h1", 2), host("h2", 2), host("h3", 2), host("h4", 6)]
        for vcpus, released, used in ((2, [0, 1, 2], {3}), (1, [0], {1, 2})):
            servers = [server(f"s{number}", f"h{number}", vcpus) for number in (1, 2, 3)]
            if vcpus == 1:
                servers[2] = dataclasses.replace(servers[2], locked=True, vcpus=2)
            what_if = WhatIf(ComputeModel.build(hosts, servers))
            trials = consolidation.orders(what_if, np.arange(4.0), np.ones(3))
            self.assertEqual(released, consolidation.release(what_if, trials).hosts)
            self.assertEqual(used, set(what_if.placement.tolist()))

    def test_the_search_ends_after_max_failures(self):
        hosts = [host(f"h{number}", 2) for number in range(4)]
        servers = [server(f"s{number}", f"h{number}", 1 + number % 2) for number in range(4)]
        model = ComputeModel.build(hosts, servers)
        for max_failures, expected in ((0, []), (1, []), (2, [0])):
            what_if = WhatIf(model)
            order = consolidation.least_first(what_if, np.array([3.0, 2, 4, 1]), np.ones(4))
            self.assertEqual(expected, consolidation.release(what_if, [order], max_failures).hosts)


class RelieveTest(TestCase):
    """h1 uses 7 of 5 of what is measured, h2 and h3 use 1 of 5."""

    def setUp(self):
        super().setUp()
        self.hosts = [host("h1"), host("h2"), host("h3")]
        self.servers = [server(f"s{number}", "h1") for number in range(1, 5)]

    def relieve(self, use, room, standby=()):
        model = ComputeModel.build(self.hosts, self.servers)
        what_if = WhatIf(model, np.array(use)[:, None], np.array(room)[:, None])
        for spare in standby:
            what_if.takers[spare] = False
        enabled = consolidation.relieve(
            what_if, model.demand.shape[1], np.array([2, 1, 0]), standby
        )
        return [(move.server, move.destination) for move in what_if.moves], enabled

    def test_the_smallest_server_that_is_enough_leaves(self):
        moves, _ = self.relieve([0.5, 4.0, 2.0, 0.5], [-2.0, 4.0, 4.0])
        self.assertEqual([(2, 2)], moves)

    def test_else_the_largest_does(self):
        moves, _ = self.relieve([0.5, 1.0, 1.5, 0.0], [-2.0, 4.0, 1.0])
        self.assertEqual([(2, 1), (0, 2)], moves)

    def test_a_server_that_uses_nothing_stays(self):
        self.assertEqual(([], []), self.relieve([0.0] * 4, [-2.0, 4.0, 4.0]))

    def test_no_host_is_loaded_beyond_its_room(self):
        moves, _ = self.relieve([3.0, 3.0, 3.0, 3.0], [-2.0, 2.0, 2.0])
        self.assertEqual([], moves)

    def test_hosts_wake_only_when_they_are_needed(self):
        use = [2.0, 2.0, 2.0, 1.0]
        self.assertEqual(([(0, 1)], []), self.relieve(use, [-2.0, 4.0, 4.0], standby=[2]))
        self.assertEqual(([(0, 1), (1, 2)], [2]), self.relieve(use, [-4.0, 2.0, 4.0], standby=[2]))
        self.assertEqual(([], []), self.relieve(use, [-2.0, 0.5, 0.5], standby=[2]))


class NothingTest(TestCase):
    """A scope may leave no host, and hosts may have no servers."""

    def test_it_is_not_an_error(self):
        for strategy in (Basic, VmWorkloadConsolidation, NodeResourceConsolidation):
            measured = Metrics(**{name: {} for name in strategy.metrics})
            for hosts in ([], [host("h1", state="down")]):
                model = ComputeModel.build(hosts, [])
                solution = strategy().execute(clusters.inputs(strategy, model, measured))
                self.assertEqual((), solution.actions)
                self.assertEqual(0, solution.indicators["released_compute_nodes_count"])
                self.assertEqual({"before": 0, "after": 0}, solution.summary["hosts in use"])
                json.dumps(solution.summary)
