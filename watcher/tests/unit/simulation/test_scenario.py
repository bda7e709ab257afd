# SPDX-License-Identifier: Apache-2.0
import datetime
import json
import os

from watcher.common.errors import Invalid
from watcher.simulation import generator
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.fields import uuid_of
from watcher.simulation.scenario import Scenario, example_file
from watcher.tests import base

HOST = {"hostname": "a", "vcpus": 4, "memory_mb": 4096, "disk_gb": 100}
SERVER = {"name": "s", "host": "a", "vcpus": 1, "memory_mb": 512, "disk_gb": 1}


class ScenarioTest(base.TestCase):
    def read(self, text: str) -> Scenario:
        path = os.path.join(self.directory, "cloud")
        with open(path, "w") as file:
            file.write(text)
        return Scenario.from_file(path)

    def assertInvalid(self, words: str, content: object) -> None:
        error = self.assertRaises(Invalid, Scenario.from_dict, content)
        self.assertIn(words, str(error))

    def test_yaml_and_json_mean_the_same(self) -> None:
        content = {"hosts": [HOST], "servers": [{**SERVER, "cpu": 20, "ram": 100}]}
        as_json = self.read(json.dumps(content))
        as_yaml = self.read(
            "hosts: [{hostname: a, vcpus: 4, memory_mb: 4096, disk_gb: 100}]\n"
            "servers:\n"
            "- {name: s, host: a, vcpus: 1, memory_mb: 512, disk_gb: 1, cpu: 20, ram: 100}\n"
        )
        self.assertEqual(as_json, as_yaml)
        uuid = as_json.servers[0].uuid
        self.assertEqual({uuid: 20}, as_json.server_metrics["instance_cpu_usage"])
        self.assertEqual({uuid: 100}, as_json.server_metrics["instance_ram_usage"])

    def test_benchmark_clusters_are_read_as_they_are(self) -> None:
        scenario = Scenario.from_dict(
            {
                "meta": {"format": 1},
                "inputs": {},
                "hosts": [{**HOST, "uuid": "h1", "vcpu_reserved": 1, "power": "on"}],
                "instances": [
                    {**SERVER, "uuid": "s1", "host": "h1", "created": "2026-01-02T03:04:05Z"}
                ],
                "metrics": {
                    "host": {"h1": {"host_power": 200}},
                    "instance": {"s1": {"instance_cpu_usage": 50}},
                },
            }
        )
        self.assertEqual(1, scenario.hosts[0].vcpus_reserved)
        self.assertEqual("a", scenario.servers[0].host)
        self.assertEqual(datetime.datetime(2026, 1, 2, 3, 4, 5), scenario.servers[0].created)
        self.assertEqual({"s1": 50}, scenario.server_metrics["instance_cpu_usage"])
        self.assertEqual({"h1": 200}, scenario.host_metrics["host_power"])

    def test_a_surge_of_hosts_means_the_active_servers_that_begin_there(self) -> None:
        scenario = Scenario.from_dict(
            {
                "hosts": [HOST],
                "servers": [
                    {**SERVER, "uuid": "s1"},
                    {**SERVER, "uuid": "s2", "state": "stopped"},
                    {**SERVER, "uuid": "s3", "name": "named", "host": ""},
                ],
                "surges": [
                    {"after_seconds": 1, "hosts": ["a"], "cpu": 90},
                    {"after_seconds": 1, "servers": ["named"], "cpu": 90},
                ],
            }
        )
        self.assertEqual([{"s1"}, {"s3"}], [set(surge.servers) for surge in scenario.surges])

    def test_what_does_not_fit_is_named(self) -> None:
        self.assertInvalid("one mapping", [])
        self.assertInvalid("clouds unknown", {"clouds": []})
        self.assertInvalid("colour unknown", {"hosts": [{**HOST, "colour": "red"}]})
        self.assertInvalid("'vcpus'", {"hosts": [{"hostname": "a"}]})
        self.assertInvalid("host 'b'", {"hosts": [HOST], "servers": [{**SERVER, "host": "b"}]})
        self.assertInvalid("'loud' must be a mapping", {"alarms": ["loud"]})
        self.assertInvalid("do not fit", {"generate": {"hosts": 1, "servers": 1000}})

    def test_what_is_there_twice_is_named(self) -> None:
        twice = {**HOST, "uuid": "u"}
        self.assertInvalid("hostname 'a' is there more", {"hosts": [HOST, HOST]})
        self.assertInvalid("uuid 'u' is there more", {"hosts": [twice, {**twice, "hostname": "b"}]})
        self.assertInvalid("servers: uuid 's' is there", {"servers": [{**SERVER, "uuid": "s"}] * 2})

    def test_units_that_cannot_be_are_named(self) -> None:
        for units in ({"step": 0}, {"least": -1}, {"most": 1.5}):
            self.assertInvalid("from 1 on", {"hosts": [{**HOST, "units": {"vcpus": units}}]})

    def test_servers_of_one_name_are_several(self) -> None:
        names = ["web", "web", "db"]
        content = {"hosts": [HOST], "servers": [{**SERVER, "name": name} for name in names]}
        servers = Scenario.from_dict(content).servers
        self.assertEqual(names, [each.name for each in servers])
        self.assertEqual(3, len({each.uuid for each in servers}))
        self.assertEqual(uuid_of("web"), servers[0].uuid)

    def test_a_group_has_members_by_uuid_or_name(self) -> None:
        servers = [{**SERVER, "uuid": f"s{n}", "name": name} for n, name in enumerate("abbc")]
        group = {"uuid": "g", "policy": "anti-affinity", "members": ["a", "b", "s3", "gone"]}
        content = {"hosts": [HOST], "servers": servers, "server_groups": [group]}
        (known,) = Scenario.from_dict(content).groups
        self.assertEqual(["s0", "b", "s3", "gone"], known.members)

    def test_a_value_of_another_type_is_named(self) -> None:
        for field, value in (
            ("vcpus", "16"),
            ("vcpus", True),
            ("memory_mb", None),
            ("disk_gb", [1]),
            ("vcpu_ratio", float("nan")),
            ("hostname", True),
            ("zone", {}),
        ):
            self.assertInvalid(f"hosts: {field} must be", {"hosts": [{**HOST, field: value}]})
        for content in (
            {"hosts": 5},
            {"hosts": ["a"]},
            {"migration_seconds": "x"},
            {"metrics": []},
        ):
            self.assertInvalid("simulation: the file does not fit", content)
        for words, storage in (
            ("total_capacity_gb must be", {"pools": [{"name": "p", "total_capacity_gb": "10"}]}),
            ("storage: the file does not fit", {"volumes": 5}),
        ):
            scenario = Scenario.from_dict({"storage": storage})
            self.assertIn(words, str(self.assertRaises(Invalid, SimulatedCloud, scenario)))

    def test_a_metric_without_a_number_was_not_measured(self) -> None:
        nothing = (None, float("nan"), float("inf"))
        for value in (*nothing, {"100": None}):
            metrics = {"instance": {"s1": {"instance_l3_cache_usage": value}}}
            scenario = Scenario.from_dict({"metrics": metrics})
            measured = scenario.server_metrics.get("instance_l3_cache_usage", {}).get("s1", {})
            self.assertEqual([], [each for each in measured.values() if each is not None])
        for value in nothing:
            scenario = Scenario.from_dict({"hosts": [HOST], "servers": [{**SERVER, "cpu": value}]})
            self.assertEqual({}, scenario.server_metrics)
        for value in ("50", True, []):
            content = {"metrics": {"host": {"h1": {"host_power": value}}}}
            self.assertInvalid("metrics: host_power of h1 must be a number", content)

    def test_a_file_that_cannot_be_read(self) -> None:
        self.assertRaises(Invalid, Scenario.from_file, os.path.join(self.directory, "nothing"))
        self.assertRaises(Invalid, self.read, "{")
        self.assertRaises(Invalid, self.read, "hosts: [")

    def test_equal_seeds_give_equal_clouds(self) -> None:
        size = generator.CloudSize(hosts=5, servers=50, seed=3)
        self.assertEqual(generator.generate(size), generator.generate(size))
        other = generator.CloudSize(hosts=5, servers=50, seed=4)
        self.assertNotEqual(generator.generate(size), generator.generate(other))

    def test_the_example_is_what_the_documentation_says(self) -> None:
        scenario = Scenario.from_file(example_file())
        self.assertEqual((40, 600), (len(scenario.hosts), len(scenario.servers)))
        self.assertEqual(["react-to-hot-host"], [alarm.audit for alarm in scenario.alarms])
