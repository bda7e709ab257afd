# SPDX-License-Identifier: Apache-2.0
"""The driver of nova and placement, against emulated ones."""

import contextlib
import datetime
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from werkzeug.exceptions import Forbidden

from watcher.cloud.compute import (
    RESOURCES,
    Aggregate,
    Flavor,
    Host,
    Migration,
    ServerGroup,
    Units,
)
from watcher.cloud.openstack import server_groups
from watcher.cmd import cloud
from watcher.common.errors import (
    CloudRefused,
    CloudUnavailable,
    Invalid,
    NotConfigured,
    NotFound,
    WatcherError,
)
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.model.compute import ComputeModel
from watcher.tests import base
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.placement import inventory
from watcher.tests.emulated.server import Fault

LONG_AGO = datetime.datetime(2000, 1, 1)


class ComputeTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.emulated = self.useFixture(EmulatedCloud())
        self.nova, self.placement = self.emulated.nova, self.emulated.placement
        self.emulated.configure(self.conf)
        self.compute = cloud.connect(self.conf).compute

    def reconnect(self) -> None:
        """Connect with the options as they are now."""
        self.compute = cloud.connect(self.conf).compute

    def calls(self, work: Callable[[], Any]) -> dict[str, int]:
        """The requests that *work* makes once the cloud is known."""
        self.emulated.server.requests.clear()
        work()
        return dict(self.emulated.asked())


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


