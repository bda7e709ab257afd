# SPDX-License-Identifier: Apache-2.0
"""The goals that come with Watcher."""

from typing import ClassVar

from oslo_config import cfg

from watcher.decision_engine.efficacy import Indicator, Ratio, Specification

_COUNT = {"type": "integer", "minimum": 0}
_DEVIATION = {"type": "number", "minimum": 0}


class Goal:
    """Base of all goals: class attributes, no behaviour."""

    name: ClassVar[str]
    display_name: ClassVar[str]
    efficacy: ClassVar[Specification] = Specification()
    options: ClassVar[tuple[cfg.Opt, ...]] = ()
    """Its own options, for the group ``[watcher_goals.<name>]``."""


class DummyGoal(Goal):
    """For tests of Watcher itself."""

    name = "dummy"
    display_name = "Dummy goal"


class UnclassifiedGoal(Goal):
    """For strategies that serve no goal in particular."""

    name = "unclassified"
    display_name = "Unclassified"


class ServerConsolidationGoal(Goal):
    """Do the same work on fewer hosts."""

    name = "server_consolidation"
    display_name = "Server Consolidation"
    efficacy = Specification(
        indicators=(
            Indicator("compute_nodes_count", "Enabled compute hosts in the scope.", _COUNT),
            Indicator(
                "released_compute_nodes_count", "Compute hosts that the plan empties.", _COUNT
            ),
            Indicator("instance_migrations_count", "Migrations in the plan.", _COUNT),
        ),
        ratios=(
            Ratio(
                "released_nodes_ratio",
                "Compute hosts that the plan empties, out of all enabled ones.",
                part="released_compute_nodes_count",
                whole="compute_nodes_count",
            ),
        ),
    )


class ThermalOptimizationGoal(Goal):
    """Even out the temperature of hosts."""

    name = "thermal_optimization"
    display_name = "Thermal Optimization"


class WorkloadBalancingGoal(Goal):
    """Spread the load evenly over the hosts."""

    name = "workload_balancing"
    display_name = "Workload Balancing"
    efficacy = Specification(
        indicators=(
            Indicator("instance_migrations_count", "Migrations in the plan.", _COUNT),
            Indicator("instances_count", "Servers in the scope.", _COUNT, required=False),
            Indicator(
                "standard_deviation_after_audit",
                "Standard deviation of the host loads with the plan carried out.",
                _DEVIATION,
                required=False,
            ),
            Indicator(
                "standard_deviation_before_audit",
                "Standard deviation of the host loads as the audit found them.",
                _DEVIATION,
                required=False,
            ),
        ),
        ratios=(
            Ratio(
                "live_migrations_count",
                "Migrations in the plan, out of all servers in the scope.",
                part="instance_migrations_count",
                whole="instances_count",
            ),
        ),
    )


class AirflowOptimizationGoal(Goal):
    """Even out the airflow of hosts."""

    name = "airflow_optimization"
    display_name = "Airflow Optimization"


class NoisyNeighborGoal(Goal):
    """Separate servers from others that take their share of the cache."""

    name = "noisy_neighbor"
    display_name = "Noisy Neighbor"


class SavingEnergyGoal(Goal):
    """Power off hosts that have nothing to do."""

    name = "saving_energy"
    display_name = "Saving Energy"


_MAINTENANCE = {
    "live_migrate_instance": ("live_instance_migrate_ratio", "servers to migrate live"),
    "cold_migrate_instance": ("cold_instance_migrate_ratio", "servers to migrate cold"),
    "volume_migrate": ("volume_migrate_ratio", "detached volumes to migrate"),
    "volume_update": ("volume_update_ratio", "attached volumes to migrate"),
}


class HardwareMaintenanceGoal(Goal):
    """Empty hosts and storage pools, so that people can work on them."""

    name = "hardware_maintenance"
    display_name = "Hardware Maintenance"
    efficacy = Specification(
        indicators=tuple(
            indicator
            for prefix, (_, things) in _MAINTENANCE.items()
            for indicator in (
                Indicator(f"{prefix}_count", f"All {things}.", _COUNT),
                Indicator(f"planned_{prefix}_count", f"Of the {things}, those planned.", _COUNT),
            )
        ),
        ratios=tuple(
            Ratio(
                ratio,
                f"Of the {things}, the share that the plan migrates.",
                part=f"planned_{prefix}_count",
                whole=f"{prefix}_count",
            )
            for prefix, (ratio, things) in _MAINTENANCE.items()
        ),
    )


class ClusterMaintainingGoal(Goal):
    """Take one host out of service without harm to its servers."""

    name = "cluster_maintaining"
    display_name = "Cluster Maintaining"
