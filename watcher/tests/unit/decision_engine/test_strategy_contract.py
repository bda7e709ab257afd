# SPDX-License-Identifier: Apache-2.0
"""What audits, templates and clients have stored of the strategies: it must not change."""

from watcher.common import entry_points
from watcher.decision_engine.goals import Goal
from watcher.decision_engine.strategies.base import Strategy
from watcher.tests.base import TestCase

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"

FACTS = {
    # name: display name, goal, planner, metrics
    "actuator": ("Actuator", "unclassified", "weight", ()),
    "allocation_balance": (
        "Allocation balance",
        "workload_balancing",
        "workload_stabilization",
        (),
    ),
    "basic": (
        "Basic offline consolidation",
        "server_consolidation",
        "weight",
        ("host_cpu_usage", CPU),
    ),
    "dummy": ("Dummy strategy", "dummy", "weight", ()),
    "dummy_with_resize": ("Dummy strategy with resize", "dummy", "weight", ()),
    "dummy_with_scorer": (
        "Dummy Strategy using sample Scoring Engines",
        "dummy",
        "weight",
        (),
    ),
    "host_maintenance": ("Host Maintenance Strategy", "cluster_maintaining", "weight", ()),
    "node_resource_consolidation": (
        "Node Resource Consolidation strategy",
        "server_consolidation",
        "node_resource_consolidation",
        (),
    ),
    "noisy_neighbor": ("Noisy Neighbor", "noisy_neighbor", "weight", ("instance_l3_cache_usage",)),
    "outlet_temperature": (
        "Outlet temperature based strategy",
        "thermal_optimization",
        "weight",
        ("host_outlet_temp",),
    ),
    "saving_energy": ("Saving Energy Strategy", "saving_energy", "weight", ()),
    "storage_capacity_balance": (
        "Storage Capacity Balance Strategy",
        "workload_balancing",
        "weight",
        (),
    ),
    "uniform_airflow": (
        "Uniform airflow migration strategy",
        "airflow_optimization",
        "weight",
        ("host_airflow", "host_inlet_temp", "host_power"),
    ),
    "vm_workload_consolidation": (
        "VM Workload Consolidation Strategy",
        "server_consolidation",
        "weight",
        (
            "instance_ram_allocated",
            CPU,
            MEMORY,
            "instance_root_disk_size",
            "host_cpu_usage",
            "host_ram_usage",
        ),
    ),
    "workload_balance": (
        "Workload Balance Migration Strategy",
        "workload_balancing",
        "workload_stabilization",
        (CPU, MEMORY),
    ),
    "workload_stabilization": (
        "Workload stabilization",
        "workload_balancing",
        "workload_stabilization",
        ("host_cpu_usage", CPU, MEMORY, "host_ram_usage"),
    ),
    "zone_migration": ("Zone migration", "hardware_maintenance", "weight", ()),
}

AGGREGATES = {"instance": "mean", "compute_node": "mean", "node": ""}
OF_DUMMIES = {"minimum": 1.0, "maximum": 10.2}
SHARE = {"minimum": 0, "maximum": 1}

