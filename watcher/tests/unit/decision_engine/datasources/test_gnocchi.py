# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import threading

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_utils import timeutils
from werkzeug.wrappers import Response

from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.datasources import gnocchi
from watcher.tests.emulated import keystone
from watcher.tests.emulated.gnocchi import Gnocchi, Metric, Resource
from watcher.tests.emulated.server import EmulatedServer
from watcher.tests.unit.decision_engine.clusters import host, server, uid
from watcher.tests.unit.decision_engine.datasources import stories
from watcher.tests.unit.decision_engine.datasources.stories import HOSTS, HOW, SERVERS

BEGIN = datetime.datetime(2026, 11, 22, 15, 50)
BUSY = 300e9
"""Nanoseconds that one busy vCPU uses in 300 seconds."""


def vm(name, metric="cpu", **values):
    """A server whose *points* are values at the ages of 100, 400, ... seconds."""
    points = [(100 + 300 * index, 300, each) for index, each in enumerate(values.pop("points"))]
    return Resource(uid(name), {metric: Metric(points, **values)})


def compute(name, metric, *points):
    measured = Metric([(100, 300, each) for each in points])
    return Resource(uid(f"res-{name}"), {metric: measured}, "nova_compute", f"{name}_{name}")


class TestGnocchi(stories.DatasourceTest, stories.Stories):
    def setUp(self):
        self.service = Gnocchi([vm("s1", points=[BUSY, BUSY / 2]), vm("s2", points=[0, 0])])
        super().setUp()
        self.at(0)

    def at(self, seconds):
        """The present time, after the end of a granule."""
        now = BEGIN + datetime.timedelta(seconds=seconds)
        self.patch(timeutils, "utcnow", lambda: now)
        self.service.now = timeutils.utcnow

    def make(self, metric_map=None):
        services = keystone.Keystone({"metric": self.server.url})
        identity = self.useFixture(EmulatedServer(services))
        keystone.configure(self.conf, identity.url)
        return gnocchi.Gnocchi(self.tools(metric_map))

    def hosts(self, name, **how):
        return self.source.host_metric(name, HOSTS, **(HOW | how))

    def test_a_host_has_the_names_of_nova_and_of_its_hypervisor(self):
        metric = "compute.node.cpu.percent"
        self.service.resources = [
            dataclasses.replace(compute(f"r{n}", metric, n), original_resource_id=name)
            for n, name in enumerate(("h1_h1.example.org", "h2.example.org_h2.example.org"))
        ]
        hosts = [
            host("h1", hypervisor_hostname="h1.example.org"),
            host("h2", hypervisor_hostname="h2.example.org"),
        ]
        found = self.source.host_metric("host_cpu_usage", hosts, **HOW)
        self.assertEqual({uid("h1"): 0, uid("h2"): 1}, found)

    def test_hosts_without_a_resource_are_logged(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.hosts("host_cpu_usage")
        self.assertIn("gnocchi: 3 hosts have no value, such as h1", log.output)

    def test_it_uses_all_of_the_period(self):
        for aggregate, value in {"mean": 75, "count": 75, "min": 50, "max": 100}.items():
            self.assertEqual(value, self.ask(aggregate=aggregate)[uid("s1")])
        self.assertEqual(100, self.ask(period=300)[uid("s1")])

    def test_a_granule_counts_by_its_part_of_the_period(self):
        """Of the granules with 0, 50 and 100 the last goes on for 200 seconds yet."""
        self.at(100)
        points = Metric([(50, 300, BUSY), (350, 300, BUSY / 2), (650, 300, 0)])
        self.service.resources = [Resource(uid("s1"), {"cpu": points})]
        self.assertAlmostEqual((100 * 100 + 50 * 300 + 0 * 200) / 600, self.ask()[uid("s1")])
        self.assertAlmostEqual(
            (100 * 100 + 50 * 150) / 250, self.ask(period=250)[uid("s1")], msg="within a granule"
        )
        self.assertEqual(100, self.ask(aggregate="max")[uid("s1")])
        self.assertEqual(0, self.ask(aggregate="min")[uid("s1")])

    def test_an_hour_of_the_past(self):
        """Points each five minutes, of which only those of the hour count."""
        end = BEGIN - datetime.timedelta(hours=2)
        ages = [100 + 300 * number for number in range(60)]
        inside = [7200 <= age < 10800 for age in ages]
        points = [
            (age, 300, BUSY / 2 if each else 0) for age, each in zip(ages, inside, strict=True)
        ]
        self.service.resources = [Resource(uid("s1"), {"cpu": Metric(points)})]
        self.assertEqual({uid("s1"): 50.0}, self.source.past(self.metric, SERVERS, end, 3600, 300))
        before = end - datetime.timedelta(days=7)
        self.assertEqual({}, self.source.past(self.metric, SERVERS, before, 3600, 300))

    def test_a_measure_that_is_not_there_yet_counts_for_nothing(self):
        self.at(100)
        points = Metric([(350, 300, BUSY / 2), (650, 300, 0)])
        self.service.resources = [Resource(uid("s1"), {"cpu": points})]
        self.assertAlmostEqual(50 * 300 / 500, self.ask()[uid("s1")])

    def test_a_clock_that_is_behind(self):
        self.at(-3600)
        self.service.now = lambda: BEGIN
        self.assertEqual(75, self.ask()[uid("s1")])

    def test_its_window_ends_half_a_granule_ago(self):
        minutes = {
            (600, 300): (12.5, 2.5),
            (600, 60): (10.5, 0.5),
            (600, 0): (10, 0),
            (30, 300): (7.5, 2.5),
        }
        for what, ages in minutes.items():
            expected = tuple(BEGIN - datetime.timedelta(minutes=age) for age in ages)
            self.assertEqual(expected, self.source.window(BEGIN, *what))

    def test_cpu_is_of_the_vcpus_and_zero_is_a_value(self):
        servers = [server("s1", "h1", vcpus=4), server("s2", "h1", vcpus=0)]
        found = self.source.server_metric(self.metric, servers, **HOW)
        self.assertEqual({uid("s1"): 18.75, uid("s2"): 0.0}, found)

    def test_a_counter_that_began_anew_is_no_negative_load(self):
        self.service.resources = [vm("s1", points=[BUSY, -BUSY])]
        self.assertEqual({uid("s1"): 50.0}, self.ask())

    def test_a_counter_that_leaps_is_no_load_beyond_all_vcpus(self):
        self.service.resources = [vm("s1", points=[BUSY / 2, 120 * BUSY])]
        self.assertEqual({uid("s1"): 75.0}, self.ask())

    def test_other_metrics_are_taken_as_they_are(self):
        self.service.resources = [vm("s1", "memory.resident", points=[512, 256])]
        found = self.source.server_metric(
            "instance_ram_usage", SERVERS, **(HOW | {"aggregate": "max"})
        )
        self.assertEqual({uid("s1"): 512}, found)
        self.assertIn("max", self.server.requests[-1].get_json()["operations"])

    def test_hosts_go_by_their_name_twice(self):
        self.service.resources = [
            compute("h1", "compute.node.cpu.percent", 90),
            compute("h2", "compute.node.cpu.percent", 0),
        ]
        self.assertEqual({uid("h1"): 90, uid("h2"): 0}, self.hosts("host_cpu_usage"))
        self.assertEqual(1, len(self.server.requests))

    def test_airflow_is_in_tenths(self):
        self.service.resources = [compute("h1", "hardware.ipmi.node.airflow", 40)]
        self.assertEqual({uid("h1"): 400}, self.hosts("host_airflow"))

    def test_no_number_and_no_points_are_no_data(self):
        self.service.resources = [
            compute("h1", "hardware.ipmi.node.power", float("nan")),
            compute("h2", "hardware.ipmi.node.power", float("inf")),
            compute("h3", "hardware.ipmi.node.power"),
        ]
        self.assertEqual({}, self.hosts("host_power"))

    def test_no_resource_has_the_metric(self):
        self.assertEqual({}, self.hosts("host_power"))

    def test_a_big_scope_goes_in_pieces(self):
        self.patch(gnocchi, "CHUNK", 2)
        self.assertEqual({uid("s1"), uid("s2")}, set(self.ask()))
        self.assertEqual(2, len(self.server.requests))

    def test_pieces_are_asked_for_at_the_same_time(self):
        self.patch(gnocchi, "CHUNK", 2)
        arrived, real = threading.Barrier(2), self.service.aggregates

        def aggregates(request):
            arrived.wait(10)  # breaks, and so answers 500, if no other request comes
            return real(request)

        self.service.aggregates = aggregates
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        self.assertEqual({uid("s1"): 75.0, uid("s2"): 0.0}, self.ask())

    def test_a_piece_without_an_answer_is_none_of_the_whole(self):
        self.patch(gnocchi, "CHUNK", 1)
        real = self.service.aggregates

        def aggregates(request):
            wanted = request.get_json()["search"]["in"]["id"]
            return Response(status=403) if uid("s2") in wanted else real(request)

        self.service.aggregates = aggregates
        self.assert_unavailable("403")

    def test_without_a_granularity_it_is_the_finest(self):
        points = [(100, 60, 7), (100, 300, 1000)]
        metric = Metric(points, granularities=(60, 300))
        self.service.resources = [Resource(uid("s1"), {"memory": metric})]
        found = self.source.server_metric(
            "instance_ram_allocated", SERVERS, **(HOW | {"granularity": 0})
        )
        self.assertEqual({uid("s1"): 7}, found)

    def test_one_with_another_archive_policy_does_not_spoil_the_rest(self):
        self.patch(gnocchi, "_PAGE", 1)
        for unlike in ({"granularities": (60, 86400)}, {"methods": ("mean",)}):
            self.service.resources = [
                vm("s1", points=[BUSY]),
                vm("s2", points=[BUSY], **unlike),
                vm("s3", points=[0]),
            ]
            self.assertEqual({uid("s1"): 100, uid("s3"): 0}, self.ask())

    def test_the_same_of_hosts(self):
        name = "compute.node.cpu.percent"
        other = Metric([(100, 60, 1)], granularities=(60,))
        self.service.resources = [
            compute("h1", name, 90),
            Resource(uid("res-h2"), {name: other}, "nova_compute", "h2_h2"),
        ]
        self.assertEqual({uid("h1"): 90}, self.hosts("host_cpu_usage"))

    def test_a_granularity_that_no_policy_has_is_named(self):
        self.service.resources = [vm("s1", points=[BUSY], granularities=(86400,))]
        error = self.assertRaises(MetricsUnavailable, self.ask)
        self.assertIn("no archive policy has cpu with rate:mean of 300 seconds", str(error))

    def test_another_name_from_the_map(self):
        self.service.resources = [vm("s1", "memory.usage", points=[512])]
        source = self.make({"instance_ram_usage": "memory.usage"})
        self.assertTrue(source.available("instance_ram_usage"))
        found = source.server_metric("instance_ram_usage", SERVERS, **HOW)
        self.assertEqual({uid("s1"): 512}, found)

    def test_it_names_the_version_of_the_options(self):
        self.conf.set_override("api_version", "2", group="gnocchi_client")
        self.assertRaises(MetricsUnavailable, self.make().check)
        self.assertEqual("/v2/metric", self.server.requests[-1].path)

    def test_a_catalog_without_it(self):
        self.conf.set_override("region_name", "elsewhere", group="gnocchi_client")
        source = self.make()
        error = self.assertRaises(
            MetricsUnavailable, source.server_metric, self.metric, SERVERS, **HOW
        )
        self.assertIn("gnocchi", str(error))
        self.assertEqual([], self.waits)


class TestLengthOfTime(stories.TestCase):
    @given(st.timedeltas(min_value=datetime.timedelta(0)))
    @settings(max_examples=50)
    def test_any_that_gnocchi_writes(self, length):
        self.assertAlmostEqual(length.total_seconds(), gnocchi.seconds_of(str(length)), places=5)

    def test_none(self):
        self.assertRaises(ValueError, gnocchi.seconds_of, "soon")
