# SPDX-License-Identifier: Apache-2.0
import dataclasses

import fixtures
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common import schemas
from watcher.common.errors import CloudUnavailable, Invalid, MetricsUnavailable
from watcher.decision_engine import efficacy
from watcher.decision_engine.algorithms import balance, beam, likely, search
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.goals import WorkloadBalancingGoal
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters, oracle
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"


def load(hosts, servers, cpu):
    """Metrics of hosts that do nothing but run *servers*; *cpu* is per cent of their vCPUs."""
    return Metrics(
        host_cpu_usage={
            each.hostname: sum(
                cpu.get(one.name, 0) * one.vcpus for one in servers if one.host == each.hostname
            )
            / each.cpus
            for each in hosts
        },
        instance_cpu_usage=cpu,
    )


def solve(hosts, servers, measured, fixed=(), **parameters):
    model = ComputeModel.build(hosts, servers)
    movable = np.array([each.name not in fixed for each in model.servers], dtype=bool)
    return WorkloadStabilization().execute(
        clusters.inputs(
            WorkloadStabilization,
            dataclasses.replace(model, movable=movable),
            measured,
            **parameters,
        )
    )


def two_hosts():
    """On h1 8, 6 and 2 of 10 vCPUs' worth of servers at half load; nothing on h2."""
    hosts = [host("h1", vcpu_ratio=2.0), host("h2", vcpu_ratio=2.0)]
    servers = [server("s1", "h1", 8), server("s2", "h1", 6), server("s3", "h1", 2)]
    return hosts, servers, load(hosts, servers, {"s1": 50, "s2": 50, "s3": 50})


