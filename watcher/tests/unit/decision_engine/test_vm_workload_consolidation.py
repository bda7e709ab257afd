# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

from hypothesis import given, settings

from watcher.common import schemas
from watcher.decision_engine import efficacy
from watcher.decision_engine.goals import ServerConsolidationGoal
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

CPU = "instance_cpu_usage"


def solve(hosts, servers, **measured):
    values = {name: {} for name in VmWorkloadConsolidation.metrics} | measured
    model = ComputeModel.build(hosts, servers)
    return VmWorkloadConsolidation().execute(
        clusters.inputs(VmWorkloadConsolidation, model, Metrics(**values))
    )


def changes(solution):
    """(host, new state) of each change of a service, in order."""
    return [
        (action.input_parameters["resource_name"], action.input_parameters["state"])
        for action in solution.actions
        if action.action_type == "change_nova_service_state"
    ]


def counts(solution):
    """(compute hosts, released ones, migrations)"""
    return tuple(solution.indicators.values())


class ConsolidationTest(TestCase):
    def test_two_hosts_with_an_idle_server_each_become_one(self):
        hosts = [host("h1"), host("h2")]
        servers = [server("s1", "h1"), server("s2", "h2")]
        solution = solve(hosts, servers, instance_cpu_usage={"s1": 0, "s2": 0})
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution))
        self.assertEqual([("h1", "disabled")], changes(solution))
        self.assertEqual((2, 1, 1), counts(solution))
        self.assertEqual(
            {
                "resource_id": clusters.uid("h1"),
                "resource_name": "h1",
                "state": "disabled",
                "disabled_reason": "watcher_disabled",
                "only_if_empty": True,
            },
            solution.actions[-1].input_parameters,
        )

    def test_an_allocation_ratio_is_no_reason_to_overload_a_host(self):
        hosts = [host("h1", 4, vcpu_ratio=4.0), host("h2", 4, vcpu_ratio=4.0)]
        servers = [server("s1", "h1", 4), server("s2", "h2", 4)]
        for cpu, moved in ((50, 1), (51, 0)):
            solution = solve(hosts, servers, instance_cpu_usage={"s1": cpu, "s2": 50})
            self.assertEqual(moved, len(clusters.moves(solution)), cpu)

    def test_a_flavor_needs_room_even_if_its_server_idles(self):
        hosts = [host("h1", 4), host("h2", 4)]
        servers = [server("s1", "h1", 3), server("s2", "h2", 2)]
        solution = solve(hosts, servers, instance_cpu_usage={"s1": 0, "s2": 0})
        self.assertEqual([], clusters.moves(solution))

    def test_what_was_not_measured_counts_in_full(self):
        hosts = [host("h1", 4, vcpu_ratio=3.0), host("h2", 4, vcpu_ratio=3.0)]
        servers = [server("s1", "h1", 3), server("s2", "h2", 3)]
        self.assertEqual([], clusters.moves(solve(hosts, servers, instance_cpu_usage={"s1": 50})))
        solution = solve(hosts, servers, instance_cpu_usage={"s1": 30})
        self.assertEqual(1, len(clusters.moves(solution)))

    def test_memory_in_use_and_then_allotted_memory_count(self):
        hosts = [host("h1", memory_mb=1000, memory_ratio=2.0) for _ in range(2)]
        hosts[1] = dataclasses.replace(hosts[1], uuid=clusters.uid("h2"), hostname="h2")
        servers = [
            server("s1", "h1", memory_mb=600, state="paused"),
            server("s2", "h2", memory_mb=600),
        ]
        for used, moved in (
            ({}, 0),
            ({"instance_ram_usage": {"s1": 400}}, 1),
            ({"instance_ram_allocated": {"s1": 400}}, 1),
            ({"instance_ram_usage": {"s1": 401}, "instance_ram_allocated": {"s1": 400}}, 0),
            ({"instance_ram_usage": {"s1": 0, "s2": 0}}, 1),
            (
                {
                    "instance_ram_usage": {"s1": 0, "s2": 0},
                    "host_ram_usage": {"h1": 901 * 1024, "h2": 1001 * 1024},
                },
                1,
            ),
            (
                {
                    "instance_ram_usage": {"s1": 400},
                    "host_ram_usage": {"h1": 601 * 1024, "h2": 601 * 1024},
                },
                0,
            ),
        ):
            solution = solve(hosts, servers, instance_cpu_usage={"s1": 0, "s2": 0}, **used)
            self.assertEqual(moved, len(clusters.moves(solution)), used)

    def test_disk_in_use_counts(self):
        hosts = [host("h1", disk_gb=10, disk_ratio=3.0), host("h2", disk_gb=10, disk_ratio=3.0)]
        servers = [server("s1", "h1", disk_gb=10), server("s2", "h2", disk_gb=10)]
        for used, moved in (({}, 1), ({"s1": 21, "s2": 10}, 0)):
            solution = solve(hosts, servers, instance_root_disk_size=used)
            self.assertEqual(moved, len(clusters.moves(solution)), used)

    def test_a_stopped_server_moves_cold_and_one_in_error_stays(self):
        hosts = [host("h1"), host("h2")]
        for state, types in (("stopped", ["cold"]), ("paused", ["live"]), ("error", [])):
            servers = [server("s1", "h1", state=state), server("s2", "h2", locked=True)]
            solution = solve(hosts, servers)
            self.assertEqual(
                types,
                [
                    action.input_parameters["migration_type"]
                    for action in solution.actions
                    if action.action_type == "migrate"
                ],
            )

    def test_a_host_that_takes_servers_is_not_disabled(self):
        """Only h4, which has none, has the room for all."""
        hosts = [host("h1", 2), host("h2", 2), host("h3", 2), host("h4", 6)]
        servers = [server(f"s{each}", f"h{each}", 2) for each in (1, 2, 3)]
        solution = solve(hosts, servers)
        self.assertEqual({"h4"}, {destination for _, _, destination in clusters.moves(solution)})
        self.assertNotIn(("h4", "disabled"), changes(solution))
        self.assertEqual([], checker.faults(solution, ComputeModel.build(hosts, servers)))

    def test_a_host_that_holds_room_for_a_server_is_not_disabled(self):
        """A server that migrates to it, or whose resize is not confirmed, may arrive."""
        hosts = [host("h1"), host("h2", used={"vcpus": 1}), host("h3")]
        solution = solve(hosts, [server("s1", "h1")])
        self.assertEqual([("h3", "disabled")], changes(solution))

    def test_a_cloud_without_servers_keeps_a_host_in_service(self):
        hosts = [host("h1"), host("h2")]
        self.assertEqual([("h2", "disabled")], changes(solve(hosts, [])))
        hosts = [
            dataclasses.replace(each, status="disabled", disabled_reason="watcher_disabled")
            for each in hosts
        ]
        self.assertEqual([("h1", "enabled")], changes(solve(hosts, [])))

    def test_hosts_without_servers_are_disabled_if_they_are_in_use(self):
        hosts = [
            host("h1"),
            host("h2", status="disabled"),
            host("h3", state="down"),
            host("h4"),
        ]
        solution = solve(hosts, [server("s1", "h4")])
        self.assertEqual([("h1", "disabled")], changes(solution))
        self.assertEqual("h1 has no servers", solution.actions[0].reason)
        self.assertEqual((3, 1, 0), counts(solution))


