# SPDX-License-Identifier: Apache-2.0
"""Small clouds on which balancers and consolidators are known to have gone wrong."""

import dataclasses

from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.host_maintenance import HostMaintenance
from watcher.decision_engine.strategies.node_resource_consolidation import NodeResourceConsolidation
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.decision_engine.strategies.zone_migration import ZoneMigration
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.fields import uuid_of
from watcher.simulation.scenario import Scenario
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters

SPECIFY = {NodeResourceConsolidation: {"host_choice": "specify"}}
CONSOLIDATIONS = (Basic, NodeResourceConsolidation, VmWorkloadConsolidation)


def host(name, vcpus=16, **more):
    usual = {"hostname": name, "vcpus": vcpus, "memory_mb": 65536, "disk_gb": 2000, "zone": "nova"}
    return usual | more


def server(name, on, cpu, vcpus=4, **more):
    usual = {"name": name, "host": on, "vcpus": vcpus, "memory_mb": 2048, "disk_gb": 10}
    return usual | {"cpu": cpu, "ram": 1000} | more


class Strategies(TestCase):
    def solve(self, strategy, hosts, servers, groups=(), **parameters):
        """(server, destination) of each migration, by name; it breaks no rule."""
        content = {"hosts": hosts, "servers": servers, "server_groups": list(groups)}
        simulated = SimulatedCloud(Scenario.from_dict(content), lambda: 0.0)
        self.model = ComputeModel.build(simulated.hosts(), simulated.servers(), groups=(
            simulated.server_groups()
        ))  # fmt: skip
        loads = simulated.loads
        self.solution = strategy().execute(
            dataclasses.replace(
                clusters.inputs(strategy, self.model, **parameters),
                host_metric=loads.host_metric,
                server_metric=loads.server_metric,
            )
        )
        named = strategy in (HostMaintenance, ZoneMigration)
        allowed = self.model.free_to_leave_zones if named else self.model
        self.assertEqual([], checker.faults(self.solution, allowed))
        return [
            (step.input_parameters["resource_name"], step.input_parameters.get("destination_node"))
            for step in self.solution.actions
            if step.action_type == "migrate"
        ]

    def disabled(self):
        return [
            action.input_parameters["resource_name"]
            for action in self.solution.actions
            if action.input_parameters.get("state") == "disabled"
        ]


class UnitsTest(Strategies):
    hosts = [host("big", 64, vcpu_ratio=4.0), host("small", 8, vcpu_ratio=4.0)]

    def test_no_server_has_more_than_a_host_gives_to_one(self):
        servers = [server("huge", "big", 60, 16), server("x1", "big", 90, 32)]
        servers.append(server("x2", "big", 90, 16))
        moves = self.solve(WorkloadBalance, self.hosts, servers, threshold=70)
        self.assertEqual([], moves)
        reasons = {each.reason for each in self.solution.undone}
        self.assertEqual({undone.ROOM}, reasons)
        servers.append(server("fits", "big", 60, 8))
        self.assertEqual(
            [("fits", "small")], self.solve(WorkloadBalance, self.hosts, servers, threshold=70)
        )

    def test_no_host_is_disabled_for_a_server_that_cannot_leave_it(self):
        hosts = [host("big", 64, vcpu_ratio=4.0), host("small", 8, vcpu_ratio=4.0)]
        servers = [server("huge", "big", 10, 16), server("tiny", "small", 50, 1)]
        for strategy in CONSOLIDATIONS:
            moves = self.solve(strategy, hosts, servers)
            self.assertNotIn("huge", dict(moves), strategy)
            self.assertNotIn("big", self.disabled(), strategy)

    def test_steps_and_least_amounts(self):
        for units in ({"step": 3}, {"least": 5}, {"most": 3}):
            hosts = [host("h1"), host("h2", units={"vcpus": units})]
            moves = self.solve(WorkloadBalance, hosts, [
                server("four", "h1", 95), server("four-too", "h1", 95), server("six", "h1", 95, 6)
            ], threshold=40)  # fmt: skip
            self.assertNotIn("four", dict(moves), units)


