# SPDX-License-Identifier: Apache-2.0
"""The servers, server groups and migrations of an emulated nova."""

import datetime
import itertools
import time
from typing import Any

from watcher.cloud.compute import (
    Migration,
    ServerGroup,
)
from watcher.cloud.openstack import server_groups
from watcher.common.errors import (
    CloudRefused,
    CloudUnavailable,
)
from watcher.tests.functional.compute_stories import ComputeTestCase

LONG_AGO = datetime.datetime(2000, 1, 1)


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
