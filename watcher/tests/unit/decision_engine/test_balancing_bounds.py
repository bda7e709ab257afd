# SPDX-License-Identifier: Apache-2.0
"""What plans of the balancing strategies cost, and that they keep within their bounds."""

import dataclasses

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.algorithms import beam, relief, search
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters, oracle
from watcher.tests.unit.decision_engine import test_workload_balance as balancing
from watcher.tests.unit.decision_engine import test_workload_stabilization as stabilization
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

CPU = "instance_cpu_usage"
MARGIN = Bounds(margin=1.5)


def stabilize(hosts, servers, measured, bounds=MARGIN, **parameters):
    model = ComputeModel.build(hosts, servers)
    return WorkloadStabilization().execute(
        clusters.inputs(WorkloadStabilization, model, measured, bounds=bounds, **parameters)
    )


def relieve(hosts, servers, cpu, bounds=MARGIN, **parameters):
    model = ComputeModel.build(hosts, servers)
    measured = Metrics(instance_cpu_usage=cpu)
    return WorkloadBalance().execute(
        clusters.inputs(WorkloadBalance, model, measured, bounds=bounds, **parameters)
    )


def memory(solution, model):
    """MiB that the migrations of a plan copy."""
    sizes = {one.uuid: one.memory_mb for one in model.servers}
    return sum(sizes[each.input_parameters["resource_id"]] for each in solution.actions)


def everywhere(test):
    """Both where all plans are looked at and where they are not."""

    def both(self):
        test(self)
        with fixtures.MockPatchObject(search, "SMALL", 0.5):
            test(self)

    return both


class HysteresisTest(TestCase):
    """A plan that starts on its own does not end just below its threshold."""

    HOSTS = [host(f"h{number}", 100) for number in (1, 2)]
    SERVERS = [server(f"s{number}", "h1", 10) for number in range(5)]
    MEASURED = stabilization.load(
        HOSTS, SERVERS, dict.fromkeys(("s0", "s1", "s2", "s3", "s4"), 100)
    )

    def moves(self, threshold, bounds):
        solution = stabilize(
            self.HOSTS, self.SERVERS, self.MEASURED, bounds, thresholds={CPU: threshold}
        )
        return len(solution.actions)

    @everywhere
    def test_a_plan_goes_below_its_threshold_by_a_tenth_of_it(self):
        # The deviation is 0.25, then 0.15 after one move and 0.05 after two.
        self.assertEqual(1, self.moves(0.16, Bounds()))
        self.assertEqual(2, self.moves(0.16, Bounds(hysteresis=0.1)))
        self.assertEqual(1, self.moves(0.17, Bounds(hysteresis=0.1)))

    @everywhere
    def test_nothing_moves_between_the_goal_and_the_threshold(self):
        self.assertEqual(0, self.moves(0.26, Bounds(hysteresis=0.1)))