class WorkloadStabilizationTest(TestCase):
    def test_the_move_that_helps_most_comes_first_and_suffices(self):
        # Loads are 0.8 and 0.0.  Moving s1 makes them 0.4 and 0.4.
        solution = solve(*two_hosts())
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution))
        (action,) = solution.actions
        self.assertEqual("migrate", action.action_type)
        self.assertEqual("live", action.input_parameters["migration_type"])
        self.assertEqual(clusters.uid("s1"), action.input_parameters["resource_id"])
        self.assertEqual(
            {"instance_migrations_count": 1, "instances_count": 3},
            {name: value for name, value in solution.indicators.items() if "count" in name},
        )
        self.assertAlmostEqual(0.4, solution.indicators["standard_deviation_before_audit"])
        self.assertAlmostEqual(0.0, solution.indicators["standard_deviation_after_audit"])

    def test_it_promises_the_loads_of_the_hosts(self):
        promise = solve(*two_hosts()).promise
        self.assertEqual(f"standard deviation of {CPU}", promise.figure)
        self.assertEqual((0.4, 0.0), (promise.before, promise.after))
        self.assertEqual(720 + 300, promise.window)
        self.assertEqual(promises.Reading("host_cpu_usage", 600, 300), promise.loads.of_hosts)
        self.assertEqual(
            {clusters.uid("h1"): 80, clusters.uid("h2"): 0},
            {host: round(load, 6) for host, load in promise.loads.hosts.items()},
        )
        (move,) = promise.loads.moves
        self.assertEqual((40, 40, 50), (move.given, move.taken, move.use))

    def test_indicators_fit_the_goal(self):
        ratios, rows = efficacy.compute(WorkloadBalancingGoal, solve(*two_hosts()).indicators)
        self.assertEqual(33.33, ratios[0]["value"])
        self.assertEqual(4, len(rows))

    def test_two_servers_on_one_host_are_parted(self):
        hosts = [host("h1"), host("h2")]
        servers = [server("s1", "h1"), server("s2", "h1")]
        metrics = load(hosts, servers, {"s1": 100, "s2": 100})
        solution = solve(hosts, servers, metrics, thresholds={CPU: 0.05})
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution))

    def test_below_the_threshold_nothing_moves_and_servers_are_not_asked_about(self):
        hosts, servers, metrics = two_hosts()
        solution = solve(hosts, servers, metrics, thresholds={CPU: 0.4})
        self.assertEqual((), solution.actions)
        self.assertEqual([("host_cpu_usage", 600, "mean")], metrics.calls)
        self.assertAlmostEqual(0.4, solution.indicators["standard_deviation_before_audit"])
        self.assertAlmostEqual(0.4, solution.indicators["standard_deviation_after_audit"])

    def test_each_metric_is_asked_for_once(self):
        hosts, servers, metrics = two_hosts()
        solve(
            hosts,
            servers,
            metrics,
            periods={"instance": 60, "compute_node": 70},
            aggregation_method={"instance": "max", "compute_node": "min"},
        )
        self.assertEqual([("host_cpu_usage", 70, "min"), (CPU, 60, "max")], metrics.calls)

    def test_the_former_name_of_compute_node_wins(self):
        hosts, servers, metrics = two_hosts()
        solve(
            hosts,
            servers,
            metrics,
            periods={"compute_node": 70, "node": 80},
            aggregation_method={"compute_node": "min", "node": "max"},
        )
        self.assertEqual(("host_cpu_usage", 80, "max"), metrics.calls[0])

    def test_a_full_host_takes_nothing(self):
        hosts, servers, metrics = two_hosts()
        for full in ({"vcpu_ratio": 0.5}, {"memory_mb_reserved": 9950}, {"disk_gb": 0}):
            second = dataclasses.replace(hosts[1], **full)
            moves = clusters.moves(solve([hosts[0], second], servers, metrics))
            self.assertNotIn("s1", [name for name, _, _ in moves], full)

    def test_a_host_that_cannot_take_the_best_takes_the_next(self):
        hosts, servers, metrics = two_hosts()
        hosts = [hosts[0], dataclasses.replace(hosts[1], vcpus_reserved=6)]  # 4 x 2 left
        servers[0] = dataclasses.replace(servers[0], vcpus=9)
        solution = solve(hosts, servers, metrics, thresholds={CPU: 0.2})
        self.assertEqual([("s2", "h1", "h2")], clusters.moves(solution))

    def test_hosts_that_are_not_available_take_no_part(self):
        hosts, servers, metrics = two_hosts()
        third = host("h3")
        for change in ({"state": "down"}, {"status": "disabled"}):
            away = dataclasses.replace(hosts[1], **change)
            solution = solve([hosts[0], away], servers, metrics)
            self.assertEqual((), solution.actions)
            self.assertEqual(0, solution.indicators["standard_deviation_before_audit"])
            measured = load([*hosts, third], servers, {"s1": 50, "s2": 50, "s3": 50})
            moves = clusters.moves(solve([hosts[0], away, third], servers, measured))
            self.assertEqual([("s1", "h1", "h3")], moves)

    def test_servers_that_must_stay_stay(self):
        hosts, servers, metrics = two_hosts()
        for change in (
            {"locked": True},
            {"state": "stopped"},
            {"task_state": "migrating"},
        ):
            held = [dataclasses.replace(servers[0], **change), *servers[1:]]
            moves = clusters.moves(solve(hosts, held, metrics))
            self.assertEqual([("s2", "h1", "h2")], moves)  # loads are 0.5 and 0.3 now
        moves = clusters.moves(solve(hosts, servers, metrics, fixed=["s1"]))
        self.assertEqual([("s2", "h1", "h2")], moves)

    def test_a_paused_server_is_moved_live(self):
        hosts, servers, metrics = two_hosts()
        servers[0] = dataclasses.replace(servers[0], state="paused")
        (action,) = solve(hosts, servers, metrics).actions
        self.assertEqual("s1", action.input_parameters["resource_name"])
        self.assertEqual("live", action.input_parameters["migration_type"])

    def test_the_plan_says_why(self):
        solution = solve(*two_hosts())
        self.assertEqual(
            "h1 at 80.0% CPU, h2 at 0.0%; standard deviation 0.4000 -> 0.0000",
            solution.actions[0].reason,
        )
        ((name, values),) = solution.summary.items()
        self.assertEqual("standard deviation of instance_cpu_usage", name)
        self.assertAlmostEqual(0.4, values["before"])
        self.assertAlmostEqual(0.0, values["after"])

    def test_a_server_without_values_stays(self):
        hosts, servers, _ = two_hosts()
        metrics = Metrics(
            host_cpu_usage={"h1": 80, "h2": 0}, instance_cpu_usage={"s2": 50, "s3": float("nan")}
        )
        moves = clusters.moves(solve(hosts, servers, metrics))
        self.assertEqual([("s2", "h1", "h2")], moves)

    def test_a_host_without_values_takes_no_part(self):
        hosts, servers, _ = two_hosts()
        hosts += [host("h3"), host("h4", 0)]
        metrics = Metrics(
            host_cpu_usage={"h1": 80, "h2": 0, "h4": 50},
            instance_cpu_usage={"s1": 50, "s2": 50, "s3": 50},
        )
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solve(hosts, servers, metrics)))

    def test_hosts_without_values_are_named_when_all_others_are_even(self):
        hosts, servers, _ = two_hosts()
        hosts += [host("h3"), host("h4", 0)]
        metrics = Metrics(
            host_cpu_usage={"h1": 80, "h2": 80, "h4": 0}, instance_cpu_usage={"s1": 9}
        )
        solution = solve(hosts, servers, metrics)
        self.assertEqual(["h3"], [name for each in solution.undone for name in each.examples])
        self.assertEqual(("", ()), (solution.unmet, solution.actions))

    def test_a_lonely_host_is_named_as_the_reason_for_doing_nothing(self):
        hosts, servers, metrics = two_hosts()
        for lonely in (hosts[:1], [hosts[0], dataclasses.replace(hosts[1], status="disabled")]):
            self.assertIn("two hosts", solve(lonely, servers, metrics).unmet)

    def test_no_values_at_all_may_pass(self):
        hosts, servers, _ = two_hosts()
        error = self.assertRaises(
            MetricsUnavailable, solve, hosts, servers, Metrics(host_cpu_usage={})
        )
        self.assertIn(CPU, str(error))

    def test_an_empty_scope_needs_nothing(self):
        solution = solve([], [], Metrics(host_cpu_usage={}))
        self.assertEqual((), solution.actions)
        self.assertEqual(0, solution.indicators["instances_count"])

    def test_memory_counts_in_its_own_units(self):
        # 8000 of 10000 MiB are in use on h1.
        hosts = [host("h1"), host("h2")]
        servers = [server(name, "h1", memory_mb=3000) for name in ("s1", "s2", "s3")]
        metrics = Metrics(
            host_ram_usage={"h1": 8000 * 1024, "h2": 0},
            instance_ram_usage={"s1": 2900, "s2": 2600, "s3": 2500},
        )
        solution = solve(hosts, servers, metrics, metrics=[MEMORY])
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution)[:1])
        self.assertAlmostEqual(0.4, solution.indicators["standard_deviation_before_audit"])

    def test_all_metrics_go_below_their_thresholds(self):
        # CPU is uneven between h1 and h2, memory between h3 and h4.
        hosts = [host(f"h{number}") for number in range(1, 5)]
        servers = [
            *(server(f"c{number}", "h1", 2) for number in range(4)),
            *(server(f"m{number}", "h3", memory_mb=2000) for number in range(4)),
        ]
        cpu = {f"c{number}": 100 for number in range(4)} | {f"m{n}": 0 for n in range(4)}
        memory = {f"m{number}": 2000 for number in range(4)} | {f"c{n}": 0 for n in range(4)}
        measured = Metrics(
            host_cpu_usage={"h1": 80, "h2": 0, "h3": 0, "h4": 0},
            host_ram_usage={"h1": 0, "h2": 0, "h3": 8000 * 1024, "h4": 0},
            instance_cpu_usage=cpu,
            instance_ram_usage=memory,
        )
        solution = solve(hosts, servers, measured, metrics=[CPU, MEMORY, CPU])
        moves = clusters.moves(solution)
        self.assertEqual(6, len(moves))
        self.assertEqual({"h2", "h3", "h4"}, {to for name, _, to in moves if name.startswith("c")})
        self.assertEqual({"h1", "h2", "h4"}, {to for name, _, to in moves if name.startswith("m")})

    def test_a_metric_without_weight_moves_nothing(self):
        hosts, servers, metrics = two_hosts()
        solution = solve(hosts, servers, metrics, weights={f"{CPU}_weight": 0})
        self.assertEqual((), solution.actions)

    def test_a_datasource_that_fails_says_so(self):
        def fail(*what, **how):
            raise CloudUnavailable("Nobody answers.")

        inputs = dataclasses.replace(
            clusters.inputs(WorkloadStabilization, ComputeModel.build([host("h1")], [])),
            host_metric=fail,
        )
        self.assertRaises(CloudUnavailable, WorkloadStabilization().execute, inputs)


