# SPDX-License-Identifier: Apache-2.0
import dataclasses

import fixtures
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import ServerGroup
from watcher.common import schemas
from watcher.common.errors import Invalid
from watcher.decision_engine import efficacy
from watcher.decision_engine.algorithms import search
from watcher.decision_engine.goals import WorkloadBalancingGoal
from watcher.decision_engine.strategies.allocation_balance import AllocationBalance
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters, oracle
from watcher.tests.unit.decision_engine.clusters import host, server
from watcher.tests.unit.decision_engine.test_balancing_bounds import BOUNDS, memory


def solve(model, **how):
    return AllocationBalance().execute(clusters.inputs(AllocationBalance, model, **how))


class AllocationBalanceTest(TestCase):
    def setUp(self):
        super().setUp()
        # After a failover: all servers are on h1, 8 of its 10 vCPUs.
        self.hosts = [host("h1"), host("h2")]
        self.servers = [server(f"s{number}", "h1", 2) for number in range(4)]

    def solve(self, **how):
        return solve(ComputeModel.build(self.hosts, self.servers), **how)

    def test_a_host_that_comes_back_gets_its_part(self):
        solution = self.solve()
        self.assertEqual([("s0", "h1", "h2"), ("s1", "h1", "h2")], clusters.moves(solution))
        self.assertEqual(
            "h1 at 80.0% vCPU allocation, h2 at 0.0%; standard deviation 0.4000 -> 0.2000",
            solution.actions[0].reason,
        )
        vcpus = solution.summary["standard deviation of allocated vCPUs"]
        self.assertEqual([0.4, 0], [round(vcpus[when], 9) for when in ("before", "after")])
        self.assertIn("standard deviation of allocated memory", solution.summary)
        self.assertEqual(100, solution.gain)
        self.assertEqual("standard deviation of allocated vCPUs", solution.promise.figure)
        ratios, rows = efficacy.compute(WorkloadBalancingGoal, solution.indicators)
        self.assertEqual((50, 4), (ratios[0]["value"], len(rows)))

    def test_memory_counts_as_well(self):
        self.servers = [server(f"s{number}", "h1", 0, memory_mb=2500) for number in range(2)]
        solution = self.solve()
        self.assertEqual([("s0", "h1", "h2")], clusters.moves(solution))
        self.assertIn("h1 at 50.0% memory allocation", solution.actions[0].reason)
        self.assertEqual((), self.solve(thresholds={"memory": 1}).actions)

    def test_ratio_and_reserve_count(self):
        # 8 of (10 - 2) x 3 on h1; nothing on h2: a deviation of a sixth.
        self.hosts[0] = host("h1", vcpu_ratio=3.0, vcpus_reserved=2)
        solution = self.solve(thresholds={"vcpus": 0.17})
        self.assertEqual((), solution.actions)
        before = solution.indicators["standard_deviation_before_audit"]
        self.assertAlmostEqual(1 / 6, before)

    def test_stopped_servers_count_and_stay(self):
        self.servers = [dataclasses.replace(each, state="stopped") for each in self.servers]
        solution = self.solve()
        self.assertEqual((), solution.actions)
        self.assertEqual(
            "The standard deviation of vCPU allocation stays at 0.4, above 0.1: "
            "4 servers stay: 4 not active (s0, s1, s2, ...).",
            undone.sentence(solution.unmet, solution.undone),
        )

    def test_hosts_without_capacity_take_no_part(self):
        self.hosts.append(host("h3", 0))
        self.assertEqual({"h2"}, {to for _, _, to in clusters.moves(self.solve())})
        self.assertEqual((), solve(ComputeModel.build([], [])).actions)

    def test_what_waits(self):
        solution = self.solve(bounds=Bounds(actions=1))
        self.assertEqual([("s0", "h1", "h2")], clusters.moves(solution))
        self.assertEqual(
            "The standard deviation of vCPU allocation stays at 0.2, above 0.1: "
            "1 server stays: 1 left for the next run by the limits of the webhook or of "
            "[optimization] (s1).",
            undone.sentence(solution.unmet, solution.undone),
        )

    def test_parameters(self):
        defaults = {"thresholds": {"vcpus": 0.1, "memory": 0.1}}
        self.assertEqual(defaults, schemas.parameters(AllocationBalance.schema, {}))
        for wrong in ({"vcpus": 2}, {"disk": 0.1}):
            error = self.assertRaises(
                Invalid, schemas.parameters, AllocationBalance.schema, {"thresholds": wrong}
            )
            self.assertIn("parameters.thresholds", str(error))


