# SPDX-License-Identifier: Apache-2.0
"""Strategies that move servers and volumes, from an audit to the end of its plan."""

from typing import Any

from watcher.common.states import RunState
from watcher.tests.functional import all_in_one
from watcher.tests.unit.decision_engine import clusters

HOST = {"vcpus": 4, "memory_mb": 8192, "disk_gb": 100}
SERVER = {"vcpus": 1, "memory_mb": 512, "disk_gb": 1, "cpu": 1, "ram": 100}
OLD, NEW = "c@lvm#old", "c@nfs#new"


class PlansTestCase(all_in_one.AllInOneTestCase):
    def carry_out(self, goal: str, strategy: str, **parameters: Any) -> list[tuple[str, str]]:
        """Run an audit and its plan; (type, what became of it) of each action."""
        audit = self.create("ONESHOT", goal, strategy=strategy, parameters=parameters)
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        (plan,) = self.plans(audit)
        self.client.action_plan.start(plan.uuid)
        self.wait_for_plan(plan.uuid, "SUCCEEDED")
        actions = self.client.action.list(action_plan=plan.uuid, detail=True)
        for action in actions:
            self.assertTrue(action.to_dict()["reason"])
        return sorted((action.action_type, action.state) for action in actions)

    def hosts(self) -> dict[str, list[str]]:
        """The names of the servers on each host."""
        cloud = self.watcher.cloud
        return {
            host.hostname: sorted(server.name for server in cloud.servers_on(host.hostname))
            for host in cloud.hosts()
        }


class StrategyPlansTest(PlansTestCase):
    """Two hosts with one idle server each, and a pool with two volumes beside an empty one."""

    CLOUD = {
        "hosts": [HOST | {"hostname": name} for name in ("h1", "h2")],
        "servers": [
            SERVER | {"name": "s1", "host": "h1"},
            SERVER | {"name": "s2", "host": "h2"},
        ],
        "migration_seconds": 0.05,
        "storage": {
            "migration_seconds": 0.05,
            "pools": [{"name": name, "total_capacity_gb": 10} for name in (OLD, NEW)],
            "types": [
                {"name": "slow", "extra_specs": {"volume_backend_name": "lvm"}},
                {"name": "fast", "extra_specs": {"volume_backend_name": "nfs"}},
            ],
            "volumes": [
                {"name": "v1", "host": OLD, "size_gb": 1},
                {"name": "v2", "host": OLD, "size_gb": 1, "volume_type": "slow"},
            ],
        },
    }

    def test_a_host_that_basic_releases(self) -> None:
        self.check_release("basic")

    def test_a_host_that_workload_consolidation_releases(self) -> None:
        self.check_release("vm_workload_consolidation")

    def check_release(self, strategy: str) -> None:
        self.assertEqual(
            [("change_nova_service_state", "SUCCEEDED"), ("migrate", "SUCCEEDED")],
            self.carry_out("server_consolidation", strategy),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())
        self.check_closed("h1", "watcher_disabled")

    def test_a_scheduler_that_picks_the_hosts(self) -> None:
        self.assertEqual(
            [("change_nova_service_state", "SUCCEEDED")] * 2 + [("migrate", "SUCCEEDED")],
            self.carry_out("server_consolidation", "node_resource_consolidation"),
        )
        self.assertEqual([0, 2], sorted(len(servers) for servers in self.hosts().values()))
        self.assertTrue(all(host.available for host in self.watcher.cloud.hosts()))

    def test_hosts_that_the_strategy_picks(self) -> None:
        self.assertEqual(
            [("migrate", "SUCCEEDED")],
            self.carry_out(
                "server_consolidation", "node_resource_consolidation", host_choice="specify"
            ),
        )

    def test_maintenance_with_a_backup_host(self) -> None:
        self.assertEqual(
            [("change_nova_service_state", "SUCCEEDED"), ("migrate", "SUCCEEDED")],
            self.carry_out(
                "cluster_maintaining", "host_maintenance", maintenance_node="h1", backup_node="h2"
            ),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())
        self.check_closed("h1", "watcher_maintaining")

    def check_closed(self, hostname: str, word: str) -> None:
        """The reason of a disabled host names the plan that disabled it."""
        (plan,) = self.client.action_plan.list()
        self.assertEqual(f"{word} {plan.uuid}", self.watcher.cloud.host(hostname).disabled_reason)

    def test_maintenance_without_a_backup_host(self) -> None:
        self.assertEqual(
            [("change_nova_service_state", "SUCCEEDED"), ("migrate", "SUCCEEDED")],
            self.carry_out("cluster_maintaining", "host_maintenance", maintenance_node="h1"),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())

    def test_maintenance_without_migrations(self) -> None:
        self.assertEqual(
            [("change_nova_service_state", "SUCCEEDED"), ("stop", "SUCCEEDED")],
            self.carry_out(
                "cluster_maintaining",
                "host_maintenance",
                maintenance_node="h1",
                disable_live_migration=True,
                disable_cold_migration=True,
            ),
        )

    def test_a_zone_with_its_servers_and_volumes(self) -> None:
        self.assertEqual(
            [("migrate", "SUCCEEDED"), ("volume_migrate", "SUCCEEDED")],
            self.carry_out(
                "hardware_maintenance",
                "zone_migration",
                compute_nodes=[{"src_node": "h1"}],
                storage_pools=[{"src_pool": OLD, "dst_pool": NEW}],
            ),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())
        # The new pool has not what the type of v2 asks for.
        places = {one.name: one.host for one in self.watcher.cloud.storage.volumes()}
        self.assertEqual({"v1": NEW, "v2": OLD}, places)

    def test_a_zone_whose_servers_go_to_one_host(self) -> None:
        self.assertEqual(
            [("migrate", "SUCCEEDED")],
            self.carry_out(
                "hardware_maintenance",
                "zone_migration",
                compute_nodes=[{"src_node": "h1", "dst_node": "h2"}],
            ),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())

    def test_volumes_of_one_type_get_another(self) -> None:
        self.assertEqual(
            [("volume_migrate", "SUCCEEDED")],
            self.carry_out(
                "hardware_maintenance",
                "zone_migration",
                storage_pools=[{"src_pool": OLD, "src_type": "slow", "dst_type": "fast"}],
            ),
        )
        volumes = {one.name: one for one in self.watcher.cloud.storage.volumes()}
        self.assertEqual(("fast", NEW), (volumes["v2"].volume_type, volumes["v2"].host))
        self.assertEqual(("", OLD), (volumes["v1"].volume_type, volumes["v1"].host))

    def test_actions_by_hand(self) -> None:
        host = self.watcher.cloud.host("h1")
        server = self.watcher.cloud.servers_on("h1")[0]
        actions: list[dict[str, Any]] = [
            {"action_type": "nop", "input_parameters": {"message": "hello"}},
            {"action_type": "sleep", "input_parameters": {"duration": 0.01}},
            {
                "action_type": "change_nova_service_state",
                "resource_id": host.uuid,
                "input_parameters": {"state": "enabled", "resource_name": "h1"},
            },
            {
                "action_type": "migrate",
                "resource_id": server.uuid,
                "input_parameters": {
                    "migration_type": "live",
                    "source_node": "h1",
                    "destination_node": "h2",
                    "resource_name": server.name,
                },
            },
        ]
        self.assertEqual(
            [
                ("change_nova_service_state", "SKIPPED"),
                ("migrate", "SUCCEEDED"),
                ("nop", "SUCCEEDED"),
                ("sleep", "SUCCEEDED"),
            ],
            self.carry_out("unclassified", "actuator", actions=actions),
        )
        self.assertEqual({"h1": [], "h2": ["s1", "s2"]}, self.hosts())

    def test_a_zone_that_is_empty(self) -> None:
        audit = self.create(
            "ONESHOT",
            "hardware_maintenance",
            strategy="zone_migration",
            parameters={"compute_nodes": [{"src_node": "gone"}]},
        )
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        (plan,) = self.plans(audit)
        self.assertEqual("SUCCEEDED", plan.state)


