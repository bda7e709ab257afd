# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
from unittest import mock

from watcher.cloud import Cloud
from watcher.cloud.needs import NOTHING, Holding
from watcher.common.errors import (
    CloudRefused,
    CloudUnavailable,
    MetricsUnavailable,
    NotConfigured,
)
from watcher.simulation import recording
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests.base import TestCase

SCENARIO = {
    "hosts": [
        {
            "uuid": "h1",
            "hostname": "host-1",
            "vcpus": 10,
            "memory_mb": 10000,
            "disk_gb": 100,
            "vcpu_ratio": 2.0,
            "status": "disabled",
            "disabled_reason": "broken fan",
            "zone": "north",
            "aggregates": [{"id": 1, "name": "ssd", "metadata": {"fast": "true"}}],
            "power": "on",
        },
        {"uuid": "h2", "hostname": "host-2", "vcpus": 10, "memory_mb": 10000, "disk_gb": 100},
    ],
    "servers": [
        {
            "uuid": "s1",
            "name": "web",
            "host": "host-1",
            "vcpus": 4,
            "memory_mb": 4000,
            "disk_gb": 40,
            "created": "2026-01-02T03:04:05",
            "metadata": {"optimize": "true"},
            "pinned_az": "north",
            "extra_specs": {"hw:cpu_policy": "dedicated"},
        },
        {"uuid": "s2", "name": "db", "host": "host-1", "vcpus": 1, "memory_mb": 1, "disk_gb": 0},
    ],
    "server_groups": [{"uuid": "g1", "policy": "anti-affinity", "members": ["s1", "s2"]}],
    "metrics": {
        "host": {
            "h1": {"host_cpu_usage": 50.0, "host_ram_usage": 3000000.0, "host_power": 210.0},
        },
        "instance": {
            "s1": {"instance_cpu_usage": 75.0, "instance_ram_usage": 2000.0},
            "s2": {"instance_cpu_usage": 0.0, "instance_l3_cache_usage": {"100": 1, "200": 3}},
        },
    },
    "storage": {
        "types": [{"id": "t1", "name": "fast", "extra_specs": {"volume_backend_name": "ssd"}}],
        "pools": [{"name": "node-1@ssd#a", "total_capacity_gb": 1000}],
        "volumes": [
            {
                "uuid": "v1",
                "name": "data",
                "host": "node-1@ssd#a",
                "size_gb": 100,
                "volume_type": "fast",
                "created": "2026-01-02T03:04:05",
                "attachments": [{"server_id": "s1", "attachment_id": "a1"}],
                "has_snapshots": True,
            }
        ],
    },
}