class UsagesTest(Strategies):
    def test_room_that_others_hold_is_not_free(self):
        """A host that a server can go back to, and one that holds a reservation."""
        servers = [server("a", "h1", 95, 8), server("b", "h1", 95, 8)]
        for used, expected in (({"vcpus": 8}, [("a", "h2")]), ({"vcpus": 9}, [])):
            hosts = [host("h1"), host("h2", used=used)]
            moves = self.solve(WorkloadBalance, hosts, servers, threshold=60)
            self.assertEqual(expected, [("a", to) for _, to in moves])

    def test_migrations_hold_both_of_their_hosts(self):
        content = {"hosts": [host("h1"), host("h2"), host("h3", 4)], "servers": [
            server("live", "h1", 10, 6), server("cold", "h1", 10, 4, state="stopped")
        ]}  # fmt: skip
        now = [0.0]
        cloud = SimulatedCloud(Scenario.from_dict(content), lambda: now[0])
        by_name = {each.name: each.uuid for each in cloud.servers()}

        def others():
            model = ComputeModel.build(cloud.hosts(), cloud.servers())
            cpu = model.others[:, 0].tolist()
            return {
                each.hostname: held for each, held in zip(model.hosts, cpu, strict=True) if held
            }

        self.assertEqual({}, others())
        cloud.live_migrate(by_name["live"], "h2")
        cloud.cold_migrate(by_name["cold"], "h3")
        self.assertEqual({"h2": 6, "h3": 4}, others())
        now[0] = 100.0
        self.assertEqual({"h1": 4}, others(), "the cold one can go back")
        cloud.confirm_resize(by_name["cold"])
        self.assertEqual({}, others())


class DedicatedTest(Strategies):
    pinned = {"extra_specs": {"hw:cpu_policy": "dedicated"}}

    def test_a_pinned_server_goes_where_cpus_are_dedicated(self):
        hosts = [host("h1", 8, pcpus=8), host("h2", 32), host("h3", 0, pcpus=8)]
        servers = [server("p1", "h1", 95, **self.pinned), server("p2", "h1", 95, **self.pinned)]
        servers += [server("s1", "h1", 95), server("s2", "h1", 95)]
        moves = self.solve(WorkloadBalance, hosts, servers, threshold=50)
        self.assertTrue(moves)
        for name, to in moves:
            self.assertIn(to, ("h1", "h3") if name.startswith("p") else ("h1", "h2"))
        moves = self.solve(HostMaintenance, hosts, servers, maintenance_node="h1", backup_node="h2")
        self.assertEqual({"s1", "s2"}, {name for name, to in moves if to == "h2"})

    def test_pinned_cpus_are_no_shared_ones(self):
        hosts = [host("h1", 8), host("h2", 4, pcpus=16)]
        servers = [server(f"p{n}", "h2", 5, **self.pinned) for n in range(3)]
        servers += [server("s1", "h1", 95), server("s2", "h1", 95)]
        moves = self.solve(WorkloadBalance, hosts, servers, threshold=60)
        self.assertEqual(["h2"], [to for _, to in moves])

    def test_a_host_of_which_all_cpus_are_dedicated_is_emptied(self):
        hosts = [host("h1", 0, pcpus=8), host("h2", 0, pcpus=8)]
        servers = [server("p1", "h1", 5, 1, **self.pinned), server("p2", "h2", 5, 2, **self.pinned)]
        for strategy in CONSOLIDATIONS:
            self.assertEqual(1, len(self.solve(strategy, hosts, servers)), strategy)


class TraitsTest(Strategies):
    def test_required_and_forbidden_traits(self):
        for specs, expected in (
            ({}, {"h2", "h3"}),
            ({"trait:FAST": "required"}, {"h2"}),
            ({"trait:FAST": "forbidden"}, {"h3"}),
        ):
            hosts = [host("h1", traits=["FAST"]), host("h2", traits=["FAST"]), host("h3")]
            servers = [server(f"s{n}", "h1", 99, extra_specs=specs) for n in range(4)]
            moves = self.solve(WorkloadBalance, hosts, servers, threshold=40)
            self.assertEqual(expected, {to for _, to in moves}, specs)

    def test_traits_of_an_image(self):
        hosts = [host("h1"), host("h2")]
        image = {"image_properties": {"trait:FAST": "required"}}
        servers = [server("s1", "h1", 99, 8, **image), server("s2", "h1", 99, 8, **image)]
        self.assertEqual([], self.solve(WorkloadBalance, hosts, servers, threshold=60))
        self.assertEqual({undone.PLACE}, {each.reason for each in self.solution.undone})


class FromVolumeTest(Strategies):
    def test_a_server_without_a_disk_needs_no_room_for_one(self):
        hosts = [host("h1", disk_gb=100), host("h2", disk_gb=100)]
        servers = [server(f"v{n}", "h1", 95, disk_gb=0) for n in range(3)]
        servers.append(server("fat", "h2", 5, 2, disk_gb=120))
        moves = self.solve(WorkloadStabilization, hosts, servers)
        self.assertEqual(["h2"], [to for _, to in moves])


class ZonesTest(Strategies):
    hosts = [host("h1", zone="east"), host("h2", zone="west"), host("h3", zone="east")]

    def test_servers_stay_in_the_zone_that_they_may_be_pinned_to(self):
        servers = [server(f"s{n}", "h1", 99, zone="east") for n in range(4)]
        moves = self.solve(WorkloadBalance, self.hosts, servers, threshold=60)
        self.assertEqual({"h3"}, {to for _, to in moves})

    def test_a_named_destination_is_used(self):
        servers = [server("free", "h1", 9, zone="east"), server("pinned", "h1", 9, zone="east")]
        servers[1]["pinned_az"] = "east"
        nodes = [{"src_node": "h1", "dst_node": "h2"}]
        self.assertEqual(
            [("free", "h2")], self.solve(ZoneMigration, self.hosts, servers, compute_nodes=nodes)
        )
        moves = self.solve(
            HostMaintenance, self.hosts, servers, maintenance_node="h1", backup_node="h2"
        )
        self.assertEqual({("free", "h2"), ("pinned", None)}, set(moves))