PARAMETERS = {
    # strategy and parameter, those within others after a dot: type, default, limits
    "dummy para1": ("number", 3.2, OF_DUMMIES),
    "dummy para2": ("string", "hello", {}),
    "dummy_with_resize para1": ("number", 3.2, OF_DUMMIES),
    "dummy_with_resize para2": ("string", "hello", {}),
    "dummy_with_scorer param1": ("number", 3.2, OF_DUMMIES),
    "dummy_with_scorer param2": ("string", "hello", {}),
    "actuator actions": ("array", None, {}),
    "actuator actions.action_type": ("string", None, {}),
    "actuator actions.input_parameters": ("object", None, {}),
    "actuator actions.resource_id": ("string", None, {}),
    "basic migration_attempts": ("number", 0, {}),
    "basic period": ("number", 7200, {}),
    "basic granularity": ("number", 300, {}),
    "basic aggregation_method": ("object", AGGREGATES, {}),
    "basic aggregation_method.instance": ("string", "mean", {}),
    "basic aggregation_method.compute_node": ("string", "mean", {}),
    "basic aggregation_method.node": ("string", "", {}),
    "basic target_utilization": ("number", 1.0, SHARE),
    "basic reserve_hosts": ("integer", 0, {"minimum": 0}),
    "vm_workload_consolidation period": ("number", 3600, {}),
    "vm_workload_consolidation granularity": ("number", 300, {}),
    "vm_workload_consolidation target_utilization": ("number", 1.0, SHARE),
    "vm_workload_consolidation reserve_hosts": ("integer", 0, {"minimum": 0}),
    "node_resource_consolidation host_choice": ("string", "auto", {}),
    "node_resource_consolidation target_utilization": ("number", 1.0, SHARE),
    "node_resource_consolidation reserve_hosts": ("integer", 0, {"minimum": 0}),
    "outlet_temperature threshold": ("number", 35.0, {}),
    "outlet_temperature period": ("number", 30, {}),
    "outlet_temperature granularity": ("number", 300, {}),
    "uniform_airflow threshold_airflow": ("number", 400.0, {}),
    "uniform_airflow threshold_inlet_t": ("number", 28.0, {}),
    "uniform_airflow threshold_power": ("number", 350.0, {}),
    "uniform_airflow period": ("number", 300, {}),
    "uniform_airflow granularity": ("number", 300, {}),
    "noisy_neighbor cache_threshold": ("number", 35.0, {}),
    "noisy_neighbor period": ("number", 100.0, {}),
    "saving_energy free_used_percent": ("number", 10.0, {"minimum": 0}),
    "saving_energy min_free_hosts_num": ("number", 1, {"minimum": 0}),
    "allocation_balance thresholds": ("object", {"vcpus": 0.1, "memory": 0.1}, {}),
    "allocation_balance thresholds.vcpus": ("number", 0.1, SHARE),
    "allocation_balance thresholds.memory": ("number", 0.1, SHARE),
    "workload_balance metrics": ("string", CPU, {"enum": [CPU, MEMORY]}),
    "workload_balance threshold": ("number", 25.0, {}),
    "workload_balance period": ("number", 300, {}),
    "workload_balance granularity": ("number", 300, {}),
    "workload_stabilization metrics": ("array", [CPU], {"minItems": 1}),
    "workload_stabilization thresholds": ("object", {CPU: 0.1, MEMORY: 0.1}, {}),
    f"workload_stabilization thresholds.{CPU}": ("number", 0.1, SHARE),
    f"workload_stabilization thresholds.{MEMORY}": ("number", 0.1, SHARE),
    "workload_stabilization weights": (
        "object",
        {f"{CPU}_weight": 1.0, f"{MEMORY}_weight": 1.0},
        {},
    ),
    f"workload_stabilization weights.{CPU}_weight": ("number", 1.0, SHARE),
    f"workload_stabilization weights.{MEMORY}_weight": ("number", 1.0, SHARE),
    "workload_stabilization instance_metrics": (
        "object",
        {CPU: "host_cpu_usage", MEMORY: "host_ram_usage"},
        {},
    ),
    f"workload_stabilization instance_metrics.{CPU}": ("string", "host_cpu_usage", {}),
    f"workload_stabilization instance_metrics.{MEMORY}": ("string", "host_ram_usage", {}),
    "workload_stabilization host_choice": (
        "string",
        "retry",
        {"enum": ["cycle", "retry", "fullsearch"]},
    ),
    "workload_stabilization retry_count": ("number", 1, {"minimum": 1}),
    "workload_stabilization periods": (
        "object",
        {"instance": 720, "compute_node": 600, "node": 0},
        {},
    ),
    "workload_stabilization periods.instance": ("integer", 720, {"minimum": 0}),
    "workload_stabilization periods.compute_node": ("integer", 600, {"minimum": 0}),
    "workload_stabilization periods.node": ("integer", 0, {"minimum": 0}),
    "workload_stabilization aggregation_method": ("object", AGGREGATES, {}),
    "workload_stabilization aggregation_method.instance": ("string", "mean", {}),
    "workload_stabilization aggregation_method.compute_node": ("string", "mean", {}),
    "workload_stabilization aggregation_method.node": ("string", "", {}),
    "workload_stabilization granularity": ("number", 300, {"minimum": 0}),
    "storage_capacity_balance volume_threshold": (
        "number",
        80.0,
        {"minimum": 0, "maximum": 100},
    ),
    "zone_migration compute_nodes": ("array", None, {}),
    "zone_migration compute_nodes.src_node": ("string", None, {}),
    "zone_migration compute_nodes.dst_node": ("string", None, {}),
    "zone_migration storage_pools": ("array", None, {}),
    "zone_migration storage_pools.src_pool": ("string", None, {}),
    "zone_migration storage_pools.dst_pool": ("string", None, {}),
    "zone_migration storage_pools.src_type": ("string", None, {}),
    "zone_migration storage_pools.dst_type": ("string", None, {}),
    "zone_migration parallel_total": ("integer", 6, {"minimum": 0}),
    "zone_migration parallel_per_node": ("integer", 2, {"minimum": 0}),
    "zone_migration parallel_per_pool": ("integer", 2, {"minimum": 0}),
    "zone_migration priority": ("object", None, {}),
    "zone_migration priority.project": ("array", None, {}),
    "zone_migration priority.compute_node": ("array", None, {}),
    "zone_migration priority.storage_pool": ("array", None, {}),
    "zone_migration priority.compute": (
        None,
        None,
        {"enum": ["vcpu_num", "mem_size", "disk_size", "created_at"]},
    ),
    "zone_migration priority.storage": (None, None, {"enum": ["size", "created_at"]}),
    "zone_migration with_attached_volume": ("boolean", False, {}),
    "host_maintenance maintenance_node": ("string", None, {}),
    "host_maintenance backup_node": ("string", None, {}),
    "host_maintenance disable_live_migration": ("boolean", False, {}),
    "host_maintenance disable_cold_migration": ("boolean", False, {}),
}

