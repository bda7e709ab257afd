# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math
from unittest import mock

import fixtures
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common import schemas
from watcher.common.errors import Invalid, MetricsUnavailable
from watcher.decision_engine import efficacy
from watcher.decision_engine.algorithms import relief, search
from watcher.decision_engine.goals import WorkloadBalancingGoal
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.decision_engine.usual_loads import UsualLoads
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters, oracle
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"
OVER = "hosts at the threshold or above"


def solve(hosts, servers, cpu, **parameters):
    model = ComputeModel.build(hosts, servers)
    measured = Metrics(instance_cpu_usage=cpu)
    return WorkloadBalance().execute(
        clusters.inputs(WorkloadBalance, model, measured, **parameters)
    )


class WorkloadBalanceTest(TestCase):
    def setUp(self):
        super().setUp()
        # Of 10 vCPUs, 5 + 3 + 1 are busy on h1, and 1 on h2.  h3 is idle.
        self.hosts = [host(f"h{number}") for number in (1, 2, 3)]
        self.servers = [
            server("s1", "h1", 5),
            server("s2", "h1", 3),
            server("s3", "h1", 1),
            server("s4", "h2", 1),
        ]
        self.cpu = dict.fromkeys(("s1", "s2", "s3", "s4"), 100.0)

    def moves(self, **parameters):
        return clusters.moves(solve(self.hosts, self.servers, self.cpu, **parameters))

    def test_one_server_is_enough(self):
        # 90 % and a threshold of 70: s2 or s1 has to leave.  s1 leaves 40, 10 and 50.
        solution = solve(self.hosts, self.servers, self.cpu, threshold=70)
        self.assertEqual([("s1", "h1", "h3")], clusters.moves(solution))
        self.assertEqual("live", solution.actions[0].input_parameters["migration_type"])
        self.assertEqual(
            "h1 at 90.0% CPU, threshold 70%: goes to 40.0%, h3 from 0.0% to 50.0%",
            solution.actions[0].reason,
        )
        self.assertEqual({"before": 1, "after": 0}, solution.summary[OVER])
        self.assertEqual({"before": 90, "after": 50}, solution.summary["highest load, %"])

    def test_no_host_is_brought_to_the_threshold(self):
        self.assertEqual([("s1", "h1", "h3")], self.moves(threshold=50.1))
        # s1 would bring h3 to 50.  Without s2 and s3 h1 is nearer to it, and that is all.
        moves = self.moves(threshold=50)
        self.assertEqual({"s2", "s3"}, {name for name, _, _ in moves})

    def test_it_goes_on_until_all_is_balanced(self):
        busy = dict.fromkeys(("a1", "a2", "b1", "b2"), 100.0)
        servers = [server(name, f"h{'ab'.index(name[0]) + 1}", 3) for name in busy]
        moves = clusters.moves(solve([*self.hosts, host("h4")], servers, busy, threshold=50))
        self.assertEqual(["h1", "h2"], sorted(source for _, source, _ in moves))
        self.assertEqual(["h3", "h4"], sorted(destination for _, _, destination in moves))

    def test_below_the_threshold_nothing_moves(self):
        solution = solve(self.hosts, self.servers, self.cpu, threshold=90.1)
        self.assertEqual((), solution.actions)
        self.assertEqual(0, solution.indicators["instance_migrations_count"])
        self.assertEqual(4, solution.indicators["instances_count"])

    def test_it_promises_the_loads_that_hosts_show_themselves(self):
        model = ComputeModel.build(self.hosts, self.servers)
        busy = {"h1": 95.0, "h2": 12.0, "h3": 3.0}
        measured = Metrics(instance_cpu_usage=self.cpu, host_cpu_usage=busy)
        solution = WorkloadBalance().execute(
            clusters.inputs(WorkloadBalance, model, measured, threshold=70)
        )
        promise = solution.promise
        self.assertEqual(
            ("highest load, %", 90, 50), (promise.figure, promise.before, promise.after)
        )
        self.assertEqual(600, promise.window)
        self.assertEqual(
            {clusters.uid(name): load for name, load in busy.items()}, promise.loads.hosts
        )
        (move,) = promise.loads.moves
        self.assertEqual((50, 50, 100), (move.given, move.taken, move.use))
        self.assertEqual(clusters.uid("s1"), move.server)

    def test_without_loads_of_hosts_it_promises_a_figure(self):
        promise = solve(self.hosts, self.servers, self.cpu, threshold=70).promise
        self.assertIsNone(promise.loads)
        self.assertEqual((90, 50), (promise.before, promise.after))

    def test_an_empty_plan_promises_nothing(self):
        self.assertIsNone(solve(self.hosts, self.servers, self.cpu, threshold=91).promise)

    def test_at_the_threshold_a_host_has_too_much(self):
        self.assertEqual(1, len(self.moves(threshold=90)))

    def test_a_host_that_rounding_brings_below_the_threshold_is_at_it(self):
        hosts = [host("h1", 16), host("h2", 16)]
        servers = [server("s1", "h1"), server("s2", "h1", 4, locked=True), server("s3", "h1")]
        cpu = {"s1": 20, "s2": 95, "s3": 60}  # h1 has 25 % without s3, and as a float a bit less
        solution = solve(hosts, servers, cpu, threshold=25)
        self.assertEqual({"s1", "s3"}, {name for name, _, _ in clusters.moves(solution)})

    def test_without_a_host_below_the_threshold_nothing_moves(self):
        self.assertEqual([], self.moves(threshold=0))

    def test_two_servers_on_one_host_are_parted(self):
        servers = [server("s1", "h1"), server("s2", "h1")]
        cpu = {"s1": 80.0, "s2": 80.0}
        solution = solve(self.hosts[:2], servers, cpu, threshold=12)
        self.assertEqual(1, len(clusters.moves(solution)))
        self.assertEqual({"migrate"}, {action.action_type for action in solution.actions})

    def test_memory(self):
        servers = [server(name, "h1", memory_mb=4000) for name in ("s1", "s2")]
        measured = Metrics(instance_ram_usage={"s1": 3000.0, "s2": 2000.0})
        model = ComputeModel.build(self.hosts[:2], servers)
        solution = WorkloadBalance().execute(
            clusters.inputs(WorkloadBalance, model, measured, metrics=MEMORY, threshold=40)
        )
        # 50 % of 10,000 MiB.  Without s2 30 % are left, without s1 20 %: equally even.
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution))
        self.assertIn("h1 at 50.0% memory", solution.actions[0].reason)
        self.assertEqual([(MEMORY, 300, "mean"), ("host_ram_usage", 300, "mean")], measured.calls)

    def test_paused_servers_stay(self):
        self.servers[0] = dataclasses.replace(self.servers[0], state="paused")
        self.assertEqual({"s2"}, {name for name, _, _ in self.moves(threshold=70)})

    def test_a_server_without_a_value_stays_and_makes_no_host_hot(self):
        for value in ({}, {"s1": math.nan}):
            cpu = {"s2": 100.0, "s3": 100.0} | value  # h1 at 40, h2 at 0 or more
            moves = clusters.moves(solve(self.hosts, self.servers, cpu, threshold=40))
            self.assertEqual([("s2", "h1", "h3")], moves)

    def test_a_host_whose_servers_are_not_measured_takes_none(self):
        hosts, servers = [host("h1"), host("h2")], [server("s1", "h1", 4), server("s2", "h1", 4)]
        cpu = {"s1": 100.0, "s2": 100.0}  # h1 at 80
        for state, expected in (("active", []), ("stopped", ["h2"])):
            unmeasured = server("s3", "h2", 4, state=state)
            moves = clusters.moves(solve(hosts, [*servers, unmeasured], cpu, threshold=70))
            self.assertEqual(expected, [to for _, _, to in moves])

    def test_hosts_that_are_not_available_are_not_asked_about(self):
        self.hosts[1] = dataclasses.replace(self.hosts[1], status="disabled")
        self.servers = self.servers[3:]
        self.assertEqual([], self.moves(threshold=1))

    def test_no_values_at_all_may_pass(self):
        error = self.assertRaises(MetricsUnavailable, solve, self.hosts, self.servers, {})
        self.assertIn(CPU, str(error))
        self.assertEqual((), solve([], [], {}).actions)

    def test_indicators_fit_the_goal(self):
        solution = solve(self.hosts, self.servers, self.cpu, threshold=70)
        ratios, rows = efficacy.compute(WorkloadBalancingGoal, solution.indicators)
        self.assertEqual(25, ratios[0]["value"])
        self.assertEqual(4, len(rows))

    def test_parameters(self):
        self.assertEqual(
            {"metrics": CPU, "threshold": 25.0, "period": 300, "granularity": 300},
            schemas.parameters(WorkloadBalance.schema, {}),
        )
        error = self.assertRaises(
            Invalid, schemas.parameters, WorkloadBalance.schema, {"metrics": "host_power"}
        )
        self.assertIn("parameters.metrics", str(error))