def group(policy, *names):
    return {"uuid": uuid_of(policy), "policy": policy, "members": [uuid_of(each) for each in names]}


class WishesTest(Strategies):
    """Groups that wish to be apart, or together."""

    def test_another_server_moves_where_that_does(self):
        """In whatever order uuids sort."""
        for apart in (("a1", "a2"), ("a2", "a1")):
            mine, other = apart
            servers = [server(mine, "h1", 100), server("b1", "h1", 99), server("b2", "h1", 99)]
            servers.append(server(other, "h2", 10))
            for strategy, parameters in (
                (WorkloadStabilization, {"thresholds": {"instance_cpu_usage": 0.3}}),
                (WorkloadBalance, {"threshold": 70}),
            ):
                moves = self.solve(
                    strategy,
                    [host("h1"), host("h2")],
                    servers,
                    [group("soft-anti-affinity", "a1", "a2")],
                    **parameters,
                )
                self.assertEqual(1, len(moves))
                self.assertIn(moves[0][0], ("b1", "b2"), strategy)

    def test_a_pair_is_not_torn_apart_where_others_do(self):
        servers = [server("a1", "h1", 100), server("a2", "h1", 98), server("b1", "h1", 90)]
        moves = self.solve(
            WorkloadBalance,
            [host("h1"), host("h2")],
            servers,
            [group("soft-affinity", "a1", "a2")],
            threshold=60,
        )
        self.assertEqual([("b1", "h2")], moves)

    def test_a_wish_is_broken_if_the_goal_cannot_be_reached_otherwise(self):
        servers = [server("a1", "h1", 100, 8), server("a2", "h1", 98, 6)]
        for policy in ("soft-affinity", "soft-anti-affinity"):
            moves = self.solve(
                WorkloadBalance,
                [host("h1"), host("h2")],
                servers if policy == "soft-affinity" else [
                    servers[0], server("b", "h1", 98, 6, locked=True), server("a2", "h2", 1, 1)
                ],
                [group(policy, "a1", "a2")],
                threshold=60,
            )  # fmt: skip
            self.assertEqual(1, len(moves), policy)

    def test_consolidations_join_none_where_there_is_another_host(self):
        hosts = [host(f"h{n}") for n in range(6)]
        servers = [server(f"a{n}", f"h{n}", 20, 2) for n in range(3)]
        servers += [server(f"b{n}", f"h{n}", 20, 2) for n in range(3, 6)]
        for strategy in CONSOLIDATIONS:
            moves = self.solve(
                strategy, hosts, servers, [group("soft-anti-affinity", "a0", "a1", "a2")],
                **SPECIFY.get(strategy, {}),
            )  # fmt: skip
            where = {each["name"]: each["host"] for each in servers} | dict(moves)
            self.assertEqual(3, len({where[f"a{n}"] for n in range(3)}), strategy)
            self.assertEqual(3, len(moves), strategy)

    def test_consolidations_say_which_wishes_keep_hosts_in_use(self):
        hosts = [host(f"h{n}") for n in range(3)]
        servers = [server(f"a{n}", f"h{n}", 5, 2) for n in range(3)] + [server("b", "h1", 5, 2)]
        for strategy in CONSOLIDATIONS:
            moves = self.solve(
                strategy, hosts, servers, [group("soft-anti-affinity", "a0", "a1", "a2")],
                **SPECIFY.get(strategy, {}),
            )  # fmt: skip
            self.assertEqual([], moves, strategy)
            self.assertEqual([(undone.WISH, 3)], [
                (each.reason, each.count) for each in self.solution.undone
            ])  # fmt: skip
            self.assertEqual("3 of 3 hosts with servers are not emptied", self.solution.unmet)

    def test_consolidations_take_a_pair_along(self):
        hosts = [host("h1"), host("h2"), host("h3")]
        servers = [server("a1", "h1", 5, 1), server("a2", "h1", 5, 1)]
        servers += [server("b", "h2", 20, 6), server("c", "h3", 20, 7)]
        for strategy in CONSOLIDATIONS:
            moves = self.solve(
                strategy, hosts, servers, [group("soft-affinity", "a1", "a2")],
                **SPECIFY.get(strategy, {}),
            )  # fmt: skip
            where = {each["name"]: each["host"] for each in servers} | dict(moves)
            self.assertEqual(where["a1"], where["a2"], strategy)
            self.assertTrue(moves)