class TestServers(ComputeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.emulated.add_host("one")
        self.emulated.add_host("two")
        self.flavor = self.nova.add_flavor("small", 2, 2048, 10, ephemeral=5, swap=1025)

    def add(self, name: str = "a", host: str = "one", **more: Any) -> str:
        return self.nova.add_server(name, host, self.flavor, **more)

    def test_a_server(self) -> None:
        uuid = self.add(metadata={"k": "v"}, locked=True)
        (server,) = self.compute.servers()
        self.assertEqual(self.compute.server(uuid), server)
        self.assertEqual((uuid, "a", "one", "project"), (
            server.uuid, server.name, server.host, server.project_id
        ))  # fmt: skip
        self.assertEqual((2, 2048, "small"), (server.vcpus, server.memory_mb, server.flavor))
        self.assertEqual(10 + 5 + 2, server.disk_gb, "root, ephemeral, and 1025 MiB of swap")
        self.assertEqual(("active", None, True), (server.state, server.task_state, server.locked))
        self.assertEqual(datetime.datetime(2026, 1, 2, 3, 4, 5), server.created)
        self.assertEqual({"k": "v"}, server.metadata)
        self.assertEqual(({}, ""), (server.extra_specs, server.pinned_az))

    def test_no_root_disk_when_booted_from_a_volume(self) -> None:
        self.add(image="")
        self.assertEqual(5 + 2, self.compute.servers()[0].disk_gb)

    def test_a_server_without_a_host_yet(self) -> None:
        self.add(host=None)
        self.assertEqual("", self.compute.servers()[0].host)

    def test_a_pin_is_read_where_nova_shows_it(self) -> None:
        self.add(pinned_availability_zone="east")
        self.add(pinned_availability_zone=None)
        pinned, free = self.compute.servers()
        self.assertEqual(("east", "", ""), (pinned.pinned_az, pinned.zone, free.zone))
        self.assertEqual("", free.pinned_az)

    def test_where_nova_shows_no_pins_servers_stay_in_their_zone(self) -> None:
        self.nova.newest = "2.95"
        self.add(**{"OS-EXT-AZ:availability_zone": "east"})
        (server,) = self.compute.servers()
        self.assertEqual(("", "east"), (server.pinned_az, server.zone))
        self.assertEqual(server, self.compute.server(server.uuid))
        self.conf.set_override("stay_in_zone", False, group="compute_model")
        self.reconnect()
        self.assertEqual("", self.compute.servers()[0].zone)

    def test_what_flavors_and_images_need(self) -> None:
        self.flavor["extra_specs"] = {"hw:cpu_policy": "dedicated", "trait:FAST": "required"}
        self.flavor["extra_specs"]["trait:OLD"] = "forbidden"
        self.add(
            image={"id": "image", "properties": {"os_distro": "debian", "trait:X": "required"}}
        )
        server = self.compute.servers()[0]
        self.assertEqual(self.flavor["extra_specs"], server.extra_specs)
        self.assertEqual(
            (("os_distro", "debian"),), server.needs.properties, "nova hides the trait"
        )
        self.assertEqual((0, 2048, 17, 2), server.amounts)
        self.assertEqual(({"FAST"}, {"OLD"}), (server.needs.required, server.needs.forbidden))
        self.assertEqual(("hw:cpu_policy",), server.needs.unjudged)

    def test_what_nova_does_not_migrate_live(self) -> None:
        for specs, newest, live in (
            ({}, "2.56", True),
            ({"hw:mem_encryption": "true"}, "2.103", False),
            ({"hw:tpm_version": "2.0"}, "2.103", False),
            ({"hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"}, "2.103", True),
            ({"accel:device_profile": "fpga"}, "2.103", False),
            ({"pci_passthrough:alias": "gpu:1"}, "2.99", False),
            ({"pci_passthrough:alias": "gpu:1"}, "2.100", True),
            ({"hw:pmem": "6GB"}, "2.87", False),
            ({"hw:pmem": "6GB"}, "2.88", True),
        ):
            self.flavor["extra_specs"], self.nova.newest = specs, newest
            self.reconnect()
            self.assertEqual(live, self.compute.server(self.add()).live, (specs, newest))

    def test_a_server_that_is_active_but_does_not_run_is_not_migrated_live(self) -> None:
        for state, live in ((0, False), (1, True), (3, True), (4, False)):
            ident = self.add(**{"OS-EXT-STS:power_state": state})
            self.assertEqual("live" if live else None, self.compute.server(ident).migration)

    def test_pages(self) -> None:
        self.nova.page = 2
        uuids = [self.add() for _ in range(5)]
        self.compute.servers()
        asked = self.calls(
            lambda: self.assertEqual(uuids, [server.uuid for server in self.compute.servers()])
        )
        self.assertEqual({"GET /compute/v2.1/servers/detail": 3}, asked)

    def test_servers_on_a_host(self) -> None:
        here = self.add()
        self.add(host="two")
        self.assertEqual([here], [server.uuid for server in self.compute.servers_on("one")])
        self.assertEqual([], self.compute.servers_on("three"))

    def test_changed_servers(self) -> None:
        old, new, gone = self.add(), self.add(), self.add()
        self.nova.all[old]["updated"] = "2020-01-01T00:00:00Z"
        self.nova.delete(gone)
        changed = self.compute.changed_servers(datetime.datetime(2020, 1, 1, 0, 0, 1))
        self.assertEqual(
            [(new, "active"), (gone, "deleted")],
            [(server.uuid, server.state) for server in changed],
        )
        self.assertEqual(3, len(self.compute.changed_servers(LONG_AGO)))
        self.assertEqual([old, new], [server.uuid for server in self.compute.servers()])

    def test_a_cell_that_is_down(self) -> None:
        uuid = self.add()
        self.nova.all[uuid] = {"id": uuid, "status": "UNKNOWN", "updated": "2026"}
        error = self.assertRaises(CloudUnavailable, self.compute.servers)
        self.assertIn(f"cell of server {uuid}", str(error))

    def test_a_server_that_is_deleted_and_still_listed(self) -> None:
        uuid = self.add(**{"OS-EXT-STS:vm_state": "deleted"})
        self.nova.all[uuid]["status"] = "ACTIVE"
        self.assertEqual([], self.compute.servers())
        self.assertEqual([], self.compute.servers_on("one"))
        self.assertEqual(1, len(self.compute.changed_servers(LONG_AGO)))

    def test_a_user_who_is_no_admin(self) -> None:
        uuid = self.add()
        del self.nova.all[uuid]["OS-EXT-SRV-ATTR:host"]
        self.nova.touch(uuid)
        error = self.assertRaises(CloudRefused, self.compute.servers)
        self.assertIn("needs the role admin", str(error))

    def test_a_server_in_an_unknown_form(self) -> None:
        self.add(metadata={}, created="yesterday")
        error = self.assertRaises(CloudUnavailable, self.compute.servers)
        self.assertIn("form that is not known", str(error))

    def test_server_groups(self) -> None:
        self.nova.page = 1
        self.nova.groups = [
            {
                "id": "g1",
                "policy": "anti-affinity",
                "rules": {"max_server_per_host": 2},
                "members": ["a", "b"],
            },
            {"id": "g2", "policy": "affinity", "rules": {}, "members": []},
        ]
        expected = [
            ServerGroup("g1", "anti-affinity", ("a", "b"), 2),
            ServerGroup("g2", "affinity", ()),
        ]
        self.assertEqual(expected, self.compute.server_groups())

    def test_soft_deleted_members_of_groups(self) -> None:
        """Nova 33 leaves them out of a group's members, and yet sends no other member there."""
        self.emulated.fill(4, 4)
        uuids = sorted(self.nova.all)
        rule = {"id": "g", "policy": "anti-affinity", "members": uuids, "rules": {}}
        wish = {"id": "w", "policy": "soft-anti-affinity", "members": uuids, "rules": {}}
        self.nova.groups = [wish]
        self.assertNotIn("GET /compute/v2.1/servers/detail", self.calls(self.compute.server_groups))
        self.nova.groups = [rule, wish]
        host = self.nova.all[uuids[0]]["OS-EXT-SRV-ATTR:host"]
        self.nova.touch(uuids[0], **{"OS-EXT-STS:vm_state": "soft-delete"})
        self.nova.touch(uuids[1], **{"OS-EXT-STS:vm_state": "deleted"})
        for _ in range(2):
            self.assertNotIn(uuids[0], [each.uuid for each in self.compute.servers()])
            group = self.compute.server_groups()[0]
            self.assertEqual(ServerGroup("g", "anti-affinity", (*uuids[2:],), 1, (host,)), group)
        groups = {"GET /compute/v2.1/os-server-groups": 2, "GET /compute/v2.1/os-migrations": 1}
        self.assertEqual(groups, self.calls(self.compute.server_groups))
        clock = itertools.count(time.monotonic() + 301, 301)
        self.patch(server_groups, "monotonic", clock.__next__)
        asked = groups | {"GET /compute/v2.1/servers/detail": 1}
        self.assertEqual(asked, self.calls(self.compute.server_groups))
        for state, unlisted in (("active", ()), ("soft-delete", (host,)), ("deleted", ())):
            self.nova.touch(uuids[0], **{"OS-EXT-STS:vm_state": state})
            self.assertEqual(unlisted, self.compute.server_groups()[0].unlisted)

    def test_members_that_have_just_left_a_host(self) -> None:
        """Nova 33 refused their hosts to other members for 105 s, and took them after that."""
        home, away, third, last = names = ("h0", "h1", "h2", "h3")
        for name in names:
            self.emulated.add_host(name)
        flavor = self.nova.add_flavor("small", 1, 512, 1)
        moving, other = uuids = [self.nova.add_server(name, name, flavor) for name in (home, last)]
        self.nova.groups = [{"id": "g", "policy": "anti-affinity", "members": uuids, "rules": {}}]

        def move(uuid: str, to: str) -> tuple[str, ...]:
            self.compute.live_migrate(uuid, to)
            self.nova.finish(uuid)
            return self.compute.server_groups()[0].unlisted

        self.assertEqual((home,), move(moving, away))
        self.assertRaises(CloudRefused, self.compute.live_migrate, other, home)
        self.assertEqual((home, away), move(moving, third))
        self.assertEqual((away, third), move(moving, home))
        self.nova.allow_migrations = False
        self.assertEqual((), self.compute.server_groups()[0].unlisted)
        self.nova.allow_migrations = True
        for row in self.nova.migrations:
            row["updated_at"] = "2026-01-02T03:04:05.000000"
        self.assertEqual((), self.compute.server_groups()[0].unlisted)

    def test_server_groups_of_an_older_nova(self) -> None:
        self.nova.newest = "2.60"
        self.nova.groups = [{"id": "g", "policies": ["soft-affinity"], "members": []}]
        self.assertEqual([ServerGroup("g", "soft-affinity", ())], self.compute.server_groups())
        self.add()
        self.assertEqual(1, len(self.compute.servers()))

    def test_a_nova_that_is_too_old(self) -> None:
        self.nova.newest = "2.55"
        error = self.assertRaises(CloudRefused, self.compute.servers)
        self.assertIn("Version 2.56 is not supported", str(error))


class TestMigrations(ComputeTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("one", "two", "three"):
            self.emulated.add_host(name)
        self.small = self.nova.add_flavor("small", 1, 1024, 1)
        self.uuid = self.nova.add_server("a", "one", self.small)

    def settle(self) -> None:
        while self.compute.server(self.uuid).task_state:
            pass

    def found(self, since: datetime.datetime = LONG_AGO) -> list[tuple[str, str, bool, bool]]:
        """(source, destination, whether it has ended, and well), the newest first."""
        return [
            (each.source, each.destination, each.ended is not None, each.succeeded)
            for each in self.compute.migrations(since)
        ]

    def row(self, **changes: Any) -> None:
        """Change what nova says of the newest migration."""
        self.nova.migrations[0].update(changes)

    def test_a_live_migration(self) -> None:
        self.assertEqual([], self.found())
        self.compute.live_migrate(self.uuid, "two")
        self.assertEqual([("one", "two", False, False)], self.found())
        self.settle()
        self.row(updated_at="2026-01-02T03:04:05.000000")
        expected = Migration(self.uuid, "one", "two", datetime.datetime(2026, 1, 2, 3, 4, 5), True)
        self.assertEqual([expected], self.compute.migrations(LONG_AGO))

    def test_those_that_ended_before_are_left_out(self) -> None:
        self.compute.live_migrate(self.uuid, "two")
        self.settle()
        ended = datetime.datetime(2026, 1, 2, 3, 4, 5)
        self.row(updated_at=ended.isoformat())
        second = datetime.timedelta(seconds=1)
        for newest in ("2.100", "2.58"):
            self.nova.newest = newest
            self.reconnect()
            self.assertEqual([], self.found(ended))
            self.assertEqual(1, len(self.found(ended - second / 2)))
            self.assertEqual(1, len(self.found(ended - second)))

    def test_one_that_fails(self) -> None:
        self.nova.fails[self.uuid] = "No room."
        self.compute.live_migrate(self.uuid, "two")
        self.settle()
        self.assertEqual([("one", "two", True, False)], self.found())

    def test_one_that_is_aborted(self) -> None:
        self.nova.hold.add(self.uuid)
        self.compute.live_migrate(self.uuid, "two")
        self.compute.abort_live_migration(self.uuid)
        self.assertEqual([("one", "two", True, False)], self.found())

    def test_one_without_a_destination_yet(self) -> None:
        self.nova.hold.add(self.uuid)
        self.compute.live_migrate(self.uuid, None)
        self.row(dest_compute=None, status="queued", updated_at=None)
        self.nova.newest = "2.58"
        self.reconnect()
        self.assertEqual([("one", "", False, False)], self.found())

    def test_a_cold_migration_has_arrived_before_it_is_confirmed(self) -> None:
        self.compute.cold_migrate(self.uuid, "two")
        self.assertEqual([("one", "two", False, False)], self.found())
        self.settle()
        self.assertEqual([("one", "two", True, True)], self.found())
        self.compute.confirm_resize(self.uuid)
        self.assertEqual([("one", "two", True, True)], self.found())

    def test_one_confirmed_long_after_its_arrival(self) -> None:
        self.compute.cold_migrate(self.uuid, "two")
        self.settle()
        self.compute.confirm_resize(self.uuid)
        self.row(created_at="2026-01-02T02:00:00", updated_at="2026-01-02T04:00:00")
        self.nova.touch(self.uuid, **{"OS-SRV-USG:launched_at": "2026-01-02T02:05:00.000000"})
        self.assertEqual([], self.found(datetime.datetime(2026, 1, 2, 3)))
        self.nova.touch(self.uuid, **{"OS-SRV-USG:launched_at": "2026-01-02T03:05:00.000000"})
        (migration,) = self.compute.migrations(datetime.datetime(2026, 1, 2, 3))
        self.assertEqual(datetime.datetime(2026, 1, 2, 3, 5), migration.ended)
        self.nova.touch(self.uuid, **{"OS-SRV-USG:launched_at": None})
        self.assertEqual(1, len(self.found(datetime.datetime(2026, 1, 2, 3))))
        self.nova.delete(self.uuid)
        self.assertEqual(1, len(self.found(datetime.datetime(2026, 1, 2, 3))))

    def test_an_evacuation_changes_once_more_when_its_host_comes_back(self) -> None:
        self.compute.live_migrate(self.uuid, "two")
        self.settle()
        self.row(migration_type="evacuation", status="done")
        self.assertEqual([("one", "two", True, True)], self.found())
        self.row(status="completed", created_at="2026-01-02T02:00:00")
        self.assertEqual([], self.found(datetime.datetime(2026, 1, 2, 3, 4, 6)))
        self.assertEqual([("one", "two", True, True)], self.found())

    def test_a_resize_that_stays_on_its_host_is_no_move(self) -> None:
        large = self.nova.add_flavor("large", 4, 4096, 1)
        self.compute.resize(self.uuid, large["id"])
        self.settle()
        self.assertEqual([], self.found())
        self.row(dest_compute="two")
        self.assertEqual([("one", "two", True, True)], self.found())

    def test_pages(self) -> None:
        self.nova.page = 2
        for name in ("two", "three", "one", "two", "three"):
            self.compute.live_migrate(self.uuid, name)
            self.settle()
        asked = self.calls(lambda: self.assertEqual(5, len(self.found())))
        self.assertEqual({"GET /compute/v2.1/os-migrations": 3}, asked)

    def test_a_user_who_may_not_see_them(self) -> None:
        self.nova.allow_migrations = False
        error = self.assertRaises(CloudRefused, self.compute.migrations, LONG_AGO)
        self.assertIn("nova does not list migrations", str(error))
        self.assertIn("os_compute_api:os-migrations:index", str(error))

    def test_an_unknown_form(self) -> None:
        self.compute.live_migrate(self.uuid, "two")
        self.row(updated_at="yesterday")
        self.assertRaises(CloudUnavailable, self.compute.migrations, LONG_AGO)


class TestActions(ComputeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.emulated.add_host("one")
        self.emulated.add_host("two")
        self.small = self.nova.add_flavor("small", 1, 1024, 1)
        self.uuid = self.nova.add_server("a", "one", self.small)

    def settle(self) -> tuple[str, str]:
        """Host and state once the server is at rest."""
        for _ in range(5):
            server = self.compute.server(self.uuid)
            if server.task_state is None:
                return server.host, server.state
        raise AssertionError(f"Still {server.task_state}.")

    def sent(self) -> Any:
        """The body of the last action."""
        posts = [each for each in self.emulated.server.requests if each.path.endswith("/action")]
        return posts[-1].get_json()

    def test_live_migrate(self) -> None:
        self.compute.live_migrate(self.uuid, "two")
        self.assertEqual("migrating", self.compute.server(self.uuid).task_state)
        self.assertEqual(("two", "active"), self.settle())
        wanted = {"os-migrateLive": {"host": "two", "block_migration": "auto"}}
        self.assertEqual(wanted, self.sent())
        self.compute.live_migrate(self.uuid, None)
        self.assertEqual(("one", "active"), self.settle())

    def test_cold_migrate_and_confirm(self) -> None:
        self.compute.cold_migrate(self.uuid, "two")
        self.assertEqual(("two", "resized"), self.settle())
        self.compute.confirm_resize(self.uuid)
        self.assertEqual(("two", "active"), self.settle())

    def test_resize(self) -> None:
        large = self.nova.add_flavor("large", 4, 4096, 1)
        self.compute.resize(self.uuid, large["id"])
        self.assertEqual(("one", "resized"), self.settle())
        self.assertEqual(4, self.compute.server(self.uuid).vcpus)

    def test_stop_and_start(self) -> None:
        self.compute.stop(self.uuid)
        self.assertEqual(("one", "stopped"), self.settle())
        self.compute.start(self.uuid)
        self.assertEqual(("one", "active"), self.settle())

    def test_abort_live_migration(self) -> None:
        self.nova.hold.add(self.uuid)
        self.compute.live_migrate(self.uuid, "two")
        self.compute.abort_live_migration(self.uuid)
        self.assertEqual(("one", "active"), self.settle())
        error = self.assertRaises(CloudRefused, self.compute.abort_live_migration, self.uuid)
        self.assertIn("no live migration", str(error))

    def test_why_something_failed(self) -> None:
        self.assertIsNone(self.compute.failure(self.uuid))
        self.compute.live_migrate(self.uuid, "two")
        self.settle()
        self.assertIsNone(self.compute.failure(self.uuid))
        self.nova.fails[self.uuid] = "No valid host\nwas found."
        for newest, words in (
            ("2.100", "nova says: No valid host was found. (req-1)"),
            ("2.83", "nova says: its resize_migrating failed (req-2)"),
        ):
            self.nova.newest = newest
            self.reconnect()
            self.compute.cold_migrate(self.uuid, None)
            self.assertEqual(("two", "active"), self.settle())
            self.assertEqual(words, self.compute.failure(self.uuid))

    def test_flavor_by_id_or_name(self) -> None:
        medium = self.nova.add_flavor("medium", 2, 2048, 10, ephemeral=3, swap=512)
        expected = Flavor(medium["id"], "medium", 2, 2048, 14)
        self.assertEqual(expected, self.compute.flavor(medium["id"]))
        self.assertEqual(expected, self.compute.flavor("medium"))
        error = self.assertRaises(NotFound, self.compute.flavor, "a/b c")
        self.assertEqual("Flavor a/b c was not found.", str(error))

    def test_what_is_not_there(self) -> None:
        for work in (
            lambda: self.compute.server("none"),
            lambda: self.compute.live_migrate("none", None),
            lambda: self.compute.abort_live_migration("none"),
            lambda: self.compute.enable("none"),
            lambda: self.compute.disable("none", "why not"),
        ):
            self.assertIn("none", str(self.assertRaises(NotFound, work)))

    def test_what_nova_refuses(self) -> None:
        error = self.assertRaises(CloudRefused, self.compute.live_migrate, self.uuid, "three")
        self.assertEqual(
            "nova answered 400: Compute host three could not be found. (req-emulated)", str(error)
        )
        error = self.assertRaises(CloudRefused, self.compute.confirm_resize, self.uuid)
        self.assertIn("nova answered 409: Cannot 'confirmResize'", str(error))

    def test_an_action_whose_answer_is_lost_is_not_repeated(self) -> None:
        self.compute.server(self.uuid)
        self.emulated.server.requests.clear()
        self.emulated.server.fail(Fault.GONE)
        self.assertRaises(CloudUnavailable, self.compute.live_migrate, self.uuid, "two")
        self.assertEqual(1, len(self.emulated.server.requests))

    def test_a_look_is_repeated(self) -> None:
        self.conf.set_override("http_retry_interval", 0.1, group="nova")
        self.conf.set_override("http_retries", 2, group="nova")
        self.reconnect()
        self.compute.server(self.uuid)
        self.emulated.server.fail(Fault.GONE, Fault.GONE)
        self.assertEqual("one", self.compute.server(self.uuid).host)
        self.emulated.server.fail(Fault.GONE, Fault.GONE, Fault.GONE)
        self.assertRaises(CloudUnavailable, self.compute.server, self.uuid)


class TestRequests(ComputeTestCase):
    def test_a_model_takes_what_the_documentation_says(self) -> None:
        self.nova.page = 40
        self.emulated.fill(100, 500)
        self.nova.groups = [{"id": "g", "policy": "affinity", "members": []}]

        def read() -> None:
            self.compute.hosts()
            self.compute.servers()
            self.compute.server_groups()

        asked = self.calls(read)
        of_hosts = [path for path in asked if path.startswith("GET /placement/resource_providers/")]
        self.assertEqual(100, len(of_hosts))
        self.assertEqual(1, asked["GET /placement/allocation_candidates"])
        self.assertEqual(
            {
                "GET /compute/v2.1/os-hypervisors/detail": 3,
                "GET /compute/v2.1/os-services": 1,
                "GET /compute/v2.1/os-aggregates": 1,
                "GET /compute/v2.1/os-server-groups": 2,
                "GET /compute/v2.1/servers/detail": 13,
                "GET /placement/resource_providers": 1,
            },
            self.calls(read),
        )


class TestConnection(ComputeTestCase):
    def test_what_has_just_changed_is_seen_though_clocks_differ(self) -> None:
        self.emulated.fill(2, 4)
        uuid = min(self.nova.all)
        collectors = Collectors(self.conf, cloud.connect(self.conf))
        collectors.compute()
        for behind, host in ((0, "compute-0001"), (55, "compute-0000"), (-55, "compute-0001")):
            self.nova.touch(uuid, **{"OS-EXT-SRV-ATTR:host": host})
            time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=behind)
            self.nova.all[uuid]["updated"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
            self.assertEqual(host, collectors.compute().servers[0].host)

    def test_a_deletion_makes_room_whenever_nova_tells_placement(self) -> None:
        self.emulated.fill(20, 40)
        tell, late = self.placement.forget, list[str]()
        collectors = Collectors(self.conf, cloud.connect(self.conf))
        collectors.compute()
        self.nova.delete(min(self.nova.all))
        self.assertEqual(0, collectors.compute().others.sum())
        self.placement.forget = late.append
        self.nova.delete(max(self.nova.all))
        self.assertGreater(collectors.compute().others.sum(), 0)
        tell(late[0])
        self.assertEqual(0, collectors.compute().others.sum())
        self.assertEqual([], [path for path in self.calls(collectors.compute) if "usages" in path])

    def test_threads_share_it(self) -> None:
        self.emulated.fill(8, 40)
        expected = {server.uuid for server in self.compute.servers()}
        self.reconnect()
        with ThreadPoolExecutor(8) as pool:
            looks = [pool.submit(self.compute.servers) for _ in range(16)]
            looks += [pool.submit(self.compute.hosts) for _ in range(16)]
            for look in looks[:16]:
                self.assertEqual(expected, {server.uuid for server in look.result()})
            for look in looks[16:]:
                self.assertEqual(8, len(look.result()))

    def test_every_fault_is_one_of_our_errors_and_passes(self) -> None:
        self.emulated.fill(2, 4)
        self.conf.set_override("http_retry_interval", 0.1, group="nova")
        self.conf.set_override("http_retries", 1, group="nova")
        self.reconnect()
        faults = (Fault.DOWN, Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.WRONG_SHAPE)
        for work in (self.compute.hosts, self.compute.servers, self.compute.server_groups):
            work()
            for fault in faults:
                with self.subTest(f"{work.__name__} {fault.name}"):
                    self.emulated.server.fault = fault
                    self.assertRaises(CloudUnavailable, work)
                    self.emulated.server.heal()
                    work()

    def test_answers_of_another_form_are_reported_as_errors(self) -> None:
        self.emulated.fill(2, 4)
        uuid, host = next(iter(self.nova.all)), "compute-0000"
        self.compute.live_migrate(uuid, "compute-0001")
        self.nova.hold.add(uuid)
        for name, arguments in (
            ("hosts", ()),
            ("host", (host,)),
            ("server", (uuid,)),
            ("flavor", ("x1",)),
            ("failure", (uuid,)),
            ("abort_live_migration", (uuid,)),
            ("disable", (host, "why")),
        ):
            for fault in (Fault.WRONG_SHAPE, Fault.HOLLOW):
                for before in itertools.count():
                    self.emulated.server.fail(*[None] * before, fault)
                    with contextlib.suppress(WatcherError):
                        getattr(self.compute, name)(*arguments)
                    if self.emulated.server.to_fail:
                        break
                self.emulated.server.heal()

    def test_without_credentials(self) -> None:
        self.conf.clear_override("auth_type", group="watcher_clients_auth")
        error = self.assertRaises(NotConfigured, lambda: cloud.connect(self.conf).compute)
        self.assertIn("[watcher_clients_auth] auth_type", str(error))

    def test_an_api_version_that_is_too_old(self) -> None:
        self.conf.set_override("api_version", "2.55", group="nova")
        error = self.assertRaises(Invalid, cloud.connect, self.conf)
        self.assertIn("at least 2.56", str(error))

    def test_nothing_is_asked_before_the_first_use(self) -> None:
        self.assertEqual([], self.emulated.server.requests)


class TestCandidates(ComputeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.host = self.emulated.add_host("one")
        self.emulated.add_host("two")
        self.placement.put("gpu", {"VGPU": inventory(1)}, below=self.host)
        flavor = self.nova.add_flavor("gpu", 2, 2048, 10)
        flavor["extra_specs"] = {"resources:VGPU": "1", "trait:FAST": "forbidden"}
        self.nova.add_server("a", "two", flavor)
        (self.server,) = self.compute.servers()

    def test_placement_is_asked_for_all_that_a_server_needs(self) -> None:
        self.assertEqual(("resources:VGPU",), self.server.needs.unjudged)
        self.assertTrue(self.compute.has_candidate(self.server, ["one"]))
        self.assertFalse(self.compute.has_candidate(self.server, ["two"]), "it has no VGPU")
        self.placement.allocate("another", {"gpu": {"VGPU": 1}})
        self.assertFalse(self.compute.has_candidate(self.server, ["one"]))

    def test_a_flavor_that_asks_for_another_amount_of_disk_or_none(self) -> None:
        for amount, possible in (("0", True), ("1280", True), ("1281", False)):
            flavor = self.nova.add_flavor(amount, 2, 2048, 10)
            flavor["extra_specs"] = {"resources:DISK_GB": amount}
            ident = self.nova.add_server(amount, "two", flavor)
            found = self.compute.has_candidate(self.compute.server(ident), ["one"])
            self.assertEqual(possible, found)

    def candidate(self, **specs: str) -> bool:
        """Whether host one is a candidate for a server of 2 vCPUs with such extra specs."""
        flavor = self.nova.add_flavor("other", 2, 2048, 10)
        flavor["extra_specs"] = {name.replace("__", ":"): value for name, value in specs.items()}
        ident = self.nova.add_server("other", "two", flavor)
        return self.compute.has_candidate(self.compute.server(ident), ["one"])

    def test_groups_of_resources(self) -> None:
        has = {"VCPU": inventory(4), "MEMORY_MB": inventory(8192), "DISK_GB": inventory(100)}
        self.placement.put(self.host, has)
        self.placement.put("gpu2", {"VGPU": inventory(1)}, {"NVIDIA"}, below=self.host)
        two = {"resources1__VGPU": "1", "resources2__VGPU": "1"}
        self.assertTrue(self.candidate(**two, group_policy="isolate"))
        self.assertFalse(self.candidate(**two), "nova sends no policy either")
        self.assertTrue(self.candidate(resources1__VGPU="1", trait1__NVIDIA="required"))
        self.assertFalse(self.candidate(resources1__VGPU="2"))
        self.assertTrue(self.candidate(resources1__VCPU="4"), "they replace those of the flavor")
        self.assertFalse(self.candidate(resources1__VCPU="5"))

    def test_groups_with_names(self) -> None:
        self.assertTrue(self.candidate(resources_GPU__VGPU="1"))
        self.placement.newest = "1.32"
        self.reconnect()
        self.assertFalse(self.candidate(resources_GPU__VGPU="1"), "it would not take the name")

    def test_what_placement_does_not_know_has_no_candidate(self) -> None:
        self.assertFalse(self.candidate(resources__CUSTOM_TYPO="1"))

    def test_traits(self) -> None:
        self.placement.traits[self.host] = {"FAST"}
        self.assertFalse(self.compute.has_candidate(self.server, ["one"]))

    def test_one_of_several_hosts_is_enough(self) -> None:
        self.assertTrue(self.compute.has_candidate(self.server, ["two", "one"]))
        self.assertFalse(self.compute.has_candidate(self.server, []))
        self.placement.allocate("another", {"gpu": {"VGPU": 1}})
        self.assertFalse(self.compute.has_candidate(self.server, ["two", "one"]))
        self.placement.newest = "1.30"
        self.reconnect()
        self.assertFalse(self.compute.has_candidate(self.server, ["one"]))
        self.assertTrue(self.compute.has_candidate(self.server, ["two", "one"]), "nova picks one")

    def test_an_unknown_host(self) -> None:
        self.assertRaises(NotFound, self.compute.has_candidate, self.server, ["three"])
