# SPDX-License-Identifier: Apache-2.0
"""Metrics of a real gnocchi and a real Prometheus.

Prometheus is asked at ``WATCHER_LAB_PROMETHEUS``, by default at port 9090 of the host
of ``OS_AUTH_URL``.
"""

import dataclasses
import os
import threading
from typing import Any
from urllib.parse import urlsplit

from watcher.cmd import cloud
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.datasources.gnocchi import Gnocchi
from watcher.decision_engine.datasources.prometheus import Prometheus
from watcher.decision_engine.datasources.source import DatasourceTools
from watcher.decision_engine.strategies.basic import Basic
from watcher.tests.lab.real_cloud import RealCloudTestCase

HOW: dict[str, Any] = {"period": 600, "aggregate": "mean", "granularity": 300}
METRICS = ("host_cpu_usage", "host_ram_usage", "instance_cpu_usage", "instance_ram_usage")


class DatasourceTestCase(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        default = f"http://{urlsplit(os.environ['OS_AUTH_URL']).hostname}:9090"
        url = urlsplit(os.environ.get("WATCHER_LAB_PROMETHEUS", default))
        self.conf.set_override("host", url.hostname, group="prometheus_client")
        self.conf.set_override("port", url.port, group="prometheus_client")
        self.tools = DatasourceTools(self.conf, {}, threading.Event().wait)
        compute = cloud.connect(self.conf).compute
        self.hosts = [host for host in compute.hosts() if host.state == "up"]
        self.servers = [server for server in compute.servers() if server.state == "active"]
        if not self.servers:
            self.skipTest("The cloud has no active server that could be measured.")


class Stories:
    def test_it_answers_and_has_the_metrics(self):
        self.source.check()
        self.assertEqual([], [name for name in METRICS if not self.source.available(name)])

    def test_every_host_is_measured_within_bounds(self):
        cpu = self.source.host_metric("host_cpu_usage", self.hosts, **HOW)
        ram = self.source.host_metric("host_ram_usage", self.hosts, **HOW)
        for host in self.hosts:
            self.assertTrue(0 <= cpu[host.uuid] <= 100, cpu)
            self.assertTrue(0 < ram[host.uuid] <= host.memory_mb * 1024, ram)

    def test_servers_are_measured_within_bounds(self):
        cpu = self.source.server_metric("instance_cpu_usage", self.servers, **HOW)
        ram = self.source.server_metric("instance_ram_usage", self.servers, **HOW)
        self.assertTrue(cpu)
        for server in self.servers:
            # A server that was booted a moment ago has no data yet.
            self.assertTrue(0 <= cpu.get(server.uuid, 0) <= 100, cpu)
            self.assertTrue(0 <= ram.get(server.uuid, 0) <= server.memory_mb, ram)

    def test_aggregates_are_in_order(self):
        values = [
            self.source.host_metric("host_ram_usage", self.hosts, **(HOW | {"aggregate": name}))
            for name in ("min", "mean", "max")
        ]
        for host in self.hosts:
            least, mean, most = (each[host.uuid] for each in values)
            self.assertTrue(least - 1 <= mean <= most + 1, values)

    def test_a_host_that_is_not_measured_is_absent(self):
        nobody = dataclasses.replace(
            self.hosts[0], hostname="no-such-host", hypervisor_hostname="no-such-host"
        )
        found = self.source.host_metric("host_cpu_usage", [nobody], **HOW)
        self.assertEqual({}, found)


class TestPrometheus(DatasourceTestCase, Stories):
    def setUp(self):
        super().setUp()
        self.source = Prometheus(self.tools)

    def test_its_refusals_have_its_own_words(self):
        self.conf.set_override("fqdn_label", "not a label", group="prometheus_client")
        error = self.assertRaises(
            MetricsUnavailable, self.source.host_metric, "host_cpu_usage", self.hosts, **HOW
        )
        self.assertIn("400", str(error))
        self.assertIn("parse error", str(error))


class TestGnocchi(DatasourceTestCase, Stories):
    def setUp(self):
        super().setUp()
        self.source = Gnocchi(self.tools)

    def test_what_servers_were_given(self):
        found = self.source.server_metric("instance_ram_allocated", self.servers, **HOW)
        for server in self.servers:
            self.assertEqual(server.memory_mb, found.get(server.uuid, server.memory_mb))

    def test_a_granularity_that_no_archive_policy_has(self):
        error = self.assertRaises(
            MetricsUnavailable,
            self.source.host_metric,
            "host_cpu_usage",
            self.hosts,
            **(HOW | {"granularity": 7}),
        )
        self.assertIn("no archive policy", str(error))

    def test_an_aggregation_that_no_archive_policy_has(self):
        source = Gnocchi(
            DatasourceTools(self.conf, {"instance_cpu_usage": "memory"}, self.tools.wait)
        )
        error = self.assertRaises(
            MetricsUnavailable, source.server_metric, "instance_cpu_usage", self.servers, **HOW
        )
        self.assertIn("rate:mean", str(error))

    def test_resources_that_it_does_not_know(self):
        nobody = [
            each.__class__(f"{number:032x}", "n", "h", 1, 1, 1)
            for number, each in enumerate(self.servers)
        ]
        self.assertEqual({}, self.source.server_metric("instance_cpu_usage", nobody, **HOW))


class TestChoice(DatasourceTestCase):
    def test_the_one_that_answers_serves(self):
        Catalog(self.conf)
        self.conf.set_override("datasources", ["prometheus", "gnocchi"], "watcher_datasources")
        self.assertEqual("prometheus", Datasources(self.conf).serving(Basic).name)
        self.conf.set_override("port", 1, group="prometheus_client")
        self.assertEqual("gnocchi", Datasources(self.conf).serving(Basic).name)
        self.assertTrue(all(Datasources(self.conf).report(Basic).metrics.values()))