REQUIRED = {
    "actuator": ["actions"],
    "actuator actions": ["action_type", "input_parameters"],
    "zone_migration compute_nodes": ["src_node"],
    "zone_migration storage_pools": ["src_pool"],
    "host_maintenance": ["maintenance_node"],
}

GOALS = {
    # name: display name, required indicators, others, global efficacy
    "dummy": ("Dummy goal", [], [], []),
    "unclassified": ("Unclassified", [], [], []),
    "server_consolidation": (
        "Server Consolidation",
        ["compute_nodes_count", "released_compute_nodes_count", "instance_migrations_count"],
        [],
        ["released_nodes_ratio"],
    ),
    "thermal_optimization": ("Thermal Optimization", [], [], []),
    "workload_balancing": (
        "Workload Balancing",
        ["instance_migrations_count"],
        [
            "instances_count",
            "standard_deviation_after_audit",
            "standard_deviation_before_audit",
        ],
        ["live_migrations_count"],
    ),
    "airflow_optimization": ("Airflow Optimization", [], [], []),
    "noisy_neighbor": ("Noisy Neighbor", [], [], []),
    "saving_energy": ("Saving Energy", [], [], []),
    "hardware_maintenance": (
        "Hardware Maintenance",
        [
            "live_migrate_instance_count",
            "planned_live_migrate_instance_count",
            "cold_migrate_instance_count",
            "planned_cold_migrate_instance_count",
            "volume_migrate_count",
            "planned_volume_migrate_count",
            "volume_update_count",
            "planned_volume_update_count",
        ],
        [],
        [
            "live_instance_migrate_ratio",
            "cold_instance_migrate_ratio",
            "volume_migrate_ratio",
            "volume_update_ratio",
        ],
    ),
    "cluster_maintaining": ("Cluster Maintaining", [], [], []),
}


def described(name, schema):
    """(name, schema) of each property, those of an array's objects as if of the array."""
    for key, value in schema.get("properties", {}).items():
        yield f"{name}{key}", value
        yield from described(f"{name}{key}.", value.get("items", value))


def limits(schema):
    keys = ("minimum", "maximum", "enum", "minItems")
    return {key: schema[key] for key in keys if key in schema}


class ContractTest(TestCase):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.strategies = entry_points.load("watcher_strategies", Strategy)

    def test_facts(self):
        found = {
            name: (each.display_name, each.goal, each.planner, (*each.metrics,))
            for name, each in self.strategies.items()
        }
        self.assertEqual(FACTS, found)

    def test_parameters(self):
        found = {
            name: (schema.get("type"), schema.get("default"), limits(schema))
            for strategy, each in self.strategies.items()
            for name, schema in described(f"{strategy} ", each.schema)
        }
        self.assertEqual(PARAMETERS, found)

    def test_which_parameters_are_required(self):
        found = {}
        for strategy, each in self.strategies.items():
            found[strategy] = each.schema.get("required")
            for name, schema in described(f"{strategy} ", each.schema):
                found[name] = schema.get("items", schema).get("required")
        self.assertEqual(REQUIRED, {name: names for name, names in found.items() if names})

    def test_goals(self):
        found = {}
        for name, goal in entry_points.load("watcher_goals", Goal).items():
            indicators, ratios = goal.efficacy.indicators, goal.efficacy.ratios
            found[name] = (
                goal.display_name,
                [each.name for each in indicators if each.required],
                [each.name for each in indicators if not each.required],
                [each.name for each in ratios],
            )
        self.assertEqual(GOALS, found)
