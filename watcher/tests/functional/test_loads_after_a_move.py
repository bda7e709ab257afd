# SPDX-License-Identifier: Apache-2.0
"""What a strategy sees of hosts between which a server has moved, with real drivers."""

import datetime
from collections.abc import Mapping
from typing import Any

from oslo_utils import timeutils

from watcher.cmd import cloud
from watcher.common.errors import CloudRefused
from watcher.db.models import Audit, AuditRun
from watcher.decision_engine import inputs
from watcher.decision_engine.inputs import Earlier, Sources
from watcher.decision_engine.strategies.base import Inputs
from watcher.decision_engine.strategies.outlet_temperature import OutletTemperature
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.tests import base
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.gnocchi import Gnocchi, Metric, Resource
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer
from watcher.tests.unit.decision_engine.clusters import uid

HOW: Mapping[str, Any] = {"period": 600, "aggregate": "mean", "granularity": 300}
LISTED = "GET /compute/v2.1/os-migrations"


class MoveTestCase(base.TestCase):
    """A server of 4 vCPUs, half busy, has moved from one host of 16 to another."""

    def setUp(self) -> None:
        super().setUp()
        self.emulated = self.useFixture(EmulatedCloud())
        self.nova = self.emulated.nova
        self.emulated.configure(self.conf)
        self.hosts = {name: self.emulated.add_host(name, vcpus=16) for name in ("one", "two")}
        flavor = self.nova.add_flavor("small", 4, 4096, 10)
        self.server = self.nova.add_server("a", "one", flavor)
        self.compute = cloud.connect(self.conf).compute

    def move(self, seconds_ago: float = 0) -> None:
        self.compute.live_migrate(self.server, "two")
        while self.compute.server(self.server).task_state:
            pass
        self.ended(seconds_ago)

    def ended(self, seconds_ago: float) -> None:
        """Say when the move has ended."""
        ended = timeutils.utcnow() - datetime.timedelta(seconds=seconds_ago)
        self.nova.migrations[0]["updated_at"] = ended.isoformat(timespec="microseconds")

    def inputs(self, strategy: Any = WorkloadStabilization) -> Inputs:
        connected = cloud.connect(self.conf)
        audit = Audit(uuid=uid("audit"), audit_type="ONESHOT", parameters={}, scope=[])
        return inputs.make(
            strategy,
            AuditRun(uuid=uid("run"), audit=audit),
            timeutils.utcnow(),
            Sources.of(self.conf, connected),
            lambda: Earlier((), None),
        )

    def loads(self, name: str = "host_cpu_usage", made: Inputs | None = None) -> dict[str, float]:
        made = made or self.inputs()
        values = made.host_metric(name, made.compute_model().hosts, **HOW)
        return {host: round(values[uuid], 1) for host, uuid in self.hosts.items() if uuid in values}

    def use(self, datasource: str) -> None:
        self.conf.set_override("datasources", [datasource], group="watcher_datasources")


class TestPrometheus(MoveTestCase):
    def setUp(self) -> None:
        super().setUp()
        service = Prometheus(
            {
                "node_cpu_seconds_total": {"one": 40, "two": 10},
                "ceilometer_cpu": {self.server: 200},
            }
        )
        self.prometheus = self.useFixture(EmulatedServer(service))
        self.use("prometheus")
        self.conf.set_override("host", "127.0.0.1", group="prometheus_client")
        port = int(self.prometheus.url.rpartition(":")[2])
        self.conf.set_override("port", port, group="prometheus_client")

    def test_the_load_goes_with_the_server(self) -> None:
        self.assertEqual({"one": 40, "two": 10}, self.loads())
        self.move()
        self.assertEqual({"one": 27.5, "two": 22.5}, self.loads())
        self.ended(seconds_ago=601)
        self.assertEqual({"one": 40, "two": 10}, self.loads())

    def test_what_it_asks_for(self) -> None:
        made = self.inputs()
        for queries in (1, 2):
            self.loads(made=made)
            self.assertEqual(1, self.emulated.asked()[LISTED], "once a run")
            self.assertEqual(queries, len(self.prometheus.requests))
        self.move()
        self.loads()
        self.assertEqual(2, self.emulated.asked()[LISTED])
        self.assertEqual(4, len(self.prometheus.requests), "of the host, and of the server")

    def test_who_asks_for_no_host_asks_for_no_migration(self) -> None:
        made = self.inputs()
        made.server_metric("instance_cpu_usage", made.compute_model().servers, **HOW)
        self.assertEqual(0, self.emulated.asked()[LISTED])

    def test_a_user_who_may_not_list_migrations(self) -> None:
        self.nova.allow_migrations = False
        error = self.assertRaises(CloudRefused, self.loads)
        self.assertIn("os_compute_api:os-migrations:index", str(error))

    def test_a_server_that_is_gone_since(self) -> None:
        self.move()
        self.nova.delete(self.server)
        self.assertEqual({}, self.loads())


class TestGnocchi(MoveTestCase):
    def setUp(self) -> None:
        super().setUp()
        used = {"one": 40, "two": 10}
        ages = (1, 301, 601)
        servers = [Resource(self.server, {"cpu": Metric([(age, 300, 600e9) for age in ages])})]
        hosts = [
            Resource(
                uid(name),
                {
                    "compute.node.cpu.percent": Metric([(age, 300, cpu) for age in ages]),
                    "hardware.ipmi.node.outlet_temperature": Metric([(1, 300, 30)]),
                },
                "nova_compute",
                f"{name}_{name}",
            )
            for name, cpu in used.items()
        ]
        gnocchi = self.useFixture(EmulatedServer(Gnocchi([*servers, *hosts])))
        self.emulated.keystone.catalog["metric"] = gnocchi.url
        self.use("gnocchi")

    def test_the_load_goes_with_the_server(self) -> None:
        self.assertEqual({"one": 40, "two": 10}, self.loads())
        self.move()
        self.assertEqual({"one": 27.5, "two": 22.5}, self.loads())

    def test_measures_are_late(self) -> None:
        """The mean is of the time from 750 to 150 seconds ago, or of 150 seconds before or after
        that: where the servers on a host use what lies between, the host does."""
        self.move(seconds_ago=140)
        self.assertEqual({"one": 27.5, "two": 22.5}, self.loads())
        self.ended(seconds_ago=901)
        self.assertEqual({"one": 40, "two": 10}, self.loads())

    def test_a_temperature_is_unknown_for_a_while(self) -> None:
        name = "host_outlet_temp"
        self.assertEqual({"one": 30, "two": 30}, self.loads(name, self.inputs(OutletTemperature)))
        self.move()
        self.assertEqual({}, self.loads(name, self.inputs(OutletTemperature)))