class ExpectedLoadsTest(TestCase):
    """h1 has s1 (4 of 10 vCPUs) and s2 (2), h2 has s3 (3), h3 has s4 (1)."""

    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in (1, 2, 3)]
        self.servers = [
            server("s1", "h1", 4),
            server("s2", "h1", 2),
            server("s3", "h2", 3),
            server("s4", "h3", 1),
        ]
        self.now = dict.fromkeys(("s1", "s2", "s3", "s4"), 50.0)

    def solve(self, *hours, threshold=50.0, measured=None, servers=None):
        """*hours* are the expected values, as far as they are not those of now."""
        model = ComputeModel.build(self.hosts, servers or self.servers)
        measured = measured or Metrics(instance_cpu_usage=self.now)
        given = clusters.inputs(WorkloadBalance, model, measured, threshold=threshold)
        by_uuid = [{clusters.uid(name): hour[name] for name in hour} for hour in hours]

        def expected(reading, uuids, values):
            self.assertEqual("instance_cpu_usage", reading.name)
            there = dict(zip(uuids, values.tolist(), strict=True))
            return np.array([[*(there | hour).values()] for hour in by_uuid]).reshape(
                -1, len(there)
            )

        return WorkloadBalance().execute(dataclasses.replace(given, expected=expected))

    def test_a_host_is_relieved_before_it_is_hot(self):
        self.assertEqual([], clusters.moves(self.solve()))
        solution = self.solve({}, {"s1": 100.0})
        self.assertEqual([("s2", "h1", "h3")], clusters.moves(solution))
        self.assertEqual(
            "h1 at 30.0% CPU, 50.0% expected in the hour from 02:00 UTC on, threshold 50%: goes to "
            "40.0%, h3 from 5.0% to 15.0%",
            solution.actions[0].reason,
        )
        self.assertEqual({"before": 0, "after": 0}, solution.summary[OVER])
        self.assertEqual(
            {"before": 50, "after": 40},
            solution.summary["highest load expected in the coming hours, %"],
        )

    def test_no_server_goes_where_it_will_be_too_much(self):
        # h3 has least to do now, but will be at 50.
        solution = self.solve({"s1": 100.0, "s4": 100.0}, threshold=49.0)
        self.assertEqual([("s2", "h1", "h3")], clusters.moves(solution))
        solution = self.solve({"s1": 100.0}, {"s4": 100.0}, threshold=44.0)
        self.assertEqual({"s2"}, {name for name, *_ in clusters.moves(solution)})

    def test_a_host_that_is_hot_now_is_relieved_whatever_comes(self):
        solution = self.solve(dict.fromkeys(self.now, 0.0), threshold=30.0)
        self.assertEqual(1, len(clusters.moves(solution)))
        self.assertIn("h1 at 30.0% CPU, threshold 30%", solution.actions[0].reason)

    def test_a_server_uses_no_more_than_its_vcpus(self):
        self.assertEqual([], clusters.moves(self.solve({"s1": 300.0}, threshold=50.1)))

    def test_what_stays_too_hot_is_said(self):
        hour = dict.fromkeys(self.now, 100.0)
        self.hosts = self.hosts[:1]
        solution = self.solve(hour, servers=self.servers[:2])
        self.assertIn("at 50 % CPU or above, now or in the coming hours", solution.unmet)

    def test_what_is_only_expected_is_no_promise(self):
        self.assertIsNone(self.solve({"s1": 100.0}).promise)
        busy = {"h1": 30.0, "h2": 15.0, "h3": 5.0}
        measured = Metrics(instance_cpu_usage=self.now, host_cpu_usage=busy)
        promise = self.solve({"s1": 100.0}, measured=measured).promise
        self.assertEqual([(10, 10)], [(each.given, each.taken) for each in promise.loads.moves])
        self.assertIsNotNone(self.solve({"s1": 100.0}, threshold=30.0).promise)

    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_without_history_it_is_as_if_nobody_asked(self, data):
        loads = st.lists(st.floats(0, 100), min_size=4, max_size=4)
        cpu = self.now = dict(zip(self.now, data.draw(loads), strict=True))
        threshold = data.draw(st.floats(5, 60))
        usual, source = UsualLoads(self.conf), mock.Mock(past=lambda *_: {})
        alone = solve(self.hosts, self.servers, cpu, threshold=threshold)
        given = clusters.inputs(
            WorkloadBalance,
            ComputeModel.build(self.hosts, self.servers),
            Metrics(instance_cpu_usage=cpu),
            threshold=threshold,
        )
        usual.read(
            source, *WorkloadBalance.foresees(given.parameters), lambda: self.servers, given.now
        )
        asked = dataclasses.replace(
            given, expected=lambda reading, *of: usual.expected(source, reading, given.now, *of)
        )
        self.assertEqual(alone, WorkloadBalance().execute(asked))

    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_hours_like_the_present_one_change_nothing(self, data):
        loads = st.lists(st.floats(0, 100), min_size=4, max_size=4)
        self.now = dict(zip(self.now, data.draw(loads), strict=True))
        threshold, count = data.draw(st.floats(5, 60)), data.draw(st.integers(1, 3))
        alone = self.solve(threshold=threshold)
        others = self.solve(*[{}] * count, threshold=threshold)
        self.assertEqual(len(alone.actions), len(others.actions))
        self.assertEqual(alone.summary[OVER], others.summary[OVER])

    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_no_host_is_brought_to_the_threshold_at_any_time(self, data):
        loads = st.lists(st.floats(0, 100), min_size=4, max_size=4)
        now, *hours = (dict(zip(self.now, data.draw(loads), strict=True)) for _ in range(3))
        self.now, threshold = now, data.draw(st.floats(5, 60))
        moves = clusters.moves(self.solve(*hours, threshold=threshold))
        placed = {each.name: each.host for each in self.servers}
        placed |= {name: destination for name, _, destination in moves}
        for _, _, destination in moves:
            for hour in (now, *hours):
                there = [each for each in self.servers if placed[each.name] == destination]
                load = sum(hour[each.name] * each.vcpus / 10 for each in there)
                self.assertLess(load, threshold + 1e-6)


