# SPDX-License-Identifier: Apache-2.0
from watcher.cloud import Cloud
from watcher.cloud.scenario import Scenario
from watcher.cloud.simulated import SimulatedCloud
from watcher.decision_engine import state
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.tests import base


def simulated(**scenario: object) -> Cloud:
    return SimulatedCloud(Scenario.from_dict(scenario)).cloud


class StrategyStateTest(base.TestCase):
    def rows(self, strategy: type, cloud: Cloud) -> dict[str, object]:
        rows = state.of_strategy(strategy, cloud)
        self.assertEqual([True, False, True], [row["mandatory"] for row in rows])
        return {row["type"]: row["state"] for row in rows}

    def test_with_all_that_it_needs(self) -> None:
        rows = self.rows(
            WorkloadStabilization, simulated(generate={"hosts": 1, "servers": 1, "seed": 1})
        )
        self.assertEqual("simulation: available", rows["Datasource"])
        self.assertIn({"host_cpu_usage": "available"}, rows["Metrics"])
        self.assertEqual({"compute_model": "available"}, rows["CDM"][0])

    def test_without_a_cloud(self) -> None:
        rows = self.rows(WorkloadStabilization, Cloud())
        self.assertEqual("none configured: not available", rows["Datasource"])
        self.assertIn({"host_cpu_usage": "not available"}, rows["Metrics"])
        self.assertEqual(
            [
                {"compute_model": "not available"},
                {"storage_model": "not available"},
                {"baremetal_model": "not available"},
            ],
            rows["CDM"],
        )

    def test_an_empty_cloud_has_no_model(self) -> None:
        rows = self.rows(Dummy, simulated(hosts=[]))
        self.assertEqual({"compute_model": "not available"}, rows["CDM"][0])

    def test_a_strategy_without_metrics_needs_no_datasource(self) -> None:
        rows = self.rows(Dummy, Cloud())
        self.assertEqual("Datasource is not presented for this strategy", rows["Datasource"])
        self.assertEqual([], rows["Metrics"])
