# SPDX-License-Identifier: Apache-2.0
"""The hosts of nova and placement, read from emulated ones."""

from typing import Any, NoReturn

from werkzeug.exceptions import Forbidden

from watcher.cloud.compute import (
    RESOURCES,
    Aggregate,
    Host,
    Units,
)
from watcher.common.errors import (
    CloudUnavailable,
    NotFound,
)
from watcher.model.compute import ComputeModel
from watcher.tests.emulated.placement import inventory
from watcher.tests.functional.compute_stories import ComputeTestCase


class TestHosts(ComputeTestCase):
    def test_a_host_has_what_placement_and_nova_hold_of_it(self) -> None:
        uuid = self.emulated.add_host("one", vcpus=8, zone="east")
        self.nova.aggregates.append(
            {"id": 7, "name": "ssd", "metadata": {"disk": "fast"}, "hosts": ["one", "gone"]}
        )
        expected = Host(
            uuid=uuid,
            hostname="one",
            vcpus=8,
            memory_mb=32768,
            disk_gb=160,
            vcpus_reserved=2,
            memory_mb_reserved=2048,
            disk_gb_reserved=0,
            vcpu_ratio=4.0,
            memory_ratio=1.5,
            disk_ratio=1.0,
            status="enabled",
            state="up",
            disabled_reason=None,
            zone="east",
            aggregates=(Aggregate(7, "ssd", {"disk": "fast"}),),
            units={name: Units(1, most) for name, most in (
                ("vcpus", 8), ("memory_mb", 32768), ("disk_gb", 160)
            )},
            used=dict.fromkeys(RESOURCES, 0),
            hypervisor_hostname="one.example.org",
            hypervisor_type="QEMU",
            hypervisor_version=8002000,
        )  # fmt: skip
        self.assertEqual([expected], self.compute.hosts())
        self.assertEqual(expected, self.compute.host("one"))

    def test_status_and_state(self) -> None:
        self.emulated.add_host("one", state="down")
        self.compute.disable("one", "leaky roof")
        (host,) = self.compute.hosts()
        self.assertEqual(
            ("down", "disabled", "leaky roof"), (host.state, host.status, host.disabled_reason)
        )
        self.compute.enable("one")
        host = self.compute.host("one")
        self.assertEqual(("enabled", None), (host.status, host.disabled_reason))
        self.compute.disable("one", "")
        self.assertEqual("disabled", self.compute.host("one").status)

    def test_bare_metal_is_left_out(self) -> None:
        self.emulated.add_host("one")
        self.emulated.add_host("metal", type="ironic")
        self.assertEqual(["one"], [host.hostname for host in self.compute.hosts()])
        self.assertRaises(NotFound, self.compute.host, "metal")

    def test_a_host_without_inventory_is_left_out(self) -> None:
        self.emulated.add_host("one")
        self.placement.put(self.nova.add_host("new"), {"VCPU": inventory(8)})
        self.nova.add_host("unknown to placement")
        self.assertEqual(["one"], [host.hostname for host in self.compute.hosts()])
        for name in ("new", "unknown to placement"):
            error = self.assertRaises(CloudUnavailable, self.compute.host, name)
            self.assertIn(name, str(error))

    def test_without_a_disk_of_its_own_it_is_what_the_hypervisor_shows(self) -> None:
        uuid = self.nova.add_host("one", local_gb=321)
        self.placement.put(uuid, {"VCPU": inventory(8), "MEMORY_MB": inventory(1024)})
        (host,) = self.compute.hosts()
        self.assertEqual((321, 0, 1.0), (host.disk_gb, host.disk_gb_reserved, host.disk_ratio))
        disk = host.inventories[2]
        self.assertEqual([True, False], [disk.allows(0), disk.allows(1)], "it may be shared")

    def test_inventories_are_asked_for_when_they_have_changed(self) -> None:
        uuids = [self.emulated.add_host(name) for name in ("one", "two", "three")]
        self.compute.hosts()
        fixed = {
            "GET /compute/v2.1/os-hypervisors/detail": 1,
            "GET /compute/v2.1/os-services": 1,
            "GET /compute/v2.1/os-aggregates": 1,
            "GET /placement/resource_providers": 1,
        }
        self.assertEqual(fixed, self.calls(self.compute.hosts))
        self.placement.put(uuids[1], {"VCPU": inventory(99), "MEMORY_MB": inventory(9)})
        provider = f"GET /placement/resource_providers/{uuids[1]}"
        changed = dict.fromkeys(
            (f"{provider}/{each}" for each in ("inventories", "usages", "traits")), 1
        )
        self.assertEqual(fixed | changed, self.calls(self.compute.hosts))
        self.assertEqual(99, self.compute.host("two").vcpus)
        self.placement.delete(uuids[0])
        self.assertEqual(fixed, self.calls(self.compute.hosts))
        self.assertEqual(["two", "three"], [host.hostname for host in self.compute.hosts()])

    def test_many_hosts_are_read_with_a_request_for_each(self) -> None:
        uuids = [self.emulated.add_host(f"host-{number}", vcpus=8) for number in range(6)]
        self.placement.traits[uuids[0]] = {"FAST"}
        self.placement.allocate("a reservation", {uuids[1]: {"VCPU": 5, "MEMORY_MB": 512}})
        full, steps = inventory(1024), inventory(4096, step_size=2)
        self.placement.put(uuids[2], {"VCPU": inventory(8), "MEMORY_MB": full}, {"FULL"})
        self.placement.allocate("another", {uuids[2]: {"MEMORY_MB": 1024}})
        self.placement.put(uuids[3], {"VCPU": inventory(8), "MEMORY_MB": steps}, {"STEPS"})
        self.compute.host("host-0")
        asked = self.calls(self.compute.hosts)
        self.assertEqual(1, asked["GET /placement/allocation_candidates"])
        for what, count in (("inventories", 6), ("usages", 2), ("traits", 2)):
            self.assertEqual(count, len([path for path in asked if path.endswith(what)]), what)
        hosts = self.compute.hosts()
        self.assertEqual([self.compute.host(host.hostname) for host in hosts], hosts)
        self.assertEqual({"FAST"}, hosts[0].traits)
        self.assertEqual(5, hosts[1].used["vcpus"])
        self.assertEqual(1024, hosts[2].used["memory_mb"])

    def test_what_changes_while_many_hosts_are_read_is_seen_by_the_next_reading(self) -> None:
        uuids = [self.emulated.add_host(name) for name in ("one", "two")]
        summarize = self.placement.summaries

        def overtaken(resources: str) -> Any:
            found = summarize(resources)
            self.placement.allocate("late", {uuids[1]: {"VCPU": 3}})
            return found

        self.placement.summaries = overtaken
        self.compute.hosts()
        self.assertEqual([0, 3], [host.used["vcpus"] for host in self.compute.hosts()])

    def test_hosts_that_placement_does_not_summarize(self) -> None:
        def refuse(resources: str) -> NoReturn:
            raise Forbidden("no candidates for this user")

        self.emulated.add_host("one", vcpus=8)
        self.emulated.add_host("two", vcpus=8)
        wanted = self.compute.hosts()
        for change in ({"newest": "1.26"}, {"summaries": refuse}):
            with self.subTest(**change):
                for name, value in change.items():
                    setattr(self.placement, name, value)
                self.reconnect()
                self.assertEqual(wanted, self.compute.hosts())
                self.placement.newest = "1.39"

    def test_some_hosts(self) -> None:
        uuids = [self.emulated.add_host(name) for name in ("one", "two", "three")]
        hosts = {host.hostname: host for host in self.compute.hosts()}
        self.placement.traits[uuids[0]] = {"CUSTOM_FAST"}
        asked = self.calls(lambda: self.compute.some_hosts({"one", "two", "none"}))
        self.assertEqual(3 + 2 * 2, sum(asked.values()))
        self.assertNotIn(uuids[2], "".join(asked))
        some = self.compute.some_hosts({"one", "two", "none"})
        self.assertEqual([hosts["one"], hosts["two"]], some)
        asked = self.calls(lambda: self.compute.some_hosts({"one"}, {"two", "none"}))
        self.assertEqual(3 + 2, sum(asked.values()))
        some = self.compute.some_hosts({"one"}, {"two", "none"})
        self.assertEqual([("one", "up"), ("two", "up")], [(x.hostname, x.state) for x in some])
        self.assertEqual(1, sum(self.calls(lambda: self.compute.traits("one")).values()))
        self.assertEqual({"CUSTOM_FAST"}, self.compute.traits("one"))
        self.assertEqual(4, sum(self.calls(self.compute.hosts).values()), "it forgot something")

    def test_one_server_gets_what_placement_gives_to_one(self) -> None:
        uuid = self.nova.add_host("one")
        units = {"min_unit": 2, "max_unit": 16, "step_size": 2}
        vcpu = inventory(8, ratio=4.0) | units
        self.placement.put(uuid, {"VCPU": vcpu, "MEMORY_MB": inventory(1024)})
        (host,) = self.compute.hosts()
        self.assertEqual(Units(2, 16, 2), host.units["vcpus"])
        fit = [amount for amount in range(20) if host.inventories[0].allows(amount)]
        self.assertEqual([0, 2, 4, 6, 8, 10, 12, 14, 16], fit)

    def test_a_host_of_which_all_cpus_are_dedicated(self) -> None:
        uuid = self.nova.add_host("one")
        has = {"PCPU": inventory(8, 2), "MEMORY_MB": inventory(1024)}
        self.placement.put(uuid, has, {"FAST"})
        (host,) = self.compute.hosts()
        self.assertEqual((0, 8, 2, 8), (host.vcpus, host.pcpus, host.pcpus_reserved, host.cpus))
        self.assertEqual({"FAST"}, host.traits)

    def test_what_others_use_of_a_host(self) -> None:
        uuid = self.emulated.add_host("one", vcpus=8)
        flavor = self.nova.add_flavor("small", 2, 2048, 10)
        self.nova.add_server("a", "one", flavor)
        self.placement.allocate("a reservation", {uuid: {"VCPU": 5, "MEMORY_MB": 512}})
        (host,) = self.compute.hosts()
        self.assertEqual({"vcpus": 7, "memory_mb": 2560, "disk_gb": 10, "pcpus": 0}, host.used)
        model = ComputeModel.build([host], self.compute.servers())
        self.assertEqual([[5, 512, 0, 0]], model.others.tolist())

    def test_what_is_used_of_hosts_after_a_deletion(self) -> None:
        uuids = [self.emulated.add_host(name, vcpus=8) for name in ("one", "two", "three")]
        flavor = self.nova.add_flavor("small", 2, 2048, 10)
        deleted = self.nova.add_server("a", "one", flavor)
        self.placement.allocate("a reservation", {uuids[1]: {"VCPU": 5}})
        self.compute.hosts()
        self.nova.delete(deleted)
        self.assertEqual([2, 5, 0], [host.used["vcpus"] for host in self.compute.hosts()])
        self.assertEqual(1, sum(self.calls(lambda: self.compute.used(["one"])).values()))
        self.assertEqual([0, 5, 0], [host.used["vcpus"] for host in self.compute.hosts()])
        used = self.compute.used(["one", "two"])
        self.assertEqual({"one": 0, "two": 5}, {name: of["vcpus"] for name, of in used.items()})

    def test_pages(self) -> None:
        self.nova.page = 2
        names = ["one", "two", "three", "four", "five"]
        for name in names:
            self.emulated.add_host(name)
        self.assertEqual(names, [host.hostname for host in self.compute.hosts()])

    def test_a_host_is_looked_up_by_its_exact_name(self) -> None:
        self.emulated.add_host("compute10")
        self.emulated.add_host("compute1")
        self.assertEqual("compute1", self.compute.host("compute1").hostname)
        self.assertRaises(NotFound, self.compute.host, "compute")
        asked = self.calls(lambda: self.compute.host("compute1"))
        self.assertEqual(6, sum(asked.values()), "hypervisor, service, aggregates, placement's 3")
        asked = self.calls(lambda: self.compute.host_state("compute1"))
        self.assertEqual(1, sum(asked.values()))
        self.assertEqual(("enabled", "up"), self.compute.host_state("compute1"))
        self.compute.disable("compute1", "")
        self.assertEqual(("disabled", "up"), self.compute.host_state("compute1"))
        self.assertRaises(NotFound, self.compute.host_state, "compute")

    def test_a_host_that_came_back_with_another_uuid(self) -> None:
        old = self.emulated.add_host("one")
        self.compute.hosts()
        del self.nova.hypervisors[old]
        new = self.emulated.add_host("one")
        self.assertEqual(new, self.compute.host("one").uuid)

    def test_a_cell_that_is_down(self) -> None:
        self.emulated.add_host("one")
        self.nova.compute_services["x"] = {
            "binary": "nova-compute",
            "host": "lost",
            "status": "UNKNOWN",
        }
        error = self.assertRaises(CloudUnavailable, self.compute.hosts)
        self.assertIn("cell of host lost", str(error))
