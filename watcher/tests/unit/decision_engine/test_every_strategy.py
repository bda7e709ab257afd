# SPDX-License-Identifier: Apache-2.0
"""What holds for all strategies, on any cluster, whatever was not measured."""

import dataclasses
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common import entry_points
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine import efficacy, planning
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.strategies.base import Strategy
from watcher.model.baremetal import BaremetalModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.test_saving_energy import node

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"
SERVERS_NEEDED = {"workload_balance": "instance_cpu_usage"}
"""Metrics of which nothing at all is known end a run for now: it is tried again."""
HOSTS_NEEDED = {"workload_stabilization": "host_cpu_usage"}
RECIPES = {"actuator", "dummy", "dummy_with_resize", "dummy_with_scorer"}
"""These do what they are told, and look at no cluster."""
NAMED = {"host_maintenance", "zone_migration"}
"""Their users name destinations, which may be in other zones."""
CONSOLIDATION = {"basic", "node_resource_consolidation"}


def parameters(cluster):
    """Of the strategies that need some, or do nothing without."""
    hosts = [each.hostname for each in cluster.hosts]
    return {
        "host_maintenance": {"maintenance_node": hosts[0], "backup_node": hosts[-1]}
        if len(hosts) > 1
        else {"maintenance_node": hosts[0]},
        "zone_migration": {
            "compute_nodes": [
                {"src_node": hosts[0]},
                *({"src_node": one, "dst_node": hosts[0]} for one in hosts[1:]),
            ],
            "parallel_total": 50,
            "parallel_per_node": 50,
        },
        "workload_stabilization": {"thresholds": {CPU: 0.01}},
        "node_resource_consolidation": {"host_choice": "specify"},
        "saving_energy": {"free_used_percent": 50},
    }


def inputs(strategy, cluster):
    return clusters.inputs(
        strategy,
        cluster.model,
        cluster.measured,
        baremetal=BaremetalModel(tuple(node(each.hostname) for each in cluster.hosts), True),
        **parameters(cluster).get(strategy.name, {}),
    )


def execute(strategy, cluster):
    return strategy().execute(inputs(strategy, cluster))


@st.composite
def measured_clusters(draw):
    """Clusters of which any value may be missing."""
    cluster = draw(checker.drawn_clusters(servers=15))
    hosts = [each.hostname for each in cluster.hosts]
    drawn = {
        name: {host: draw(st.floats(*bounds)) for host in hosts}
        for name, bounds in (
            ("host_outlet_temp", (20, 50)),
            ("host_airflow", (100, 700)),
            ("host_inlet_temp", (20, 40)),
            ("host_power", (100, 600)),
        )
    }
    cache = {each.name: draw(st.floats(0, 100)) for each in cluster.servers}
    values = {**cluster.values, **drawn, "instance_l3_cache_usage": cache}
    kept = {
        metric: {name: value for name, value in found.items() if draw(st.integers(0, 3))}
        for metric, found in values.items()
    }
    return dataclasses.replace(cluster, values=kept)


class EveryStrategyTest(TestCase):
    @settings(max_examples=30, deadline=None)
    @given(measured_clusters(), st.randoms())
    def test_rules(self, cluster, chance):
        shuffled = dataclasses.replace(
            cluster, **{kind: list(getattr(cluster, kind)) for kind in ("hosts", "servers")}
        )
        catalog = Catalog(self.conf)
        for name, strategy in catalog.strategies.items():
            if name in RECIPES | {"storage_capacity_balance"}:
                continue
            try:
                solution = execute(strategy, cluster)
            except MetricsUnavailable:
                self.check_nothing_was_known(name, cluster)
                continue
            model = cluster.model
            if name in NAMED:
                model = model.free_to_leave_zones
            self.assertEqual((name, []), (name, checker.faults(solution, model)))
            if name in CONSOLIDATION:
                self.assertEqual([], checker.half_emptied(solution, cluster.model))
            efficacy.compute(catalog.goals[strategy.goal], solution.indicators)
            planning.plan(
                strategy, solution, inputs(strategy, cluster), catalog.planner(strategy.planner)
            )
            self.check_explained(solution)
            self.assertEqual(solution, execute(strategy, cluster))
            # Parameters follow the order of hosts, which has to stay the same then.
            if name not in parameters(cluster):
                chance.shuffle(shuffled.hosts)
                chance.shuffle(shuffled.servers)
                self.assertEqual(solution, execute(strategy, shuffled))

    def check_nothing_was_known(self, name, cluster):
        there = {each.hostname for each in cluster.hosts if each.available}
        if name in SERVERS_NEEDED:
            names = {each.name for each in cluster.servers if each.host in there}
            self.assertFalse(names & cluster.values[SERVERS_NEEDED[name]].keys())
        else:
            self.assertFalse(there & cluster.values[HOSTS_NEEDED[name]].keys())

    def check_explained(self, solution):
        self.assertTrue(solution.summary)
        for numbers in json.loads(json.dumps(solution.summary)).values():
            self.assertEqual({"before", "after"}, numbers.keys())
        for action in solution.actions:
            self.assertTrue(action.reason, action)

    def test_recipes_give_reasons_too(self):
        what = {"actuator": {"actions": [{"action_type": "nop", "input_parameters": {}}]}}
        strategies = entry_points.load("watcher_strategies", Strategy)
        for name in RECIPES:
            strategy = strategies[name]
            solution = strategy().execute(clusters.inputs(strategy, **what.get(name, {})))
            self.assertTrue(solution.actions)
            for action in solution.actions:
                self.assertTrue(action.reason, action)