class PricesTest(TestCase):
    """A move gains at least what it costs."""

    def uneven(self):
        """h1 is at 90 % by a server that stays; five more use next to nothing there."""
        hosts = [host(f"h{number}", 100) for number in (1, 2)]
        servers = [
            server("heavy", "h1", 90, locked=True),
            *(server(f"s{number}", "h1", memory_mb=1024) for number in range(5)),
        ]
        cpu = {"heavy": 100} | {f"s{number}": 0.04 for number in range(5)}
        return hosts, servers, stabilization.load(hosts, servers, cpu)

    @everywhere
    def test_five_migrations_for_next_to_nothing_are_not_made(self):
        solution = stabilize(*self.uneven(), bounds=Bounds())
        self.assertEqual(5, len(solution.actions))
        gained = [solution.indicators[f"standard_deviation_{x}_audit"] for x in ("before", "after")]
        self.assertAlmostEqual(0.00002, gained[0] - gained[1])
        self.assertEqual((), stabilize(*self.uneven()).actions)

    @everywhere
    def test_a_move_with_enough_gain_is_made_beside_others_without(self):
        hosts, servers, _ = self.uneven()
        servers.append(server("useful", "h1", 5))
        cpu = {"heavy": 100, "useful": 100} | {f"s{number}": 0.04 for number in range(5)}
        solution = stabilize(hosts, servers, stabilization.load(hosts, servers, cpu))
        self.assertEqual([("useful", "h1", "h2")], clusters.moves(solution))

    @everywhere
    def test_gains_below_the_threshold_count_too(self):
        # 0.1005 is above 0.1 by less than the price of the move, which makes it 0.0005.
        hosts = [host(f"h{number}", 1000) for number in (1, 2)]
        servers = [server("one", "h1", 100, memory_mb=9000), server("two", "h1", 101)]
        servers[1] = dataclasses.replace(servers[1], locked=True)
        measured = stabilization.load(hosts, servers, {"one": 100, "two": 100})
        solution = stabilize(hosts, servers, measured)
        self.assertEqual([("one", "h1", "h2")], clusters.moves(solution))

    @everywhere
    def test_of_servers_alike_the_one_with_less_memory_moves(self):
        hosts = [host("h1"), host("h2")]
        servers = [server(name, "h1", 4, memory_mb=2000) for name in ("a", "b", "c")]
        servers[1] = dataclasses.replace(servers[1], memory_mb=1000)
        cpu = dict.fromkeys(("a", "b", "c"), 50)
        measured = stabilization.load(hosts, servers, cpu)
        self.assertEqual([("b", "h1", "h2")], clusters.moves(stabilize(hosts, servers, measured)))
        solution = relieve(hosts, servers, cpu, threshold=50)
        self.assertEqual([("b", "h1", "h2")], clusters.moves(solution))

    @everywhere
    def test_a_host_is_not_relieved_of_next_to_nothing(self):
        hosts, servers, _ = self.uneven()
        cpu = {"heavy": 100} | {f"s{number}": 0.01 for number in range(5)}
        for bounds in (Bounds(), MARGIN):
            solution = relieve(hosts, servers, cpu, bounds, threshold=80)
            self.assertEqual((), solution.actions)
            self.assertIn(undone.NO_GAIN, {each.reason for each in solution.undone})

    @everywhere
    def test_next_to_nothing_is_enough_if_it_gets_a_host_below_the_threshold(self):
        hosts = [host("h1", 100), host("h2", 100)]
        servers = [server("heavy", "h1", 79, locked=True), server("light", "h1", 1)]
        cpu = {"heavy": 100, "light": 90}
        for threshold, moved in ((79.5, ["light"]), (78.5, [])):
            solution = relieve(hosts, servers, cpu, Bounds(), threshold=threshold)
            self.assertEqual(moved, [name for name, _, _ in clusters.moves(solution)])

    @everywhere
    def test_an_exchange_has_the_cost_of_both_moves(self):
        hosts = [host(name, 1000, memory_mb=10**6) for name in ("h1", "h2")]
        servers = [
            server("a1", "h1", 500, locked=True),
            server("a2", "h1", 400, memory_mb=1000),
            server("b1", "h2", 100, locked=True),
            server("b2", "h2", 300, memory_mb=1000),
        ]
        measured = stabilization.load(hosts, servers, dict.fromkeys(("a1", "a2", "b1", "b2"), 100))
        cheap = stabilize(hosts, servers, measured, thresholds={CPU: 0.0})
        self.assertEqual(1, len(cheap.actions))
        dear = dataclasses.replace(MARGIN, margin=500)
        self.assertEqual((), stabilize(hosts, servers, measured, dear).actions)


