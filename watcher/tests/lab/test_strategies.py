# SPDX-License-Identifier: Apache-2.0
"""Strategies on the model and the metrics of a real cloud, which nothing changes."""

import dataclasses
import threading
from typing import Any

from watcher.cmd import cloud
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.datasources.gnocchi import Gnocchi
from watcher.decision_engine.datasources.source import DatasourceTools
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import trial
from watcher.tests.lab.real_cloud import RealCloudTestCase
from watcher.tests.unit.decision_engine import checker


class StrategiesTest(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.catalog = Catalog(self.conf)
        self.model = Collectors(self.conf, cloud.connect(self.conf)).compute()
        self.source = Gnocchi(DatasourceTools(self.conf, {}, threading.Event().wait))

    def solve(self, name: str, **parameters: Any) -> Solution:
        strategy = self.catalog.strategies[name]
        inputs = dataclasses.replace(
            trial.inputs(strategy, self.model, **parameters),
            host_metric=self.source.host_metric,
            server_metric=self.source.server_metric,
        )
        solution = strategy().execute(inputs)
        self.assertEqual([], checker.faults(solution, self.model))
        self.catalog.planner(strategy.planner).plan(solution)
        return solution

    def test_consolidation(self) -> None:
        for name in ("basic", "vm_workload_consolidation", "node_resource_consolidation"):
            in_use = self.solve(name).summary["hosts in use"]
            self.assertLessEqual(in_use["after"], in_use["before"], name)

    def test_emptying_a_host(self) -> None:
        host = max(self.model.servers, key=lambda server: (server.vcpus, server.uuid)).host
        entry = [{"src_node": host}]
        for name, parameters in (
            ("host_maintenance", {"maintenance_node": host}),
            ("zone_migration", {"compute_nodes": entry, "parallel_per_node": 6}),
        ):
            moved = {
                action.input_parameters["source_node"]
                for action in self.solve(name, **parameters).actions
                if action.action_type == "migrate"
            }
            self.assertEqual({host}, moved, name)