class BalancingPlansTest(PlansTestCase):
    """Two busy servers on a host that is warm, too, and nothing on another one."""

    CLOUD = {
        "hosts": [HOST | {"hostname": name, "uuid": clusters.uid(name)} for name in ("h1", "h2")],
        "servers": [
            SERVER | {"name": name, "uuid": clusters.uid(name), "host": "h1", "cpu": 80, "ram": 400}
            for name in ("s1", "s2")
        ],
        "migration_seconds": 0.05,
        "metrics": {
            "host": {
                clusters.uid("h1"): {"host_outlet_temp": 40, "host_airflow": 500},
                clusters.uid("h2"): {"host_outlet_temp": 20, "host_airflow": 100},
            },
            "instance": {
                clusters.uid("s1"): {"instance_l3_cache_usage": {"100": 1, "200": 5}},
                clusters.uid("s2"): {"instance_l3_cache_usage": {"100": 9, "200": 5}},
            },
        },
    }

    def check_parting(self, goal: str, strategy: str, **parameters: Any) -> None:
        self.assertEqual([("migrate", "SUCCEEDED")], self.carry_out(goal, strategy, **parameters))
        self.assertEqual([1, 1], [len(servers) for servers in self.hosts().values()])

    def test_deviation_of_cpu(self) -> None:
        self.check_parting(
            "workload_balancing",
            "workload_stabilization",
            thresholds={"instance_cpu_usage": 0.05},
        )

    def test_deviation_of_memory(self) -> None:
        self.check_parting(
            "workload_balancing",
            "workload_stabilization",
            metrics=["instance_ram_usage"],
            thresholds={"instance_ram_usage": 0.04},
        )

    def test_threshold_of_cpu(self) -> None:
        self.check_parting("workload_balancing", "workload_balance", threshold=30)

    def test_threshold_of_memory(self) -> None:
        self.check_parting(
            "workload_balancing", "workload_balance", threshold=7, metrics="instance_ram_usage"
        )

    def test_temperature(self) -> None:
        self.check_parting("thermal_optimization", "outlet_temperature")

    def test_airflow(self) -> None:
        self.check_parting("airflow_optimization", "uniform_airflow")

    def test_cache(self) -> None:
        self.check_parting("noisy_neighbor", "noisy_neighbor")