class BestFirstTest(TestCase):
    """Where not all plans can be looked at."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))
        self.useFixture(fixtures.MockPatchObject(relief, "ATTEMPTS", 0))
        self.useFixture(fixtures.MockPatchObject(beam, "MOST", 0))
        self.hosts = [host("h1"), host("h2"), host("h3", 20)]
        self.servers = [
            *(server(f"s{number}", "h1") for number in range(10)),
            server("big", "h2", 6),
            server("small", "h2", 3),
        ]
        self.cpu = {one.name: 100 for one in self.servers}

    def test_the_move_that_relieves_most_is_not_off_the_hottest_host(self):
        solution = relieve(self.hosts, self.servers, self.cpu, Bounds(actions=1), threshold=50)
        self.assertEqual([("big", "h2", "h3")], clusters.moves(solution))

    def test_the_move_that_evens_out_most(self):
        measured = stabilization.load(self.hosts, self.servers, self.cpu)
        solution = stabilize(self.hosts, self.servers, measured, Bounds(actions=1))
        self.assertEqual([("big", "h2", "h3")], clusters.moves(solution))


class UndoneTest(TestCase):
    """What stays as it is, in sentences."""

    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in (1, 2)]
        self.servers = [server(f"s{number}", "h1", 2) for number in range(4)]
        self.cpu = {f"s{number}": 100 for number in range(4)}

    def measured(self):
        return stabilization.load(self.hosts, self.servers, self.cpu)

    def said(self, solution):
        return undone.sentence(solution.unmet, solution.undone)

    @everywhere
    def test_nothing_is_said_when_all_is_in_order(self):
        solution = stabilize(self.hosts, self.servers, self.measured())
        self.assertEqual(("", 100), (self.said(solution), solution.gain))
        solution = relieve(self.hosts, self.servers, self.cpu, threshold=50)
        self.assertEqual(("", 100), (self.said(solution), solution.gain))
        self.assertEqual(2, len(solution.actions))

    @everywhere
    def test_what_waits_for_the_next_run(self):
        one = Bounds(actions=1)
        solution = stabilize(self.hosts, self.servers, self.measured(), one)
        self.assertEqual(1, len(solution.actions))
        self.assertEqual(50, solution.gain)
        waits = "left for the next run by the limits of the webhook or of [optimization]"
        self.assertEqual(
            "The standard deviation of CPU stays at 0.2, above 0.1: "
            f"1 server stays: 1 {waits} (s1).",
            self.said(solution),
        )
        solution = relieve(self.hosts, self.servers, self.cpu, one, threshold=50)
        self.assertEqual(1, len(solution.actions))
        self.assertEqual(
            f"1 of 2 hosts stays at 50 % CPU or above: 1 server stays: 1 {waits} (s1).",
            self.said(solution),
        )
        self.assertAlmostEqual(100 * 2 / 3, solution.gain, places=2)

    @everywhere
    def test_why_servers_of_uneven_hosts_stay(self):
        self.servers[0] = dataclasses.replace(self.servers[0], locked=True)
        self.servers[1] = dataclasses.replace(self.servers[1], state="paused", task_state="x")
        self.servers[2] = dataclasses.replace(self.servers[2], state="stopped")
        self.hosts[1] = host("h2", 1)
        solution = stabilize(self.hosts, self.servers, self.measured())
        self.assertEqual(
            "The standard deviation of CPU stays at 0.4, above 0.1: 4 servers stay: "
            "1 busy with another task (s1), 1 not active (s2), 1 locked (s0), "
            "1 too large for the room on any other host (s3).",
            self.said(solution),
        )

    @everywhere
    def test_all_hosts_over_the_threshold(self):
        servers = [*self.servers, *(server(f"t{number}", "h2", 2) for number in range(4))]
        cpu = {one.name: 100 for one in servers}
        solution = relieve(self.hosts, servers, cpu, threshold=80)
        self.assertEqual(0, solution.gain)
        self.assertEqual(
            "2 of 2 hosts stay at 80 % CPU or above: 8 servers stay: "
            "8 too much for the load of any other host (s0, s1, s2, ...).",
            self.said(solution),
        )

    def test_hosts_without_values_are_named(self):
        measured = Metrics(host_cpu_usage={"h1": 10}, instance_cpu_usage=self.cpu)
        solution = stabilize(self.hosts, self.servers, measured)
        self.assertEqual(
            "Less than two hosts can be compared, so no load can be evened out: 1 host stays: "
            "1 without a measured load (h2).",
            self.said(solution),
        )

    def test_a_deviation_that_is_hardly_above_its_threshold(self):
        self.hosts[1] = host("h2", 1)
        measured = Metrics(host_cpu_usage={"h1": 20.0002, "h2": 0}, instance_cpu_usage={})
        solution = stabilize(self.hosts, self.servers, measured)
        self.assertIn("stays at 0.100001, above 0.1", solution.unmet)


BOUNDS = st.builds(
    Bounds,
    actions=st.sampled_from([None, 0, 1, 2, 3]),
    memory_mb=st.sampled_from([0.0, 500.0, 2000.0, 4000.0, float("inf")]),
    margin=st.sampled_from([0.0, 1.5, 200.0]),
)


class RulesTest(TestCase):
    """What holds on any cluster."""

    def check(self, strategy, cluster, bounds, **parameters):
        model = cluster.model
        inputs = clusters.inputs(strategy, model, cluster.measured, bounds=bounds, **parameters)
        try:
            solution = strategy().execute(inputs)
        except MetricsUnavailable:
            return None
        self.assertEqual([], checker.faults(solution, model))
        self.assertLessEqual(
            len(solution.actions), len(model.servers) if bounds.actions is None else bounds.actions
        )
        self.assertLessEqual(memory(solution, model), bounds.memory_mb)
        self.assertEqual(solution, strategy().execute(inputs))
        moved = {name for name, _, _ in clusters.moves(solution)}
        for each in solution.undone:
            self.assertTrue(each.count)
            self.assertFalse(moved & set(each.examples))
        return solution

    @settings(max_examples=80, deadline=None)
    @given(checker.drawn_clusters(), BOUNDS, st.sampled_from([0.5, 5000]))
    def test_no_plan_goes_beyond_its_bounds(self, cluster, bounds, small):
        cluster = cluster.without_wishes()
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", small))
        self.useFixture(fixtures.MockPatchObject(relief, "ATTEMPTS", 2))
        self.check(WorkloadStabilization, cluster, bounds, thresholds={CPU: 0.05})
        self.check(WorkloadBalance, cluster, bounds, threshold=25)

    @settings(max_examples=40, deadline=None)
    @given(
        checker.drawn_clusters(hosts=3, servers=5).map(stabilization.measured_hosts),
        st.integers(0, 3),
        st.sampled_from([0.0, 20.0, 200.0]),
    )
    def test_the_best_plan_of_so_many_moves(self, cluster, most, margin):
        bounds, threshold = Bounds(actions=most, margin=margin), 0.05
        solution = self.check(WorkloadStabilization, cluster, bounds, thresholds={CPU: threshold})
        number = max(1, sum(each.available for each in cluster.hosts))
        prices = dict(
            zip(
                (one.name for one in cluster.model.servers),
                bounds.prices(cluster.model),
                strict=True,
            )
        )

        home = stabilization.home(cluster)

        def rank(place):
            deviation = stabilization.deviation(cluster, place)
            cost = sum(prices[name] for name in place if place[name] != home[name]) / number
            away = max(0, deviation - threshold)
            return away + max(0, cost - max(0, threshold - deviation))

        place = home | {name: to for name, _, to in clusters.moves(solution)}
        ends = oracle.ends(cluster.model, stabilization.movers(cluster))
        best = min(rank(end) for moves, end in ends if moves <= most)
        self.assertAlmostEqual(best, rank(place), places=6)

    @settings(max_examples=40, deadline=None)
    @given(
        checker.drawn_clusters(hosts=3, servers=5),
        st.integers(0, 3),
        st.sampled_from([0.0, 20.0, 200.0]),
    )
    def test_most_relief_by_so_many_moves(self, cluster, most, margin):
        self.useFixture(fixtures.MockPatchObject(relief, "WORTH", 0))
        bounds, threshold = Bounds(actions=most, margin=margin), 25
        solution = self.check(WorkloadBalance, cluster, bounds, threshold=threshold)
        if solution is None:
            return
        hosts = {each.hostname: each for each in cluster.hosts}
        home = {one.name: one.host for one in cluster.servers}
        prices = {
            one.name: 100 * price
            for one, price in zip(cluster.model.servers, bounds.prices(cluster.model), strict=True)
        }
        hot = {
            name
            for name, each in hosts.items()
            if each.available and balancing.percent(cluster, each, home) >= threshold
        }

        def rank(place):
            unpaid = 0
            for name in hosts:
                cost = sum(prices[one] for one in home if home[one] == name and place[one] != name)
                below = max(0, threshold - balancing.percent(cluster, hosts[name], place))
                unpaid += max(0, cost - (below if name in hot else 0))
            return balancing.excess(cluster, threshold, place) + unpaid

        place = home | {name: to for name, _, to in clusters.moves(solution)}
        ends = oracle.ends(
            cluster.model,
            [
                one.name
                for one in cluster.servers
                if one.name in cluster.values[CPU] and one.state == "active"
            ],
            lambda place, to: balancing.percent(cluster, hosts[to], place) < threshold,
        )
        best = min(rank(end) for moves, end in ends if moves <= most)
        self.assertAlmostEqual(best, rank(place), places=6)