class BigClusterTest(WorkloadBalanceTest):
    """The same where not all plans can be looked at."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))

    def test_a_host_that_was_relieved_takes_servers(self):
        # h1 (90 %) can give s1 to h2 (80 %) alone, once that has given s3 to h3.
        hosts = [host("h1"), host("h2"), host("h3", disk_gb=5)]
        servers = [
            server("s1", "h1", 2, disk_gb=9),
            server("s2", "h1", 7, locked=True),
            server("s3", "h2", 5),
            server("s4", "h2", 3, disk_gb=9),
        ]
        cpu = dict.fromkeys(("s1", "s2", "s3", "s4"), 100.0)
        moves = clusters.moves(solve(hosts, servers, cpu, threshold=75))
        self.assertEqual([("s3", "h2", "h3"), ("s1", "h1", "h2")], moves)


def percent(cluster, host, place):
    cpu = cluster.values[CPU]
    busy = sum(
        cpu.get(one.name, 0) * one.vcpus
        for one in cluster.servers
        if place[one.name] == host.hostname
    )
    return busy / host.cpus


def unknown(cluster, host):
    """What servers without a value may use of a host, in per cent."""
    missing = [
        one.vcpus
        for one in cluster.servers
        if one.host == host.hostname
        and one.name not in cluster.values[CPU]
        and one.state in ("active", "paused")
    ]
    return 100 * sum(missing) / host.cpus


def excess(cluster, threshold, place):
    """How far hosts are at the threshold or above, in all; a little if just at it."""
    loads = [percent(cluster, each, place) for each in cluster.hosts if each.available]
    return sum(load - threshold + 1e-6 for load in loads if load >= threshold)


class RulesTest(TestCase):
    """What holds on any cluster."""

    def check(self, cluster, threshold):
        inputs = clusters.inputs(
            WorkloadBalance, cluster.model, cluster.measured, threshold=threshold
        )
        place = {one.name: one.host for one in cluster.servers}
        try:
            solution = WorkloadBalance().execute(inputs)
        except MetricsUnavailable:
            available = {each.hostname for each in cluster.hosts if each.available}
            there = {one.name for one in cluster.servers if one.host in available}
            self.assertFalse(there & cluster.values[CPU].keys())
            return None, place
        self.assertEqual([], checker.faults(solution, cluster.model))
        self.assertEqual(solution, WorkloadBalance().execute(inputs))
        hosts = {each.hostname: each for each in cluster.hosts}
        before = excess(cluster, threshold, place)
        for name, _, destination in clusters.moves(solution):
            place[name] = destination
            reached = percent(cluster, hosts[destination], place)
            self.assertLess(reached + unknown(cluster, hosts[destination]), threshold + 1e-9)
        after = excess(cluster, threshold, place)
        self.assertTrue(after < before or not solution.actions)
        return solution, place

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.sampled_from([0, 10, 25, 60]))
    def test_nothing_is_broken(self, cluster, threshold):
        self.check(cluster, threshold)

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.sampled_from([0, 10, 25, 60]))
    def test_wishes_hold_where_not_all_hosts_are_examined(self, cluster, threshold):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))
        self.useFixture(fixtures.MockPatchObject(relief, "ATTEMPTS", 2))
        self.check(cluster, threshold)

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(hosts=3, servers=5), st.sampled_from([10, 25, 60]))
    def test_no_plan_is_better_on_a_small_cluster(self, cluster, threshold):
        self.useFixture(fixtures.MockPatchObject(relief, "WORTH", 0))
        cluster = cluster.without_wishes()
        solution, place = self.check(cluster, threshold)
        if solution is None:
            return
        hosts = {each.hostname: each for each in cluster.hosts}
        movers = [
            one.name
            for one in cluster.servers
            if one.name in cluster.values[CPU] and one.state == "active"
        ]
        ends = [
            (excess(cluster, threshold, place), moves)
            for moves, place in oracle.ends(
                cluster.model,
                movers,
                lambda place, to: (
                    percent(cluster, hosts[to], place) + unknown(cluster, hosts[to]) < threshold
                ),
            )
        ]
        nearest = min(away for away, _ in ends)
        self.assertAlmostEqual(nearest, excess(cluster, threshold, place), places=7)
        fewest = min(moves for away, moves in ends if away < nearest + 1e-7)
        self.assertEqual(fewest, len(solution.actions))
