# SPDX-License-Identifier: Apache-2.0
"""What consolidations leave in service, and what they bring back into it."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common.errors import Invalid
from watcher.decision_engine.algorithms.headroom import Headroom
from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.node_resource_consolidation import (
    NodeResourceConsolidation,
)
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

STRATEGIES = (Basic, VmWorkloadConsolidation, NodeResourceConsolidation)
PLAN = "11111111-2222-3333-4444-555555555555"


def standby(name, vcpus=10, **values):
    return host(
        name, vcpus, status="disabled", disabled_reason=f"watcher_disabled {PLAN}", **values
    )


def solve(strategy, model, measured=None, **parameters):
    idle = Metrics(
        **{name: {} for name in strategy.metrics}
        | {"instance_cpu_usage": {each.name: 0 for each in model.servers}}
    )
    if strategy is NodeResourceConsolidation:
        parameters = {"host_choice": "specify"} | parameters
    return strategy().execute(clusters.inputs(strategy, model, measured or idle, **parameters))


def switched(solution):
    """(host, new state)"""
    return [
        (action.input_parameters["resource_name"], action.input_parameters["state"])
        for action in solution.actions
        if action.action_type == "change_nova_service_state"
    ]


def carried_out(solution, model):
    """The cluster after the plan."""
    where = {name: destination for name, _, destination in clusters.moves(solution)}
    states = dict(switched(solution))
    hosts = [
        dataclasses.replace(
            each,
            status=states[each.hostname],
            disabled_reason="watcher_disabled" if states[each.hostname] == "disabled" else None,
        )
        if each.hostname in states
        else each
        for each in model.hosts
    ]
    servers = [
        dataclasses.replace(each, host=where.get(each.name, each.host)) for each in model.servers
    ]
    after = ComputeModel.build(hosts, servers, model.groups)
    return dataclasses.replace(after, movable=model.movable)


def has_room(model, size, kind):
    """Whether one more server of *size* [R] and of a kind may be booted."""
    free = model.capacity - model.used()
    fit = ((size <= free) | (size == 0)).all(axis=1)
    return bool((fit & model.available & model.rules.allowed[kind]).any())


class WayBackTest(TestCase):
    """h1 is full; h2 sleeps."""

    def test_a_host_comes_back_when_boots_would_fail(self):
        for strategy in STRATEGIES:
            for size, expected in ((3, [("h2", "enabled")]), (2, [])):
                servers = [server("s1", "h1", 5), server("s2", "h1", size)]
                model = ComputeModel.build([host("h1", 12), standby("h2")], servers)
                solution = solve(strategy, model)
                self.assertEqual(expected, switched(solution))
                if expected:
                    self.assertEqual(
                        "No enabled host has room for one more server of 5 vCPUs and 100 MiB, "
                        "as there are",
                        solution.actions[0].reason,
                    )

    def test_others_hosts_stay_as_they_are(self):
        servers = [server("s1", "h1", 10)]
        for change in (
            {"disabled_reason": "broken fan"},
            {"disabled_reason": "watcher_maintaining"},
            {"state": "down"},
        ):
            hosts = [host("h1"), dataclasses.replace(standby("h2"), **change)]
            for strategy in STRATEGIES:
                solution = solve(strategy, ComputeModel.build(hosts, servers))
                self.assertEqual([], switched(solution))

    def test_a_host_that_is_too_small_sleeps_on(self):
        hosts = [host("h1"), standby("h2", 4), standby("h3", 6)]
        servers = [server("s1", "h1", 5), server("s2", "h1", 5)]
        for strategy in STRATEGIES:
            solution = solve(strategy, ComputeModel.build(hosts, servers))
            self.assertEqual([("h3", "enabled")], switched(solution))

    def test_room_in_another_zone_is_none(self):
        hosts = [host("h1", zone="one"), host("h2", zone="two"), standby("h3", zone="one")]
        for zone, expected in (("one", [("h3", "enabled")]), ("", [])):
            servers = [
                server("s1", "h1", 9, pinned_az=zone, locked=True),
                server("s2", "h2", 1, locked=True),
            ]
            for strategy in STRATEGIES:
                solution = solve(strategy, ComputeModel.build(hosts, servers))
                self.assertEqual(expected, switched(solution))

    def test_a_host_that_was_not_emptied_is_enabled_or_emptied(self):
        for locked, expected in ((True, [("h1", "enabled")]), (False, [])):
            hosts = [standby("h1", 4), host("h2", 10)]
            servers = [server("s1", "h1", 2, locked=locked), server("s2", "h2", 4, locked=True)]
            for strategy in STRATEGIES:
                solution = solve(strategy, ComputeModel.build(hosts, servers))
                self.assertEqual(expected, switched(solution), strategy.name)
                self.assertEqual(0 if locked else 1, len(clusters.moves(solution)))


class DisablingTest(TestCase):
    def test_the_last_room_for_a_boot_stays_in_service(self):
        """s1 fits beside s2; then a third one would find no room."""
        for vcpus, moved in ((10, 0), (15, 1)):
            hosts = [host("h1", 10), host("h2", vcpus)]
            servers = [server("s1", "h1", 5), server("s2", "h2", 5)]
            for strategy in (Basic, VmWorkloadConsolidation):
                solution = solve(strategy, ComputeModel.build(hosts, servers))
                self.assertEqual(moved, len(clusters.moves(solution)))
                self.assertEqual([("h1", "disabled")] if moved else [], switched(solution))

    def test_a_reserve_stays_in_service(self):
        hosts = [host(f"h{number}") for number in range(1, 6)]
        servers = [server(f"s{number}", f"h{number}") for number in range(1, 5)]
        model = ComputeModel.build(hosts, servers)
        for reserve, disabled in ((0, 4), (1, 3), (3, 1), (4, 0), (9, 0)):
            solution = solve(VmWorkloadConsolidation, model, reserve_hosts=reserve)
            self.assertEqual(disabled, len(switched(solution)))
            self.assertEqual("5 of 9" in solution.unmet, reserve == 9)

    def test_a_reserve_comes_back_into_service(self):
        hosts = [host("h1"), standby("h2"), standby("h3"), host("h4", status="disabled")]
        model = ComputeModel.build(hosts, [server("s1", "h1")])
        for strategy in STRATEGIES:
            for reserve, back in ((0, []), (1, ["h2"]), (2, ["h2", "h3"]), (3, ["h2", "h3"])):
                solution = solve(strategy, model, reserve_hosts=reserve)
                self.assertEqual([(name, "enabled") for name in back], switched(solution))
                self.assertEqual(
                    "1 of 3 hosts of the reserve are missing" if reserve == 3 else "",
                    solution.unmet,
                )

    def test_hosts_are_filled_up_to_the_target(self):
        hosts = [host("h1"), host("h2"), host("h3", 4)]
        servers = [server("s1", "h1", 4), server("s2", "h2", 4)]
        model = ComputeModel.build(hosts, servers)
        for strategy in STRATEGIES:
            for target, moved in ((1.0, 1), (0.8, 1), (0.79, 0)):
                solution = solve(strategy, model, target_utilization=target)
                self.assertEqual(moved, len(clusters.moves(solution)), (strategy.name, target))
            for wrong in (0, 1.1):
                self.assertRaises(Invalid, solve, strategy, model, target_utilization=wrong)

    def test_measured_cpu_is_filled_up_to_the_target_too(self):
        hosts = [host(f"h{number}", 10, vcpu_ratio=9.0) for number in (1, 2)]
        servers = [server("s1", "h1", 4), server("s2", "h2", 4)]
        measured = Metrics(
            **{name: {} for name in VmWorkloadConsolidation.metrics}
            | {"instance_cpu_usage": {"s1": 100, "s2": 100}}
        )
        for target, moved in ((0.8, 1), (0.79, 0)):
            model = ComputeModel.build(hosts, servers)
            solution = solve(VmWorkloadConsolidation, model, measured, target_utilization=target)
            self.assertEqual(moved, len(clusters.moves(solution)))
            busiest = solution.summary["CPU taken on the busiest host, %"]
            self.assertEqual({"before": 40, "after": 80 if moved else 40}, busiest)

    def test_a_host_beyond_the_target_is_no_overloaded_one(self):
        hosts = [host("h1"), host("h2")]
        servers = [server("s1", "h1", 9, locked=True), server("s2", "h1", 1)]
        measured = Metrics(
            **{name: {} for name in VmWorkloadConsolidation.metrics}
            | {"instance_cpu_usage": {"s1": 100, "s2": 100}}
        )
        model = ComputeModel.build(hosts, servers)
        solution = solve(VmWorkloadConsolidation, model, measured, target_utilization=0.5)
        self.assertEqual([], clusters.moves(solution))

    def test_each_shape_of_server_counts(self):
        """What is large in one thing and what is large in another may be on two hosts."""
        hosts = [host("h1", 16, memory_mb=1000), host("h2", 4, memory_mb=9000)]
        servers = [server("s1", "h1", 8), server("s2", "h2", 1, memory_mb=4000)]
        headroom = Headroom(ComputeModel.build(hosts, servers), 0)
        self.assertEqual(0, len(headroom.switches(np.array([0, 1])).full))
        self.assertEqual(1, len(headroom.switches(np.array([0, 0])).full))


class AgainTest(TestCase):
    """Plans of the same strategy, one after the other."""

    @settings(max_examples=50, deadline=None)
    @given(
        checker.drawn_clusters(),
        st.sampled_from(STRATEGIES),
        st.sampled_from([1.0, 0.8]),
        st.integers(0, 2),
    )
    def test_they_come_to_an_end_and_undo_nothing(self, cluster, strategy, target, reserve):
        model, parameters = cluster.model, {"target_utilization": target, "reserve_hosts": reserve}
        before = None
        for _ in range(len(model.hosts) + 2):
            solution = solve(strategy, model, cluster.measured, **parameters)
            self.assertEqual([], checker.faults(solution, model))
            if not solution.actions:
                break
            after = carried_out(solution, model)
            if not any("% CPU" in action.reason for action in solution.actions):
                self.check_room(model, after, solution)
            now = dict(switched(solution))
            if before is not None and not clusters.moves(solution):
                self.assertEqual({}, now)
            before, model = now, after
        self.assertEqual((), solution.actions)
        self.assertFalse(model.standby[model.placement].any())

    def check_room(self, before, after, solution):
        """What could be booted before can be booted after; no disabled host is needed."""
        for size, kind in zip(before.demand, before.rules.kind, strict=True):
            if has_room(before, size, kind):
                self.assertTrue(has_room(after, size, kind))
        if any(state == "enabled" for _, state in switched(solution)):
            return
        for index in (after.standby & before.available).nonzero()[0].tolist():
            hosts = list(after.hosts)
            hosts[index] = before.hosts[index]
            all_enabled = ComputeModel.build(hosts, after.servers, after.groups)
            for size, kind in zip(before.demand, before.rules.kind, strict=True):
                self.assertEqual(has_room(after, size, kind), has_room(all_enabled, size, kind))
