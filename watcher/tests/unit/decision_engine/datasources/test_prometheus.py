# SPDX-License-Identifier: Apache-2.0
import base64
import datetime

import fixtures

from watcher.common.errors import Invalid, MetricsUnavailable, NotConfigured, NotFound
from watcher.decision_engine.datasources import prometheus
from watcher.tests.emulated import prometheus as emulated
from watcher.tests.emulated.keystone import answer
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid
from watcher.tests.unit.decision_engine.datasources import stories
from watcher.tests.unit.decision_engine.datasources.stories import HOSTS, HOW, SERVERS


class TestPrometheus(stories.DatasourceTest, stories.Stories):
    def setUp(self):
        self.service = Prometheus(
            {
                "node_cpu_seconds_total": {"h1": 0.0, "h2.example.org": 99.5, "other": 1},
                "node_memory_MemAvailable_bytes": {"h1.example.org": 2048},
                "ceilometer_cpu": {uid("s1"): 40, uid("s2"): 500, "other": 3},
                "ceilometer_memory_usage": {uid("s1"): 512},
            }
        )
        super().setUp()

    def make(self, metric_map=None):
        self.conf.set_override("host", "127.0.0.1", group="prometheus_client")
        port = int(self.server.url.rpartition(":")[2])
        self.conf.set_override("port", port, group="prometheus_client")
        return prometheus.Prometheus(self.tools(metric_map))

    @property
    def query(self):
        return self.service.queries[-1]

    def test_cpu_of_hosts_with_and_without_domain(self):
        found = self.source.host_metric("host_cpu_usage", HOSTS, **HOW)
        self.assertEqual({uid("h1"): 0.0, uid("h2"): 99.5}, found)
        self.assertEqual(
            '100 - 100 * avg by (fqdn) (rate(node_cpu_seconds_total{mode="idle"}[600s]))',
            self.query,
        )

    def test_a_name_that_may_be_either_is_left_out(self):
        self.service.values = {"node_cpu_seconds_total": {"h1.a.org": 1, "h1.b.org": 2, "h2": 3}}
        found = self.source.host_metric("host_cpu_usage", HOSTS, **HOW)
        self.assertEqual({uid("h2"): 3}, found)

    def test_a_full_name_goes_before_a_short_one(self):
        self.service.values = {"node_cpu_seconds_total": {"h1.a.org": 1, "h1": 2}}
        self.assertEqual({uid("h1"): 2}, self.source.host_metric("host_cpu_usage", HOSTS, **HOW))

    def test_a_host_may_be_called_by_its_hypervisor(self):
        hosts = [
            clusters.host("n1.east", hypervisor_hostname="c1.example.org"),
            clusters.host("n2", hypervisor_hostname="c2"),
            clusters.host("n3.example.org"),
        ]
        self.service.values = {"node_cpu_seconds_total": {"c1": 1, "c2.org": 2, "n3": 3, "x": 4}}
        found = self.source.host_metric("host_cpu_usage", hosts, **HOW)
        self.assertEqual(dict(zip([each.uuid for each in hosts], [1, 2, 3], strict=True)), found)

    def test_a_name_that_matches_no_host_is_logged(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.service.values = {"node_cpu_seconds_total": {"h1": 1, "10.0.0.2": 3, "10.0.0.3": 3}}
        found = self.source.host_metric("host_cpu_usage", HOSTS, **HOW)
        self.assertEqual({"10.0.0.2", "10.0.0.3"}, found.unmatched)
        self.assertIn("hosts have no value, such as h2; 2 names match no host, such as 10.0.0.2", (
            log.output
        ))  # fmt: skip

    def test_most_used_is_least_available(self):
        self.source.host_metric("host_ram_usage", HOSTS, **(HOW | {"aggregate": "max"}))
        self.assertEqual(
            "avg by (fqdn) (node_memory_MemTotal_bytes"
            " - min_over_time(node_memory_MemAvailable_bytes[600s])) / 1024",
            self.query,
        )
        self.source.host_metric("host_cpu_usage", HOSTS, **(HOW | {"aggregate": "min"}))
        self.assertIn("max by (fqdn) (rate(", self.query)

    def test_cpu_of_servers_is_of_their_vcpus_and_at_most_all(self):
        servers = [server("s1", "h1", vcpus=4), server("s2", "h1", vcpus=2)]
        found = self.source.server_metric("instance_cpu_usage", servers, **HOW)
        self.assertEqual({uid("s1"): 10, uid("s2"): 100}, found)
        self.assertEqual(
            f'avg by (resource) (rate(ceilometer_cpu{{resource=~"{uid("s1")}|{uid("s2")}"}}'
            "[600s])) / 1e7",
            self.query,
        )

    def test_an_hour_of_the_past(self):
        end = datetime.datetime(2026, 11, 22, 15)
        found = self.source.past("instance_cpu_usage", SERVERS, end, 3600, 300)
        self.assertEqual(self.source.server_metric("instance_cpu_usage", SERVERS, **HOW), found)
        self.assertEqual(["2026-11-22T15:00:00Z", None], self.service.times[-2:])
        self.assertIn("[3600s]", self.service.queries[-2])

    def test_a_big_scope_is_not_listed(self):
        self.patch(prometheus, "FILTERED", 2)
        self.assertEqual({uid("s1"), uid("s2")}, set(self.ask(aggregate="max")))
        self.assertEqual("max by (resource) (rate(ceilometer_cpu[600s])) / 1e7", self.query)

    def test_what_servers_were_given_is_not_asked_for(self):
        given = [server("s1", "h1", memory_mb=2048, disk_gb=20)]
        for metric, value in {
            "instance_ram_allocated": 2048,
            "instance_root_disk_size": 20,
        }.items():
            self.assertTrue(self.source.available(metric))
            self.assertEqual({uid("s1"): value}, self.source.server_metric(metric, given, **HOW))
        self.assertEqual([], self.service.queries)

    def test_no_number_is_no_data(self):
        self.service.values = {
            "ceilometer_memory_usage": {uid("s1"): "NaN", uid("s2"): "+Inf", uid("s3"): "0"}
        }
        found = self.source.server_metric("instance_ram_usage", SERVERS, **HOW)
        self.assertEqual({uid("s3"): 0.0}, found)

    def test_words_are_nonsense(self):
        self.service.values = {"ceilometer_cpu": {uid("s1"): "much"}}
        self.assertRaises(MetricsUnavailable, self.ask)

    def test_the_labels_are_configured(self):
        self.conf.set_override("fqdn_label", "node", group="prometheus_client")
        self.conf.set_override("instance_uuid_label", "vm", group="prometheus_client")
        self.source.host_metric("host_cpu_usage", HOSTS, **HOW)
        self.assertIn("by (node)", self.query)
        self.assertEqual({uid("s1"), uid("s2")}, set(self.ask()))

    def test_other_names_and_other_metrics_from_the_map(self):
        source = self.make({"instance_cpu_usage": "vm_cpu_ns", "host_power": "ipmi_power_watts"})
        self.service.values = {"vm_cpu_ns": {uid("s1"): 10}, "ipmi_power_watts": {"h1": 210}}
        self.assertEqual(
            {uid("s1"): 10.0},
            source.server_metric("instance_cpu_usage", [server("s1", "h1", vcpus=1)], **HOW),
        )
        self.assertEqual({uid("h1"): 210}, source.host_metric("host_power", HOSTS, **HOW))
        self.assertEqual("avg by (fqdn) (avg_over_time(ipmi_power_watts[600s]))", self.query)
        self.assertTrue(source.available("host_power"))
        self.assertFalse(source.available("host_cpu_usage"))

    def test_what_the_map_takes_away_is_not_there(self):
        source = self.make({"instance_cpu_usage": None})
        self.assertFalse(source.available("instance_cpu_usage"))
        self.assertRaises(NotFound, source.server_metric, "instance_cpu_usage", SERVERS, **HOW)

    def test_an_answer_of_another_type(self):
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        for wrong in (
            {"status": "error", "error": "oh"},
            {"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}},
        ):
            self.patch(emulated, "_vector", lambda series, wrong=wrong: answer(wrong))
            self.assertIn("something else", str(self.assertRaises(MetricsUnavailable, self.ask)))

    def test_warnings_are_logged(self):
        logged = self.useFixture(fixtures.FakeLogger())
        vector = {"resultType": "vector", "result": []}
        full = {"status": "success", "data": vector, "warnings": ["results truncated"]}
        self.patch(emulated, "_vector", lambda series: answer(full))
        self.assertEqual({}, self.ask())
        self.assertIn("results truncated", logged.output)

    def test_a_period_of_nothing_is_refused(self):
        self.assertIn("period", str(self.assertRaises(Invalid, self.ask, period=0)))

    def test_a_host_without_a_name_is_not_configured(self):
        self.conf.clear_override("host", group="prometheus_client")
        error = self.assertRaises(NotConfigured, prometheus.Prometheus, self.tools())
        self.assertIn("[prometheus_client] host", str(error))

    def test_it_says_who_it_is(self):
        self.conf.set_override("username", "watcher", group="prometheus_client")
        self.conf.set_override("password", "x", group="prometheus_client")
        self.make().check()
        expected = "Basic " + base64.b64encode(b"watcher:x").decode()
        self.assertEqual(expected, self.server.requests[-1].headers["Authorization"])

    def test_with_certificates_it_speaks_tls(self):
        for option in ("cafile", "certfile", "keyfile"):
            self.conf.set_override(option, f"/nowhere/{option}", group="prometheus_client")
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        error = self.assertRaises(MetricsUnavailable, self.make().check)
        self.assertIn("/nowhere/", str(error))


class TestNames(stories.DatasourceTest):
    service = Prometheus({"node_cpu_seconds_total": {"h1": 1}})

    def make(self, metric_map=None):
        self.conf.set_override("host", "::1", group="prometheus_client")
        return prometheus.Prometheus(self.tools())

    def test_an_address_of_ipv6(self):
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        self.conf.set_override("port", 1, group="prometheus_client")
        error = self.assertRaises(
            MetricsUnavailable, self.make().host_metric, "host_cpu_usage", [host("h1")], **HOW
        )
        self.assertIn("cannot be reached", str(error))