class SchemaTest(TestCase):
    def test_defaults(self):
        self.assertEqual(
            {
                "metrics": [CPU],
                "thresholds": {CPU: 0.1, MEMORY: 0.1},
                "weights": {f"{CPU}_weight": 1.0, f"{MEMORY}_weight": 1.0},
                "instance_metrics": {CPU: "host_cpu_usage", MEMORY: "host_ram_usage"},
                "host_choice": "retry",
                "retry_count": 1,
                "periods": {"instance": 720, "compute_node": 600, "node": 0},
                "aggregation_method": {"instance": "mean", "compute_node": "mean", "node": ""},
                "granularity": 300,
            },
            schemas.parameters(WorkloadStabilization.schema, {}),
        )

    def test_parts_of_an_object_are_filled_up(self):
        filled = schemas.parameters(WorkloadStabilization.schema, {"thresholds": {CPU: 0.2}})
        self.assertEqual({CPU: 0.2, MEMORY: 0.1}, filled["thresholds"])

    def test_what_is_out_of_bounds_is_named(self):
        for name, value in (
            ("metrics", ["host_airflow"]),
            ("metrics", []),
            ("thresholds", {CPU: 1.1}),
            ("weights", {f"{CPU}_weight": -1}),
            ("periods", {"instance": 1.5}),
            ("host_choice", "rng"),
            ("retry_count", 0),
            ("granularity", -1),
        ):
            error = self.assertRaises(
                Invalid, schemas.parameters, WorkloadStabilization.schema, {name: value}
            )
            self.assertIn(f"parameters.{name}", str(error))


