# SPDX-License-Identifier: Apache-2.0
"""What a consolidation does within bounds, and what it says of the rest."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import Aggregate
from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.node_resource_consolidation import (
    NodeResourceConsolidation,
)
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.model.undone import sentence
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server, uid

STRATEGIES = (Basic, VmWorkloadConsolidation, NodeResourceConsolidation)


def solve(strategy, model, measured=None, bounds=None, **parameters):
    idle = Metrics(
        **{name: {} for name in strategy.metrics}
        | {"instance_cpu_usage": {each.name: 0 for each in model.servers}}
    )
    if strategy is NodeResourceConsolidation:
        parameters = {"host_choice": "specify"} | parameters
    return strategy().execute(
        clusters.inputs(strategy, model, measured or idle, bounds=bounds or Bounds(), **parameters)
    )


def kinds(solution):
    return [(each.reason, each.count) for each in solution.undone]


def emptied(solution):
    return sorted({source for _, source, _ in clusters.moves(solution)})


class BoundsTest(TestCase):
    """h1 to h4 have 1 to 4 servers; each can be emptied, into h5."""

    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}", 5) for number in range(1, 5)] + [host("h5", 40)]
        self.servers = [
            server(f"s{number}{place}", f"h{number}", memory_mb=1000 // number)
            for number in range(1, 5)
            for place in range(number)
        ]
        self.servers.append(server("t", "h5", locked=True))
        self.model = ComputeModel.build(self.hosts, self.servers)

    def test_a_plan_frees_as_many_hosts_as_fit(self):
        for strategy in STRATEGIES:
            disabling = 0 if strategy is NodeResourceConsolidation else 1
            for number, actions in enumerate((0, 1, 3, 6, 10)):
                solution = solve(
                    strategy, self.model, bounds=Bounds(actions=actions + number * disabling)
                )
                self.assertEqual([f"h{each + 1}" for each in range(number)], emptied(solution))
                self.assertEqual(actions + number * disabling, len(solution.actions))
                self.assertEqual([], checker.half_emptied(solution, self.model))
                waits = [(undone.BOUND, 10 - actions)] if actions < 10 else []
                if strategy is not NodeResourceConsolidation:  # it fills h4 first
                    self.assertEqual(waits, kinds(solution))

    def test_it_says_what_waits(self):
        solution = solve(Basic, self.model, bounds=Bounds(actions=6))
        self.assertEqual(
            "2 of 3 hosts with servers are not emptied: 7 servers stay: 7 left for the next run "
            "by the limits of the webhook or of [optimization] (s30, s31, s32, ...).",
            sentence(solution.unmet, solution.undone),
        )
        self.assertEqual(40, solution.gain)

    def test_memory_is_a_bound_too(self):
        """All hosts have a thousand MiB, or a bit less."""
        for strategy in STRATEGIES:
            for memory, number in ((999, 1), (1000, 1), (2000, 2), (10000, 4)):
                solution = solve(strategy, self.model, bounds=Bounds(memory_mb=memory))
                self.assertEqual(number, len(emptied(solution)))

    def test_a_host_that_costs_more_than_its_load_stays(self):
        # A MiB takes 8.4e-4 s here: to move 1,000 of them occupies two hosts for 1.7 s.
        for margin, number in ((2000, 4), (2200, 0)):
            bounds = Bounds(margin=margin)
            for strategy in STRATEGIES:
                solution = solve(strategy, self.model, bounds=bounds)
                self.assertEqual(number, len(emptied(solution)))
                self.assertEqual([] if number else [(undone.NO_GAIN, 10)], kinds(solution))

    def test_disabling_hosts_without_servers_comes_first(self):
        self.hosts += [host("h6"), host("h7")]
        model = ComputeModel.build(self.hosts, self.servers)
        for actions, freed in ((1, 0), (2, 0), (3, 0), (4, 1)):
            solution = solve(VmWorkloadConsolidation, model, bounds=Bounds(actions=actions))
            self.assertEqual(freed, len(emptied(solution)))
            self.assertEqual(min(actions, 2) + 2 * freed, len(solution.actions))

    def test_the_scheduler_is_led_only_if_that_leaves_room_for_moves(self):
        self.hosts += [host("h6"), host("h7")]
        model = ComputeModel.build(self.hosts, self.servers)
        for actions, freed, scheduled in ((6, 3, False), (7, 1, True), (11, 2, True)):
            solution = solve(
                NodeResourceConsolidation, model, bounds=Bounds(actions=actions), host_choice="auto"
            )
            self.assertLessEqual(len(solution.actions), actions)
            migrations = [each for each in solution.actions if each.action_type == "migrate"]
            named = ["destination_node" in each.input_parameters for each in migrations]
            self.assertEqual({not scheduled}, set(named))
            self.assertEqual(freed, solution.indicators["released_compute_nodes_count"])

    @settings(max_examples=60, deadline=None)
    @given(
        checker.drawn_clusters(),
        st.sampled_from(STRATEGIES),
        st.sampled_from(["auto", "specify"]),
        st.integers(0, 12),
        st.sampled_from([600.0, 3000.0, float("inf")]),
        st.integers(0, 2),
    )
    def test_no_plan_goes_beyond(self, cluster, strategy, choice, actions, memory, reserve):
        cluster = cluster.without_wishes()
        model = cluster.model
        parameters = {"reserve_hosts": reserve}
        if strategy is NodeResourceConsolidation:
            parameters["host_choice"] = choice
        bounds = Bounds(actions=actions, memory_mb=memory)
        solution = solve(strategy, model, cluster.measured, bounds, **parameters)
        self.assertLessEqual(len(solution.actions), actions)
        self.assertEqual([], checker.faults(solution, model))
        moved = {
            each.input_parameters["resource_id"]
            for each in solution.actions
            if each.action_type == "migrate"
        }
        self.assertLessEqual(
            sum(each.memory_mb for each in model.servers if each.uuid in moved), memory
        )


class UndoneTest(TestCase):
    """h1 is as large as its server; h3 has room for all."""

    def solve(self, strategy, change, groups=(), staying=(), **hosts):
        servers = [server("s1", "h1"), server("s2", "h2"), server("s3", "h3")]
        servers[0] = dataclasses.replace(servers[0], **change)
        model = ComputeModel.build(
            [host("h1", 1, **hosts), host("h2"), host("h3", 30)], servers, groups
        )
        return solve(strategy, dataclasses.replace(model, staying=dict(staying)))

    def test_the_reason_that_keeps_a_host_in_use_is_given(self):
        for strategy in STRATEGIES:
            for change, staying, reason in (
                ({"locked": True}, {}, undone.LOCKED),
                ({"state": "error"}, {}, undone.STATE),
                ({"task_state": "migrating"}, {}, undone.BUSY),
                ({}, {uid("s1"): undone.RESTING}, undone.RESTING),
                ({}, {uid("s1"): undone.FAILED_BEFORE}, undone.FAILED_BEFORE),
            ):
                solution = self.solve(strategy, change, staying=staying)
                self.assertEqual("1 of 2 hosts with servers is not emptied", solution.unmet)
                self.assertEqual([(reason, 1)], kinds(solution), strategy.name)

    def test_a_stopped_server_is_one_that_basic_does_not_move(self):
        solution = self.solve(Basic, {"state": "stopped"})
        self.assertEqual([(undone.INACTIVE, 1)], kinds(solution))

    def test_a_zone_is_given_as_a_reason(self):
        solution = self.solve(Basic, {"pinned_az": "one"}, zone="one")
        self.assertEqual([(undone.PLACE, 1)], kinds(solution))

    def test_hosts_that_boots_need_are_reported(self):
        """A host with both servers would have no room for a third one."""
        servers = [server("s1", "h1", 5), server("s2", "h2", 5)]
        for strategy in (Basic, VmWorkloadConsolidation):
            solution = solve(strategy, ComputeModel.build([host("h1"), host("h2")], servers))
            self.assertEqual([], clusters.moves(solution))
            self.assertEqual("1 of 2 hosts with servers is not emptied", solution.unmet)
            self.assertEqual([(undone.BOOTS, 1)], kinds(solution), strategy.name)

    def test_no_host_is_emptied_for_nothing_beside_one_that_is_disabled(self):
        """Servers of project p fit only on p1 and p2, and the next boot needs one of these."""
        ours = [Aggregate(1, "p", {"filter_tenant_id": "p"})]
        hosts = [host(name, aggregates=ours) for name in ("p1", "p2")]
        hosts += [host("h1"), host("h2", 30)]
        servers = [server("s1", "p1", 5, project_id="p"), server("s2", "p2", 2, project_id="p")]
        servers += [server("t1", "h1", 5), server("t2", "h2", 6)]
        loads = {"p2": 1, "h1": 2, "p1": 3, "h2": 4}
        measured = Metrics(host_cpu_usage=loads, instance_cpu_usage={})
        solution = solve(Basic, ComputeModel.build(hosts, servers), measured)
        self.assertEqual(["h1"], emptied(solution))

    def test_a_plan_without_moves_says_that_room_is_lacking(self):
        """Two hosts have the vCPUs of all servers, but none takes a second server."""
        hosts = [host(name) for name in ("h1", "h2", "h3")]
        servers = [server(f"s{each.hostname}", each.hostname, 6) for each in hosts]
        for strategy in STRATEGIES:
            solution = solve(strategy, ComputeModel.build(hosts, servers))
            self.assertIn("No host can be emptied", solution.unmet)
            self.assertEqual([], kinds(solution))
        model = ComputeModel.build(hosts, servers)
        model = dataclasses.replace(model, movable=np.zeros(3, dtype=np.bool_))
        self.assertEqual("", solve(Basic, model).unmet)

    def test_full_hosts_are_not_reported(self):
        servers = [server("s1", "h1", 6), server("s2", "h2", 6, locked=True)]
        model = ComputeModel.build([host("h1"), host("h2")], servers)
        for strategy in STRATEGIES:
            solution = solve(strategy, model)
            self.assertEqual(("", []), (solution.unmet, kinds(solution)))

    def test_reasons_that_users_have_set_are_not_reported(self):
        servers = [server("s1", "h1", metadata={"optimize": "no"}), server("s3", "h3")]
        model = ComputeModel.build([host("h1"), host("h3")], servers)
        inputs = clusters.inputs(
            Basic,
            dataclasses.replace(model, staying={uid("s3"): undone.LOCKED}),
            Metrics(host_cpu_usage={}, instance_cpu_usage={}),
            options={"check_optimize_metadata": True},
        )
        solution = Basic().execute(inputs)
        self.assertEqual([(undone.LOCKED, 1)], kinds(solution))
