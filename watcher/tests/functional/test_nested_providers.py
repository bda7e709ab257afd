# SPDX-License-Identifier: Apache-2.0
"""Servers that hold resources of providers below their hosts, as for ports with guaranteed
bandwidth."""

from collections.abc import Mapping
from typing import Any

from watcher.cloud.compute import Host
from watcher.cloud.needs import Holding
from watcher.cmd import cloud
from watcher.decision_engine import candidates
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies.base import Strategy
from watcher.decision_engine.strategies.host_maintenance import HostMaintenance
from watcher.decision_engine.strategies.zone_migration import ZoneMigration
from watcher.tests.emulated.placement import inventory
from watcher.tests.emulated.provider_trees import Group
from watcher.tests.functional.compute_stories import ComputeTestCase
from watcher.tests.unit.decision_engine import clusters

EGRESS, INGRESS = "NET_BW_EGR_KILOBIT_PER_SEC", "NET_BW_IGR_KILOBIT_PER_SEC"
NORMAL, PHYSNET = "CUSTOM_VNIC_TYPE_NORMAL", "CUSTOM_PHYSNET_A"
BRIDGE = {EGRESS: inventory(2000), INGRESS: inventory(2000)}


class NestedProvidersTestCase(ComputeTestCase):
    """Host one has a server with a port, two has no network device, three has one."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = cloud.connect(self.conf)
        self.collectors = Collectors(self.conf, self.cloud)
        for name in ("one", "two", "three"):
            self.emulated.add_host(name)
        for name in ("one", "three"):
            self.put_bridge(name)
        flavor = self.nova.add_flavor("small", 1, 1024, 1)
        port = Group({EGRESS: 1000, INGRESS: 500}, {PHYSNET, NORMAL})
        self.web = self.nova.add_server("web", "one", flavor, ports=[port])
        self.plain = self.nova.add_server("plain", "one", flavor)

    def put_bridge(self, host: str, *traits: str) -> None:
        agent = f"agent of {host}"
        self.placement.put(agent, {}, {NORMAL}, below=self.nova.uuids[host])
        self.placement.put(f"bridge of {host}", BRIDGE, traits or {PHYSNET, NORMAL}, below=agent)

    def host(self) -> Host:
        return next(each for each in self.cloud.compute.hosts() if each.hostname == "one")


class RequestsTest(NestedProvidersTestCase):
    def asked(self) -> dict[str, int]:
        """The requests of a reading for the data of single providers."""
        self.emulated.server.requests.clear()
        self.cloud.compute.hosts()
        prefix = "GET /placement/resource_providers/"
        asked = self.emulated.asked().items()
        return {path.removeprefix(prefix): n for path, n in asked if path.startswith(prefix)}

    def test_what_servers_hold(self) -> None:
        amounts = ((EGRESS, 1000), (INGRESS, 500))
        expected = {self.web: (Holding(amounts, (PHYSNET, NORMAL)),)}
        self.assertEqual(expected, self.host().nested)
        self.assertEqual(expected, self.host().nested, "as known before")
        self.assertEqual([{}, {}], [each.nested for each in self.cloud.compute.hosts()[1:]])

    def test_the_first_reading_asks_for_those_that_are_used(self) -> None:
        expected = {f"{uuid}/inventories": 1 for uuid in self.nova.hypervisors}
        self.assertEqual(expected | {"bridge of one/allocations": 1}, self.asked())
        self.assertEqual({}, self.asked(), "nothing has changed")

    def test_without_summaries_all_are_asked_for(self) -> None:
        self.placement.newest = "1.28"
        asked = {path: count for path, count in self.asked().items() if "of" in path}
        below = [f"{kind} of {host}" for kind in ("agent", "bridge") for host in ("one", "three")]
        expected = {f"{each}/allocations": 1 for each in below} | {"bridge of one/traits": 1}
        self.assertEqual(expected, asked)

    def test_those_that_have_changed_are_asked_for(self) -> None:
        self.asked()
        self.put_bridge("three")
        expected = {"agent of three/allocations": 1, "bridge of three/allocations": 1}
        self.assertEqual(expected, self.asked())
        self.put_bridge("one", NORMAL)
        expected = {
            "agent of one/allocations": 1,
            "bridge of one/allocations": 1,
            "bridge of one/traits": 1,
        }
        self.assertEqual(expected, self.asked())
        self.assertEqual((NORMAL,), self.host().nested[self.web][0].traits)

    def test_a_port_that_is_removed(self) -> None:
        self.asked()
        self.nova.touch(self.web, ports=())
        host = self.nova.uuids["one"]
        of_host = {f"{host}/{part}": 1 for part in ("inventories", "usages", "traits")}
        expected = of_host | {"bridge of one/allocations": 1}
        self.assertEqual(expected, self.asked(), "the bridge has no new generation")
        self.assertEqual({}, self.host().nested)
        self.nova.touch(self.plain)
        self.assertEqual(of_host, self.asked(), "nothing to be lost there")

    def test_a_provider_that_is_removed(self) -> None:
        self.asked()
        self.placement.delete("bridge of one")
        self.assertEqual({}, self.host().nested)

    def test_hosts_of_a_plan_are_read_without(self) -> None:
        self.emulated.server.requests.clear()
        self.cloud.compute.some_hosts(["one", "three"])
        self.assertFalse([path for path in self.emulated.asked() if "of" in path])


class MovesTest(NestedProvidersTestCase):
    def solve(self, strategy: type[Strategy], **parameters: Any) -> Solution:
        given = clusters.inputs(strategy, self.collectors.compute(), **parameters)
        return candidates.solve(strategy, given, self.cloud.compute.has_candidate)

    def migrate(self, destination: str) -> Mapping[str, str]:
        """Names to reasons of the servers of host one that go to *destination*, after nova has
        taken all these moves."""
        nodes = [{"src_node": "one", "dst_node": destination}]
        actions = self.solve(ZoneMigration, compute_nodes=nodes).actions
        for action in actions:
            what = action.input_parameters
            self.cloud.compute.live_migrate(what["resource_id"], what["destination_node"])
        return {each.input_parameters["resource_name"]: each.reason for each in actions}

    def test_without_bandwidth_there_the_server_stays(self) -> None:
        self.assertEqual({"plain"}, self.migrate("two").keys())

    def test_with_bandwidth_there_it_goes(self) -> None:
        moved = self.migrate("three")
        words = f"placement has a candidate there for its {EGRESS}, {INGRESS}"
        self.assertIn(words, moved["web"])
        self.assertNotIn("placement", moved["plain"])

    def test_bandwidth_that_others_use_or_of_another_network(self) -> None:
        self.placement.allocate("another", {"bridge of three": {EGRESS: 1500}})
        self.assertEqual({"plain"}, self.migrate("three").keys())
        self.placement.allocate("another", {})
        self.nova.finish(self.plain)
        self.put_bridge("three", "CUSTOM_PHYSNET_B", NORMAL)
        self.assertEqual({}, self.migrate("three"))

    def test_the_scheduler_finds_a_host_if_there_is_one(self) -> None:
        def moves() -> set[str]:
            solution = self.solve(HostMaintenance, maintenance_node="one")
            return {
                each.input_parameters["resource_name"]
                for each in solution.actions
                if each.action_type == "migrate"
            }

        self.assertEqual({"web", "plain"}, moves())
        self.put_bridge("three", "CUSTOM_PHYSNET_B", NORMAL)
        self.assertEqual({"plain"}, moves())

    def test_a_server_that_needs_nothing_of_its_host_itself(self) -> None:
        flavor = self.nova.add_flavor("none", 1, 1024, 0)
        flavor["extra_specs"] = {"resources:VCPU": "0", "resources:MEMORY_MB": "0"}
        port = Group({EGRESS: 100}, {PHYSNET})
        self.nova.add_server("none", "one", flavor, ports=[port])
        compute, servers = self.cloud.compute, self.collectors.compute().servers
        (server,) = (each for each in servers if each.name == "none")
        self.assertTrue(compute.has_candidate(server, ["two", "three"]))
        self.assertFalse(
            compute.has_candidate(server, ["three"]), "placement refuses what nova asks"
        )

    def test_a_port_that_came_after_the_server(self) -> None:
        self.collectors.compute()
        self.nova.touch(self.plain, ports=[Group({EGRESS: 900}, {PHYSNET})])
        self.nova.all[self.plain]["updated"] = "2026-01-02T03:04:05Z"  # as nova leaves it
        self.assertEqual({}, self.migrate("two"))
        self.assertEqual(1, len(self.migrate("three")), "a host takes one of these in a plan")