def use(cluster, host, place):
    """Busy vCPUs of a host when servers are where *place* says."""
    cpu = cluster.values[CPU]
    vcpus = cluster.values["host_cpu_usage"][host.hostname] / 100 * host.cpus
    for one in cluster.servers:
        arrived = (place[one.name] == host.hostname) - (one.host == host.hostname)
        vcpus += arrived * cpu.get(one.name, 0) / 100 * one.vcpus
    return vcpus


def deviation(cluster, place):
    hosts = [each for each in cluster.hosts if each.available]
    loads = [use(cluster, each, place) / each.cpus for each in hosts]
    return np.std(loads) if loads else 0.0


def measured_hosts(cluster):
    """The same cluster, with a value for every host."""
    busy = {
        each.hostname: sum(
            one.vcpus * cluster.values[CPU].get(one.name, 0)
            for one in cluster.servers
            if one.host == each.hostname
        )
        / each.cpus
        for each in cluster.hosts
    }
    return dataclasses.replace(cluster, values=cluster.values | {"host_cpu_usage": busy})


def home(cluster):
    return {one.name: one.host for one in cluster.servers}


def execute(cluster, **parameters):
    return WorkloadStabilization().execute(
        clusters.inputs(WorkloadStabilization, cluster.model, cluster.measured, **parameters)
    )


class RulesTest(TestCase):
    """What holds on any cluster."""

    def check(self, cluster, threshold):
        solution = execute(cluster, thresholds={CPU: threshold})
        self.assertEqual([], checker.faults(solution, cluster.model))
        place = home(cluster)
        before = deviation(cluster, place)
        for name, source, destination in clusters.moves(solution):
            self.assertIn(name, cluster.values[CPU])
            self.assertTrue({source, destination} <= available(cluster))
            place[name] = destination
        after = deviation(cluster, place)
        for name, value in (("before", before), ("after", after)):
            reported = solution.indicators[f"standard_deviation_{name}_audit"]
            self.assertAlmostEqual(value, reported, places=6)
            shown = solution.summary[f"standard deviation of {CPU}"][name]
            self.assertEqual(reported, shown)
        self.assertTrue(after < before or not solution.actions)
        self.assertTrue(before > threshold or not solution.actions)
        return solution, after

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters().map(measured_hosts), st.sampled_from([0.0, 0.05, 0.1]))
    def test_nothing_is_broken(self, cluster, threshold):
        self.check(cluster, threshold)

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters().map(measured_hosts), st.sampled_from([0.0, 0.05, 0.1]))
    def test_wishes_hold_where_not_all_hosts_are_examined(self, cluster, threshold):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))
        self.check(cluster, threshold)

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters().map(measured_hosts), st.sampled_from([0.0, 0.05, 0.1]))
    def test_nothing_is_broken_where_steps_look_at_some_hosts(self, cluster, threshold):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))
        self.useFixture(fixtures.MockPatchObject(beam, "MOST", 0))
        self.useFixture(fixtures.MockPatchObject(likely, "ALL", 0))
        self.useFixture(fixtures.MockPatchObject(likely, "LOOKED_AT", 1))
        self.useFixture(fixtures.MockPatchObject(likely, "HOSTS", 1))
        self.check(cluster, threshold)

    @settings(max_examples=40, deadline=None)
    @given(
        checker.drawn_clusters(hosts=3, servers=5).map(measured_hosts),
        st.sampled_from([0.0, 0.05, 0.1, 0.2]),
        st.sampled_from([0.5, 5000.0]),
    )
    def test_no_plan_is_better_on_a_small_cluster(self, cluster, threshold, small):
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", small))
        cluster = cluster.without_wishes()
        solution, after = self.check(cluster, threshold)
        ends = [
            (max(0, deviation(cluster, place) - threshold), moves)
            for moves, place in oracle.ends(cluster.model, movers(cluster))
        ]
        nearest = min(away for away, _ in ends)
        fewest = min(moves for away, moves in ends if away < nearest + 1e-8)
        self.assertAlmostEqual(nearest, max(0, after - threshold), places=6)
        self.assertEqual(fewest, len(solution.actions))

    @settings(max_examples=30, deadline=None)
    @given(checker.drawn_clusters().map(measured_hosts), st.randoms())
    def test_the_order_of_the_inputs_does_not_matter(self, cluster, chance):
        expected = execute(cluster)
        for entries in (cluster.hosts, cluster.servers, cluster.groups):
            chance.shuffle(entries)
        self.assertEqual(expected, execute(cluster))

    @settings(max_examples=30, deadline=None)
    @given(checker.drawn_clusters())
    def test_no_missing_value_fails_an_audit(self, cluster):
        try:
            solution = execute(cluster, metrics=[CPU])
        except MetricsUnavailable:
            values = cluster.values["host_cpu_usage"]
            self.assertFalse(available(cluster) & values.keys())
        else:
            self.assertEqual([], checker.faults(solution, cluster.model))