def deviations(cluster, place):
    """Of vCPUs and memory, over the hosts that are available."""
    found = []
    for asked, total in (("vcpus", "vcpus"), ("memory_mb", "memory_mb")):
        ratio, reserved = total.removesuffix("_mb").rstrip("s") + "_ratio", total + "_reserved"
        found.append(
            np.std(
                [
                    sum(
                        checker.amount(one, asked)
                        for one in cluster.servers
                        if place[one.name] == each.hostname
                    )
                    / ((getattr(each, total) - getattr(each, reserved)) * getattr(each, ratio))
                    for each in cluster.hosts
                    if each.available
                ]
                or [0.0]
            )
        )
    return found


class RulesTest(TestCase):
    """What holds on any cluster."""

    def check(self, cluster, **how):
        solution = solve(cluster.model, **how)
        self.assertEqual([], checker.faults(solution, cluster.model))
        self.assertEqual(solution, solve(cluster.model, **how))
        home = {one.name: one.host for one in cluster.servers}
        place = home | {name: to for name, _, to in clusters.moves(solution)}
        for figure, before, after in zip(
            ("vCPUs", "memory"), deviations(cluster, home), deviations(cluster, place), strict=True
        ):
            found = solution.summary[f"standard deviation of allocated {figure}"]
            self.assertAlmostEqual(before, found["before"])
            self.assertAlmostEqual(after, found["after"])
        return solution, place

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), BOUNDS, st.sampled_from([0.5, 5000]))
    def test_nothing_is_broken(self, cluster, bounds, small):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", small))
        solution, _ = self.check(cluster, bounds=bounds, thresholds={"vcpus": 0.02})
        self.assertLessEqual(memory(solution, cluster.model), bounds.memory_mb)
        if bounds.actions is not None:
            self.assertLessEqual(len(solution.actions), bounds.actions)

    def test_a_move_that_a_wish_diverts_gains_nothing(self):
        """The coldest host wishes no second member, and the next one would get too much."""
        sizes = {"h0": 4, "h1": 4, "h2": 16, "h3": 8, "h4": 16}
        hosts = [host(name, size, memory_mb=16000) for name, size in sizes.items()]
        hosts = [
            dataclasses.replace(each, memory_mb=8000) if each.vcpus == 16 else each
            for each in hosts
        ]
        placed = {
            "h0": [(2, 500)],
            "h1": [(2, 1000), (1, 1000)],
            "h2": [(1, 500), (1, 500), (2, 1000), (2, 500)],
            "h3": [(1, 500), (1, 500), (1, 1000), (1, 1000)],
            "h4": [(4, 1000), (1, 500), (1, 500), (1, 500)],
        }
        servers = [
            server(f"{name}s{n}", name, vcpus, memory_mb=size, locked=(n, vcpus) == (0, 2))
            for name, each in placed.items()
            for n, (vcpus, size) in enumerate(each)
        ]
        members = [clusters.uid(name) for name in ("h1s1", "h2s1", "h3s2")]
        groups = [ServerGroup(clusters.uid("g"), "soft-anti-affinity", members)]
        first = solve(ComputeModel.build(hosts, servers, groups))
        place = {name: to for name, _, to in clusters.moves(first)}
        servers = [
            dataclasses.replace(each, host=place.get(each.name, each.host)) for each in servers
        ]
        self.assertEqual((), solve(ComputeModel.build(hosts, servers, groups)).actions)

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.sampled_from([0.5, 5000]))
    def test_no_plan_is_worse_than_none(self, cluster, small):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", small))
        _, place = self.check(cluster)
        before, after = (
            sum(max(0, each - 0.1) for each in deviations(cluster, where))
            for where in ({one.name: one.host for one in cluster.servers}, place)
        )
        self.assertLessEqual(after, before + 1e-9)

    @settings(max_examples=40, deadline=None)
    @given(checker.drawn_clusters(hosts=3, servers=5), st.integers(0, 4))
    def test_no_plan_is_better_on_a_small_cluster(self, cluster, most):
        cluster = cluster.without_wishes()
        solution, place = self.check(cluster, bounds=Bounds(actions=most))
        live = [one.name for one in cluster.servers if one.state in ("active", "paused")]

        def away(place):
            return sum(max(0, each - 0.1) for each in deviations(cluster, place))

        ends = [
            (away(end), moves) for moves, end in oracle.ends(cluster.model, live) if moves <= most
        ]
        nearest = min(one for one, _ in ends)
        self.assertAlmostEqual(nearest, away(place), places=6)
        self.assertEqual(
            min(moves for one, moves in ends if one < nearest + 1e-8), len(solution.actions)
        )
