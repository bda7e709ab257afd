# SPDX-License-Identifier: Apache-2.0
from watcher.cloud import Cloud
from watcher.decision_engine import strategy_state as state
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer, Fault


def simulated(**scenario: object) -> Cloud:
    return SimulatedCloud(Scenario.from_dict(scenario)).cloud


class StrategyStateTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        Catalog(self.conf)

    def rows(self, strategy: type, cloud: Cloud) -> dict[str, object]:
        datasources = Datasources(self.conf, cloud.own_metrics)
        rows = state.of_strategy(strategy, datasources, Collectors(self.conf, cloud))
        self.assertEqual([True, False, True], [row["mandatory"] for row in rows])
        self.comments = {row["type"]: row["comment"] for row in rows}
        return {row["type"]: row["state"] for row in rows}

    def prometheus(self) -> EmulatedServer:
        names = ("node_cpu_seconds_total", "ceilometer_cpu", "ceilometer_memory_usage")
        server = self.useFixture(EmulatedServer(Prometheus({name: {} for name in names})))
        port = int(server.url.rpartition(":")[2])
        self.conf.set_override("datasources", ["prometheus"], group="watcher_datasources")
        self.conf.set_override("host", "127.0.0.1", group="prometheus_client")
        self.conf.set_override("port", port, group="prometheus_client")
        return server

    def test_with_all_that_it_needs(self) -> None:
        rows = self.rows(
            WorkloadStabilization, simulated(generate={"hosts": 1, "servers": 1, "seed": 1})
        )
        self.assertEqual("simulation: available", rows["Datasource"])
        self.assertIn({"host_cpu_usage": "available"}, rows["Metrics"])
        self.assertEqual({"compute_model": "available"}, rows["CDM"][0])

    def test_without_a_cloud(self) -> None:
        self.conf.set_override("datasources", [], group="watcher_datasources")
        rows = self.rows(WorkloadStabilization, Cloud())
        self.assertEqual("none configured: not available", rows["Datasource"])
        self.assertIn("datasources", self.comments["Datasource"])
        self.assertIn({"host_cpu_usage": "not available"}, rows["Metrics"])
        self.assertEqual(
            [
                {"compute_model": "not available"},
                {"storage_model": "not available"},
                {"baremetal_model": "not available"},
            ],
            rows["CDM"],
        )
        self.assertIn("compute_model: No cloud", self.comments["CDM"])

    def test_metrics_go_by_the_names_of_the_datasource(self) -> None:
        self.prometheus()
        rows = self.rows(WorkloadStabilization, Cloud())
        self.assertEqual("prometheus: available", rows["Datasource"])
        self.assertEqual(
            [
                {"node_cpu_seconds_total": "available"},
                {"ceilometer_cpu": "available"},
                {"ceilometer_memory_usage": "available"},
                {"node_memory_MemAvailable_bytes": "not available"},
            ],
            rows["Metrics"],
        )
        self.assertEqual("", self.comments["Datasource"])

    def test_a_datasource_that_does_not_answer(self) -> None:
        self.prometheus().fault = Fault.DOWN
        rows = self.rows(WorkloadStabilization, Cloud())
        self.assertEqual("prometheus: not available", rows["Datasource"])
        self.assertIn({"ceilometer_cpu": "not available"}, rows["Metrics"])
        self.assertIn("503", self.comments["Datasource"])

    def test_an_empty_cloud_has_no_model(self) -> None:
        rows = self.rows(Dummy, simulated(hosts=[]))
        self.assertEqual({"compute_model": "not available"}, rows["CDM"][0])

    def test_a_strategy_without_metrics_needs_no_datasource(self) -> None:
        rows = self.rows(Dummy, Cloud())
        self.assertEqual("Datasource is not presented for this strategy", rows["Datasource"])
        self.assertEqual([], rows["Metrics"])