def available(cluster):
    return {each.hostname for each in cluster.hosts if each.available}


def movers(cluster):
    return [
        one.name
        for one in cluster.servers
        if one.name in cluster.values[CPU] and one.state in ("active", "paused")
    ]


class ExchangeTest(TestCase):
    """Where no single move is a gain, two servers change places."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))
        self.useFixture(fixtures.MockPatchObject(beam, "MOST", 0))

    def exchange(self, second, **parameters):
        # Loads are 0.5 + 0.4 and 0.3 + 0.2.
        hosts = [host("h1", vcpu_ratio=2.0), second]
        servers = [
            server("a1", "h1", 5),
            server("a2", "h1", 4),
            server("b1", "h2", 3),
            server("b2", "h2", 2),
        ]
        metrics = load(hosts, servers, dict.fromkeys(("a1", "a2", "b1", "b2"), 100))
        return solve(hosts, servers, metrics, **parameters)

    def test_to_the_threshold(self):
        solution = self.exchange(host("h2", vcpu_ratio=2.0))
        self.assertEqual([("a1", "h1", "h2"), ("b1", "h2", "h1")], clusters.moves(solution))
        self.assertAlmostEqual(0, solution.indicators["standard_deviation_after_audit"])

    def test_the_one_that_makes_room_goes_first(self):
        solution = self.exchange(host("h2", vcpu_ratio=0.7))
        self.assertEqual([("b1", "h2", "h1"), ("a1", "h1", "h2")], clusters.moves(solution))

    def test_without_room_for_either_nothing_moves(self):
        self.assertEqual((), self.exchange(host("h2", vcpu_ratio=0.5)).actions)

    def test_the_search_is_bounded(self):
        self.useFixture(fixtures.MockPatchObject(balance, "EXCHANGES", 3))
        self.assertEqual((), self.exchange(host("h2", vcpu_ratio=2.0)).actions)


class BeamTest(TestCase):
    """Where the best step after the other leads into a corner, a beam search finds a plan."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(search, "SMALL", 0.5))

    def part(self):
        # 20 vCPUs on one of three hosts, which have to be parted into 7, 7 and 6.
        hosts = [host(name, vcpu_ratio=2.0) for name in ("h1", "h2", "h3")]
        servers = [server(f"s{n}", "h1", vcpus) for n, vcpus in enumerate((3, 2, 4, 4, 3, 4))]
        metrics = load(hosts, servers, {one.name: 100 for one in servers})
        solution = solve(hosts, servers, metrics, thresholds={CPU: 0.05})
        return solution.indicators["standard_deviation_after_audit"]

    def test_to_the_threshold(self):
        self.assertAlmostEqual(np.std([0.7, 0.7, 0.6]), self.part())

    def test_the_best_steps_are_not_enough(self):
        self.useFixture(fixtures.MockPatchObject(beam, "MOST", 0))
        self.assertGreater(self.part(), 0.05)

    def moved(self, *servers):
        hosts = [host("h1"), host("h2")]
        servers = [server(name, "h1", vcpus, memory_mb=size) for name, vcpus, size in servers]
        metrics = load(hosts, servers, {one.name: 100 for one in servers})
        return {name for name, _, _ in clusters.moves(solve(hosts, servers, metrics))}

    def test_one_move_instead_of_two(self):
        self.assertEqual({"c"}, self.moved(("a", 2, 100), ("b", 3, 100), ("c", 4, 900)))

    def test_the_moves_that_copy_least(self):
        servers = [("a", 2, 300), ("b", 2, 100), ("c", 2, 400), ("d", 2, 200)]
        self.assertEqual({"b", "d"}, self.moved(*servers))