class ReliefTest(TestCase):
    """h1 has 4 vCPUs and uses 5; there is room for 2 on h2, and none for any flavor on h3."""

    def setUp(self):
        super().setUp()
        self.hosts = [
            host("h1", 4, vcpu_ratio=4.0),
            host("h2", 4, vcpu_ratio=4.0),
            host("h3", 4),
        ]
        self.servers = [
            server("s1", "h1", 4),
            server("s2", "h1", 2),
            server("s3", "h2", 4),
            server("s4", "h3", 4, locked=True),
        ]
        self.cpu = {"s1": 75, "s2": 100, "s3": 50, "s4": 100}

    def solve(self):
        return solve(self.hosts, self.servers, instance_cpu_usage=self.cpu)

    def test_the_smallest_server_that_is_enough_leaves_an_overloaded_host(self):
        solution = self.solve()
        self.assertEqual([("s2", "h1", "h2")], clusters.moves(solution))
        self.assertEqual(
            "h1 is at 125 % CPU, this server uses 2.0 of its 4 vCPUs; h2 has room",
            solution.actions[0].reason,
        )
        self.assertEqual(
            {"before": 1, "after": 0}, solution.summary["hosts that use more CPU than they have"]
        )
        self.assertEqual(
            {"before": 125, "after": 100}, solution.summary["CPU taken on the busiest host, %"]
        )

    def test_a_host_that_watcher_disabled_wakes_when_no_other_has_room(self):
        self.cpu["s3"] = 100
        for reason, enabled in (("watcher_disabled", True), ("broken fan", False), (None, False)):
            spare = host("h4", 4, status="disabled", disabled_reason=reason)
            solution = solve([*self.hosts, spare], self.servers, instance_cpu_usage=self.cpu)
            self.assertEqual([("h4", "enabled")] if enabled else [], changes(solution))
            self.assertEqual([("s2", "h1", "h4")] if enabled else [], clusters.moves(solution))
            self.assertEqual((4, 0, int(enabled)), counts(solution))

    def test_an_empty_host_in_service_takes_servers_before_any_wakes(self):
        self.cpu["s3"] = 100
        self.hosts += [
            host("h4", 4),
            host("h5", 4, status="disabled", disabled_reason="watcher_disabled"),
        ]
        solution = self.solve()
        self.assertEqual([], changes(solution))
        self.assertEqual([("s2", "h1", "h4")], clusters.moves(solution))

    def test_it_sleeps_on_when_another_host_has_room(self):
        self.hosts.append(host("h4", 4, status="disabled", disabled_reason="watcher_disabled"))
        self.assertEqual([], changes(self.solve()))