class RecordTest(TestCase):
    def record(self, content, **services):
        simulation = SimulatedCloud(Scenario.from_dict(content), lambda: 0.0)
        return recording.record(simulation.cloud, [simulation.loads], 300, self.fail)

    def test_what_is_recorded_is_read_as_the_same_cloud(self):
        first = self.record(SCENARIO)
        again = json.loads(json.dumps(first))
        self.assertEqual(again, json.loads(json.dumps(self.record(again))))
        self.assertEqual(["h1", "h2"], [host["uuid"] for host in first["hosts"]])
        self.assertEqual("on", first["hosts"][0]["power"])
        self.assertEqual("broken fan", first["hosts"][0]["disabled_reason"])
        self.assertEqual({"fast": "true"}, first["hosts"][0]["aggregates"][0][2])
        self.assertEqual("2026-01-02T03:04:05", first["servers"][0]["created"])
        self.assertEqual({"hw:cpu_policy": "dedicated"}, first["servers"][0]["extra_specs"])
        self.assertEqual(["s1", "s2"], first["server_groups"][0]["members"])
        self.assertTrue(first["storage"]["volumes"][0]["has_snapshots"])

    def test_what_a_server_has_of_providers_below_its_host_is_recorded_as_its_needs(self):
        simulation = SimulatedCloud(Scenario.from_dict(SCENARIO), lambda: 0.0)
        compute = simulation.cloud.compute
        first, second = compute.hosts()
        nic = Holding((("NIC", 1),), ("A", "B"))
        hosts = [dataclasses.replace(first, nested={"s2": (nic,)}), second]
        with mock.patch.object(compute, "hosts", return_value=hosts):
            recorded = recording.record(simulation.cloud, [], 300, self.fail)
        again = Scenario.from_dict(json.loads(json.dumps(recorded)))
        needs = {server.uuid: server.needs for server in again.servers}
        self.assertEqual(NOTHING.with_holdings((nic,)).resources, needs["s2"].resources)

    def test_a_host_keeps_the_load_that_its_servers_do_not_explain(self):
        values = self.record(SCENARIO)["metrics"]
        # Of the 50 % of h1, its server explains 30; of h2 nothing was measured.
        self.assertAlmostEqual(50.0, values["host"]["h1"]["host_cpu_usage"])
        self.assertAlmostEqual(3000000.0, values["host"]["h1"]["host_ram_usage"])
        self.assertEqual(0.0, values["host"]["h2"]["host_cpu_usage"])
        self.assertEqual(210.0, values["host"]["h1"]["host_power"])
        self.assertNotIn("host_power", values["host"]["h2"])

    def test_values_of_servers_are_as_measured(self):
        values = self.record(SCENARIO)["metrics"]["instance"]
        self.assertEqual(75.0, values["s1"]["instance_cpu_usage"])
        self.assertEqual(0.0, values["s2"]["instance_cpu_usage"])
        self.assertEqual({"100": 1, "200": 3}, values["s2"]["instance_l3_cache_usage"])
        self.assertNotIn("instance_ram_usage", values["s2"])

    def test_a_service_that_is_not_there_is_left_out(self):
        content = {key: SCENARIO[key] for key in ("hosts", "servers")}
        self.assertNotIn("storage", self.record(content))

    def test_without_a_source_of_metrics_there_are_none(self):
        simulation = SimulatedCloud(Scenario.from_dict(SCENARIO), lambda: 0.0)
        recorded = recording.record(simulation.cloud, [], 300, self.fail)
        self.assertEqual({"host": {}, "instance": {}}, recorded["metrics"])

    def test_servers_on_hosts_that_are_not_shown_are_left_out(self):
        simulation = SimulatedCloud(Scenario.from_dict(SCENARIO), lambda: 0.0)
        simulation.change("s2", host="elsewhere")
        recorded = recording.record(simulation.cloud, [], 300, self.fail)
        self.assertEqual(["s1"], [server["uuid"] for server in recorded["servers"]])

    def test_a_cloud_that_does_not_answer_is_no_recording(self):
        class Dead:
            def hosts(self):
                raise CloudUnavailable("nobody there")

        self.assertRaises(CloudUnavailable, recording.record, Cloud(Dead()), [], 300, self.fail)
        self.assertRaises(NotConfigured, recording.record, Cloud(), [], 300, self.fail)

    def test_what_else_does_not_answer_is_left_out_with_a_sentence(self):
        class Absent:
            def __init__(self, error):
                self.error = error

            def __getattr__(self, name):
                raise self.error

        simulation = SimulatedCloud(Scenario.from_dict(SCENARIO), lambda: 0.0)
        compute, loads = simulation.cloud.compute, simulation.loads
        loads.host_metric = mock.Mock(side_effect=MetricsUnavailable("no answer"))
        for error, said in (
            (NotConfigured("not in the catalog"), 0),
            (CloudUnavailable("no answer"), 2),
            (CloudRefused("403"), 2),
        ):
            problems = []
            cloud = Cloud(compute, Absent(error), Absent(error))
            recorded = recording.record(cloud, [loads], 300, problems.append)
            self.assertNotIn("storage", recorded)
            self.assertEqual({}, recorded["metrics"]["host"])
            self.assertEqual(75.0, recorded["metrics"]["instance"]["s1"]["instance_cpu_usage"])
            self.assertIn("host_cpu_usage is left out: no answer", problems)
            services = [each for each in problems if each.startswith(("block", "power"))]
            self.assertEqual(said, len(services), services)
