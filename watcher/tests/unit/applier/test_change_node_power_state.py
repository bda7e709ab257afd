# SPDX-License-Identifier: Apache-2.0
import dataclasses
from collections.abc import Callable
from typing import Any

from watcher.applier.actions.base import ActionFailed, ActionTools
from watcher.applier.actions.change_node_power_state import ChangeNodePowerState
from watcher.applier.interrupts import Cancelled
from watcher.cloud.baremetal import BaremetalNode, hosts_of
from watcher.cloud.compute import POWERED_OFF, Host, Server
from watcher.common.errors import CloudUnavailable, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

SIZE = {"vcpus": 8, "memory_mb": 8000, "disk_gb": 80}


class ChangeNodePowerStateTest(base.TestCase):
    """Against a simulated cloud whose clock goes on when the action waits."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("power_timeout", 100, group="baremetal")
        self.now = 0.0
        self.on_wait: Callable[[], None] = lambda: None
        self.build()

    def build(self, *servers: str, seconds: float = 30) -> None:
        """A machine for a host with servers in these states, and one that is off."""
        power = {"power_seconds": seconds}
        hosts = [
            {"hostname": "a", "power": "on", **power, **SIZE},
            {"hostname": "b", "power": "off", **power, **SIZE},
        ]
        rows = [
            {"name": state, "host": "a", "state": state, **SIZE, "vcpus": 1} for state in servers
        ]
        scenario = Scenario.from_dict({"hosts": hosts, "servers": rows})
        self.cloud = SimulatedCloud(scenario, lambda: self.now)
        self.baremetal = self.cloud.baremetal
        self.uuids = {node.name: node.uuid for node in self.baremetal.nodes()}
        self.requests: list[tuple[str, str]] = []
        self.real = self.baremetal.set_power
        self.baremetal.set_power = self.set_power

    def set_power(self, uuid: str, state: str) -> None:
        self.requests.append((uuid, state))
        self.real(uuid, state)

    def wait(self, seconds: float) -> None:
        self.on_wait()
        self.now += seconds

    def action(self, name: str = "a", state: str = "off") -> ChangeNodePowerState:
        parameters = {"resource_id": self.uuids.get(name, name), "state": state}
        return ChangeNodePowerState(parameters, ActionTools(self.cloud.cloud, self.conf, self.wait))

    def power(self, name: str) -> str:
        return self.baremetal.node(self.uuids[name]).power_state

    def failure(self, do: Callable[[], Any]) -> str:
        return str(self.assertRaises(ActionFailed, do))

    def test_off_and_on(self) -> None:
        for name, state in (("a", "off"), ("b", "on")):
            action = self.action(name, state)
            action.check()
            action.execute()
            self.assertEqual(state, self.power(name))
        self.assertEqual(60, self.now)

    def service(self, name: str) -> tuple[str, str | None]:
        host = self.cloud.host(name)
        return host.status, host.disabled_reason

    def test_the_scheduler_uses_a_host_as_long_as_its_machine_is_on(self) -> None:
        action = self.action()
        origin = action.check()
        action.execute()
        self.assertEqual(("disabled", POWERED_OFF), self.service("a"))
        action.revert(origin)
        self.assertEqual(("on", ("enabled", None)), (self.power("a"), self.service("a")))

    def test_a_host_that_others_disabled_stays_as_it_is(self) -> None:
        self.cloud.disable("a", "broken")
        self.action().execute()
        self.action(state="on").execute()
        self.assertEqual(("disabled", "broken"), self.service("a"))

    def test_revert_of_what_was_so_before_changes_nothing(self) -> None:
        action = self.action("b")
        action.revert(action.check())
        self.assertEqual([], self.requests)
        real = self.baremetal.node
        self.baremetal.node = lambda uuid: dataclasses.replace(real(uuid), power_state="unknown")
        self.assertIsNone(action.check())

    def test_revert_looks_as_well(self) -> None:
        self.build("active")
        self.assertIn("1 servers", self.failure(lambda: self.action().revert({"state": "off"})))
        self.assertEqual(([], ("enabled", None)), (self.requests, self.service("a")))

    def test_a_server_that_comes_at_the_last_moment_keeps_its_machine_on(self) -> None:
        action = self.action()
        action.check()
        servers = self.cloud.servers_on
        self.cloud.servers_on = lambda name: [*servers(name), Server("s", "s", name, 1, 1, 1)]
        self.assertIn("1 servers", self.failure(action.execute))
        self.assertEqual(([], ("enabled", None)), (self.requests, self.service("a")))

    def test_what_is_so_already_is_left_alone(self) -> None:
        self.build("active")
        for name, state in (("a", "on"), ("b", "off")):
            action = self.action(name, state)
            action.check()
            action.execute()
        self.assertEqual([], self.requests)

    def test_a_machine_that_is_not_there(self) -> None:
        self.assertRaises(NotFound, self.action("x").check)

    def test_a_machine_in_use_stays_on(self) -> None:
        for state in ("active", "paused", "suspended", "error", "building"):
            self.build("stopped", state)
            self.assertIn("has 1 servers that are not stopped", self.failure(self.action().check))
            self.action(state="on").check()
        self.build("stopped")
        self.action().check()

    def test_a_machine_of_no_known_host_stays_on(self) -> None:
        self.cloud.hosts = lambda: []
        self.assertIn("may be in use", self.failure(self.action().check))
        self.action("b", "on").execute()
        self.assertEqual("on", self.power("b"))

    def test_one_that_takes_too_long(self) -> None:
        self.build(seconds=1000)
        self.assertIn("not switched off within 100", self.failure(self.action().execute))
        self.assertEqual(100, self.now)

    def test_a_state_that_is_not_known_is_not_the_end(self) -> None:
        real = self.baremetal.node
        self.baremetal.node = lambda uuid: (
            BaremetalNode(uuid, power_state="unknown") if 0 < self.now < 60 else real(uuid)
        )
        self.action().execute()
        self.assertEqual(60, self.now)

    def test_a_service_that_does_not_answer_for_a_while(self) -> None:
        real = self.baremetal.node

        def set_power(*args: str) -> None:
            self.set_power(*args)
            raise CloudUnavailable("No answer.")

        def node(uuid: str) -> BaremetalNode:
            if 0 < self.now < 50:
                raise CloudUnavailable("No answer.")
            return real(uuid)

        self.baremetal.set_power, self.baremetal.node = set_power, node
        self.action().execute()
        self.assertEqual(([(self.uuids["a"], "off")], 50), (self.requests, self.now))

    def test_resume(self) -> None:
        self.action().resume()
        self.assertEqual("off", self.power("a"))
        self.action().resume()
        self.assertEqual(1, len(self.requests))

    def test_resume_looks_before_it_repeats(self) -> None:
        self.build("active")
        self.assertIn("not stopped", self.failure(self.action().resume))
        self.assertEqual([], self.requests)

    def test_a_cancelled_one_goes_to_its_end(self) -> None:
        def cancel() -> None:
            raise Cancelled

        self.on_wait = cancel
        action = self.action()
        self.assertRaises(Cancelled, action.execute)
        self.on_wait = lambda: None
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual("off", self.power("a"))

    def test_a_cancelled_one_that_was_never_asked_for_is_undone(self) -> None:
        for name, state, reason in (
            ("a", "off", None),
            ("a", "off", POWERED_OFF),
            ("b", "on", None),
        ):
            if reason:  # its applier died between the two requests
                self.cloud.disable("a", reason)
            action = self.action(name, state)
            self.assertTrue(action.abort())
            self.now += 1000
            self.assertNotEqual(state, self.power(name))
        self.assertEqual(([], ("enabled", None)), (self.requests, self.service("a")))

    def test_a_cancelled_one_is_undone_only_if_that_is_known(self) -> None:
        real = self.baremetal.node
        for unlike in ({"power_state": "unknown"}, {"power_state": "off"}, {"switches": None}):
            self.baremetal.node = lambda uuid, unlike=unlike: dataclasses.replace(
                real(uuid), **unlike
            )
            self.assertFalse(self.action().abort(), unlike)


class HostsOfTest(base.TestCase):
    def test_the_host_of_a_machine(self) -> None:
        hosts = [Host(f"id-{name}", name, 1, 1, 1) for name in ("a", "b.example.com")]
        for links, expected in (
            ({"host_uuid": "id-a"}, "a"),
            ({"host_uuid": "id-x"}, None),
            ({"hostname": "a"}, "a"),
            ({"hostname": "a.example.com"}, "a"),
            ({"hostname": "b.example.com"}, "b.example.com"),
            ({"hostname": "b.example.org"}, None),
            ({"hostname": "b"}, None),
            ({}, None),
        ):
            found = hosts_of([BaremetalNode("n", **links)], hosts)
            self.assertEqual(expected, found["n"].hostname if found else None)