class RulesTest(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters())
    def test_rules(self, cluster):
        model = cluster.model
        inputs = clusters.inputs(VmWorkloadConsolidation, model, cluster.measured)
        solution = VmWorkloadConsolidation().execute(inputs)
        self.assertEqual([], checker.faults(solution, model))
        emptying = [action for action in solution.actions if "can be emptied" in action.reason]
        halves = checker.half_emptied(dataclasses.replace(solution, actions=emptying), model)
        relieved = {
            action.input_parameters["source_node"]
            for action in solution.actions
            if "% CPU" in action.reason
        }
        self.assertEqual(set(), set(halves) - relieved)
        json.dumps(solution.summary)
        overload = solution.summary["hosts that use more CPU than they have"]
        self.assertLessEqual(overload["after"], overload["before"])
        efficacy.compute(ServerConsolidationGoal, solution.indicators)
        self.assertEqual(solution, VmWorkloadConsolidation().execute(inputs))

    def test_defaults_and_windows(self):
        self.assertEqual(
            {"period": 3600, "granularity": 300, "target_utilization": 1.0, "reserve_hosts": 0},
            schemas.parameters(VmWorkloadConsolidation.schema, {}),
        )
        metrics = Metrics(**{name: {} for name in VmWorkloadConsolidation.metrics})
        model = ComputeModel.build([host("h1")], [])
        VmWorkloadConsolidation().execute(
            clusters.inputs(VmWorkloadConsolidation, model, metrics, period=60)
        )
        self.assertEqual(
            {(name, 60, "mean") for name in VmWorkloadConsolidation.metrics}, set(metrics.calls)
        )
