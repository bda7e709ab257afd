# SPDX-License-Identifier: Apache-2.0
import os

from watcher.common.errors import Invalid, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

SIZE = {"vcpus": 8, "memory_mb": 8000, "disk_gb": 80}
HOSTS = [
    {"hostname": "a", "power": True, "power_seconds": 30, **SIZE},
    {"hostname": "b", "power": "off", "power_seconds": 30, **SIZE},
    {"hostname": "c", **SIZE},
]


class SimulatedBaremetalTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.build()
        self.uuids = {node.name: node.uuid for node in self.baremetal.nodes()}

    def build(self) -> None:
        self.cloud = SimulatedCloud(Scenario.from_dict({"hosts": HOSTS}), lambda: self.now)
        self.baremetal = self.cloud.baremetal

    def states(self) -> dict[str, tuple[str, str]]:
        return {
            name: (self.baremetal.node(uuid).power_state, self.cloud.host(name).state)
            for name, uuid in self.uuids.items()
        }

    def test_a_host_is_up_as_long_as_its_machine_is_on(self) -> None:
        self.assertEqual({"a": ("on", "up"), "b": ("off", "down")}, self.states())
        self.baremetal.set_power(self.uuids["a"], "off")
        self.baremetal.set_power(self.uuids["b"], "on")
        self.now = 29
        self.assertEqual({"a": ("on", "up"), "b": ("off", "down")}, self.states())
        self.now = 30
        self.assertEqual(
            {"a": "down", "b": "up", "c": "up"},
            {host.hostname: host.state for host in self.cloud.hosts()},
        )
        self.assertEqual({"a": ("off", "down"), "b": ("on", "up")}, self.states())

    def test_a_saved_cloud_goes_on(self) -> None:
        path = os.path.join(self.directory, "state")
        self.baremetal.set_power(self.uuids["b"], "on")
        self.now = 30
        self.baremetal.set_power(self.uuids["a"], "off")
        self.now = 40
        self.cloud.save(path)
        self.build()
        self.cloud.resume(path)
        self.assertEqual({"a": ("on", "up"), "b": ("on", "up")}, self.states())
        self.now = 60
        self.assertEqual({"a": ("off", "down"), "b": ("on", "up")}, self.states())

    def test_what_does_not_fit(self) -> None:
        self.assertRaises(NotFound, self.baremetal.node, "x")
        bad = {"hosts": [{**SIZE, "hostname": "a", "power": "dim"}]}
        self.assertIn("power", str(self.assertRaises(Invalid, Scenario.from_dict, bad)))

    def test_a_cloud_without_machines(self) -> None:
        cloud = SimulatedCloud(Scenario.from_dict({})).cloud
        self.assertRaises(NotConfigured, lambda: cloud.baremetal)
