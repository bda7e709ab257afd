# SPDX-License-Identifier: Apache-2.0
"""The bare metal drivers against an emulated ironic and an emulated MAAS."""

from typing import Any

import requests

from watcher.cloud.openstack.maas import Maas
from watcher.cmd import cloud as clouds
from watcher.common.errors import CloudRefused, CloudUnavailable, Invalid, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base
from watcher.tests.emulated import ironic, keystone
from watcher.tests.emulated.server import EmulatedServer, Fault

SIZE = {"vcpus": 1, "memory_mb": 1, "disk_gb": 1, "power_seconds": 30}
HOSTS = [
    {"hostname": name, "power": power, **SIZE}
    for name, power in zip("abc", ("on", "off", "on"), strict=True)
]


class MachinesTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        simulated = SimulatedCloud(Scenario.from_dict({"hosts": HOSTS}), lambda: self.now)
        self.machines = simulated.baremetal
        self.uuids = {node.name: node.uuid for node in self.machines.nodes()}

    def assert_switches(self, baremetal: Any, switches: bool | None) -> None:
        """*switches* is what is shown while one is switched."""
        for name, state in (("a", "off"), ("b", "on")):
            baremetal.set_power(self.uuids[name], state)
            self.assertEqual(switches, baremetal.node(self.uuids[name]).switches)
            self.now += 30
            node = baremetal.node(self.uuids[name])
            self.assertEqual((state, switches and False), (node.power_state, node.switches))
            self.assertEqual(state, self.machines.node(self.uuids[name]).power_state)


class TestIronic(MachinesTestCase):
    def setUp(self) -> None:
        super().setUp()
        extra = {"a": {"compute_node_id": "host-a"}, "c": None}
        self.ironic = ironic.Ironic(self.machines, extra)
        self.server = self.useFixture(EmulatedServer(self.ironic))
        catalog = {"baremetal": f"{self.server.url}/v1"}
        identity = self.useFixture(EmulatedServer(keystone.Keystone(catalog)))
        keystone.configure(self.conf, identity.url)
        self.baremetal = clouds.connect(self.conf).baremetal

    def test_nodes(self) -> None:
        nodes = self.baremetal.nodes()
        self.assertEqual(
            [("a", "on", "host-a"), ("b", "off", None), ("c", "on", None)],
            [(node.name, node.power_state, node.host_uuid) for node in nodes],
        )
        self.assertTrue(self.baremetal.keeps_hosts_up)

    def test_power_states(self) -> None:
        for shown, expected in (
            ("rebooting", "on"),
            ("soft rebooting", "on"),
            ("soft power off", "off"),
            ("error", "unknown"),
            (None, "unknown"),
        ):
            self.ironic.power_states["a"] = shown
            self.assertEqual(expected, self.baremetal.node(self.uuids["a"]).power_state)

    def test_switching(self) -> None:
        self.assert_switches(self.baremetal, True)

    def test_what_is_not_there(self) -> None:
        error = self.assertRaises(NotFound, self.baremetal.node, "x")
        self.assertIn("ironic answered 404: Bare metal node x was not found.", str(error))

    def test_faults_pass(self) -> None:
        self.baremetal.nodes()
        for fault in (Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.WRONG_SHAPE):
            for read in (self.baremetal.nodes, lambda: self.baremetal.node(self.uuids["a"])):
                with self.subTest(fault.name):
                    self.server.fail(fault)
                    self.assertIn("ironic", str(self.assertRaises(CloudUnavailable, read)))


class TestMaas(MachinesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.maas = ironic.Maas(self.machines, "example.com")
        self.server = self.useFixture(EmulatedServer(self.maas))
        self.configure()
        self.baremetal = Maas(self.conf, lambda: 1234.5)

    def configure(self, **options: Any) -> None:
        options = {"url": f"{self.server.url}/MAAS/", "api_key": ironic.Maas.key} | options
        for name, value in options.items():
            self.conf.set_override(name, value, group="maas_client")

    def test_nodes(self) -> None:
        self.assertEqual(
            [
                (self.uuids["a"], "a", "on", "a.example.com"),
                (self.uuids["b"], "b", "off", "b.example.com"),
                (self.uuids["c"], "c", "on", "c.example.com"),
            ],
            [
                (node.uuid, node.name, node.power_state, node.hostname)
                for node in self.baremetal.nodes()
            ],
        )
        self.assertFalse(self.baremetal.keeps_hosts_up)

    def test_switching(self) -> None:
        self.assert_switches(self.baremetal, None)
        self.assertEqual(len(self.maas.nonces), len(set(self.maas.nonces)))

    def test_it_comes_before_ironic(self) -> None:
        self.assertIsInstance(clouds.connect(self.conf).baremetal, Maas)
        self.configure(url=None)
        self.assertRaises(NotConfigured, lambda: clouds.connect(self.conf).baremetal)

    def test_what_is_not_there(self) -> None:
        error = self.assertRaises(NotFound, self.baremetal.node, "a/b")
        self.assertEqual("MAAS answered 404: No Machine matches the given query.", str(error))

    def test_who_is_not_let_in(self) -> None:
        self.configure(api_key="a:b:c")
        error = self.assertRaises(CloudRefused, Maas(self.conf, lambda: 1234.5).nodes)
        self.assertIn("MAAS answered 401: Authorization Error", str(error))

    def test_a_key_that_is_none(self) -> None:
        for key in (None, "a:b", "a::c"):
            self.configure(api_key=key)
            self.assertIn("api_key", str(self.assertRaises(Invalid, Maas, self.conf)))

    def test_faults_pass(self) -> None:
        for fault in (Fault.DOWN, Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.WRONG_SHAPE):
            for read in (self.baremetal.nodes, lambda: self.baremetal.node(self.uuids["a"])):
                with self.subTest(fault.name):
                    self.server.fail(fault)
                    self.assertIn("MAAS", str(self.assertRaises(CloudUnavailable, read)))

    def test_no_answer_is_waited_for_without_end(self) -> None:
        self.configure(timeout=1)
        self.server.fail(Fault.SLOW)
        error = self.assertRaises(CloudUnavailable, Maas(self.conf).nodes)
        self.assertIsInstance(error.__cause__, requests.Timeout)
