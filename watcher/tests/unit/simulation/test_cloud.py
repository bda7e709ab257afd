# SPDX-License-Identifier: Apache-2.0
import datetime
import os
import statistics
from typing import Any
from unittest import mock

from oslo_utils import timeutils

from watcher.cmd import cloud as clouds
from watcher.common.errors import CloudRefused, Invalid, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.loads import OWN_MEMORY_MB
from watcher.simulation.scenario import Scenario, example_file
from watcher.tests import base


def host(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "uuid": f"uuid-{name}",
        "hostname": name,
        "vcpus": 10,
        "memory_mb": 10000,
        "disk_gb": 100,
        **fields,
    }


def server(name: str, host: str, **fields: Any) -> dict[str, Any]:
    size = {"vcpus": 4, "memory_mb": 4000, "disk_gb": 40}
    return {"uuid": name, "name": f"name-{name}", "host": host, "cpu": 50, **size, **fields}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SimulatedCloudTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.cloud = self.make()

    def make(self, **content: Any) -> SimulatedCloud:
        content.setdefault("hosts", [host("a"), host("b"), host("off", status="disabled")])
        content.setdefault("servers", [server("s1", "a"), server("s2", "a", ram=1000)])
        content.setdefault("migration_seconds", 10)
        return SimulatedCloud(Scenario.from_dict(content), self.clock)

    def place(self, uuid: str = "s1") -> tuple[str, str, str | None]:
        row = self.cloud.server(uuid)
        return row.host, row.state, row.task_state

    def cpu(self) -> dict[str, float]:
        return dict(
            self.cloud.loads.host_metric("host_cpu_usage", self.cloud.hosts(), 60, "mean", 60)
        )

    def test_a_live_migration_takes_its_time(self) -> None:
        self.cloud.live_migrate("s1", "b")
        self.clock.now += 9.9
        self.assertEqual(("a", "active", "migrating"), self.place())
        self.clock.now += 0.1
        self.assertEqual(("b", "active", None), self.place())

    def test_a_host_without_inventory(self) -> None:
        empty = {"vcpus": 0, "memory_mb": 0, "disk_gb": 0}
        self.cloud = self.make(hosts=[host("a"), host("b", **empty)])
        self.assertEqual({"uuid-a": 40, "uuid-b": 0}, self.cpu())
        self.assertIn("gives no server 4 vCPUs", self.refusal("s1", "b"))

    def test_a_server_that_can_be_restored_keeps_its_room(self) -> None:
        """It is in no list of servers, so the model of the cloud has only what the host uses."""
        self.cloud = self.make(servers=[server("s1", "a", state="soft-delete"), server("s2", "b")])
        (used,) = [each.used for each in self.cloud.hosts() if each.hostname == "a"]
        self.assertEqual({"vcpus": 4, "memory_mb": 4000, "disk_gb": 40, "pcpus": 0}, used)

    def test_a_server_that_can_be_restored_counts_for_its_group(self) -> None:
        servers = [server("s1", "a"), server("s2", "b", state="soft-delete")]
        group = {"uuid": "g", "policy": "anti-affinity", "members": ["s1", "s2"]}
        self.cloud = self.make(servers=servers, server_groups=[group])
        self.assertEqual(["b"], self.cloud.server_groups()[0].unlisted)
        self.assertIn("has 1 of group g", self.refusal("s1", "b"))
        group |= {"members": ["s1"], "unlisted": ["b"]}
        self.cloud = self.make(servers=servers[:1], server_groups=[group])
        self.assertIn("has 1 of group g", self.refusal("s1", "b"))

    def test_the_load_moves_with_the_server(self) -> None:
        self.assertEqual({"uuid-a": 40, "uuid-b": 0, "uuid-off": 0}, self.cpu())
        self.cloud.live_migrate("s1", "b")
        self.clock.now += 10
        self.assertEqual({"uuid-a": 20, "uuid-b": 20, "uuid-off": 0}, self.cpu())

    def test_a_migration_that_is_set_to_fail_leaves_the_server_on_its_source(self) -> None:
        self.cloud = self.make(
            servers=[server("s1", "a", migration_fails=True, migration_seconds=3)]
        )
        self.cloud.live_migrate("s1", "b")
        self.clock.now += 3
        self.assertEqual(("a", "active", None), self.place())
        self.assertEqual("It was configured to fail.", self.cloud.failure("s1"))
        self.cloud.live_migrate("s1", "b")
        self.assertIsNone(self.cloud.failure("s1"))

    def test_an_aborted_migration_leaves_the_server_on_its_source(self) -> None:
        self.cloud.live_migrate("s1", "b")
        self.cloud.abort_live_migration("s1")
        self.clock.now += 100
        self.assertEqual(("a", "active", None), self.place())
        self.assertRaises(CloudRefused, self.cloud.abort_live_migration, "s1")

    def moved(self, seconds: float = 3600) -> list[tuple[str, str, str, float | None, bool]]:
        """(server, source, destination, age in seconds, whether it succeeded)."""
        now = timeutils.utcnow()
        with mock.patch.object(timeutils, "utcnow", return_value=now):
            return [
                (
                    each.server,
                    each.source,
                    each.destination,
                    each.ended and (now - each.ended).total_seconds(),
                    each.succeeded,
                )
                for each in self.cloud.migrations(now - datetime.timedelta(seconds=seconds))
            ]

    def test_migrations_are_kept_for_a_day(self) -> None:
        self.cloud.live_migrate("s1", "b")
        self.assertEqual([("s1", "a", "b", None, False)], self.moved())
        self.clock.now += 15
        self.assertEqual([("s1", "a", "b", 5, True)], self.moved())
        self.assertEqual([], self.moved(seconds=5))
        self.cloud.cold_migrate("s1", "a")
        self.clock.now += 86375
        self.assertEqual(2, len(self.moved(seconds=1e6)))
        self.clock.now += 20
        self.cloud.live_migrate("s2", "b")
        self.clock.now += 15
        expected = [("s1", "b", "a", 86400, True), ("s2", "a", "b", 5, True)]
        self.assertEqual(expected, self.moved(seconds=1e6))

    def test_migrations_that_fail_are_listed_and_resizes_in_place_are_not(self) -> None:
        self.resizable(server("s1", "a", migration_fails=True), server("s2", "b", vcpus=1))
        self.cloud.live_migrate("s1", "b")
        self.clock.now += 10
        self.cloud.live_migrate("s2", "a")
        self.cloud.abort_live_migration("s2")
        self.cloud.resize("s1", "large")
        expected = [("s1", "a", "b", 0, False), ("s2", "b", "a", 0, False)]
        self.assertEqual(expected, self.moved())
        self.clock.now += 10
        self.assertEqual(2, len(self.moved()))

    def test_a_cold_migration_waits_to_be_confirmed(self) -> None:
        self.cloud = self.make(servers=[server("s1", "a", state="stopped")])
        self.cloud.cold_migrate("s1", "b")
        self.assertEqual(("a", "stopped", "resize_migrating"), self.place())
        self.assertRaises(CloudRefused, self.cloud.confirm_resize, "s1")
        self.assertRaises(CloudRefused, self.cloud.abort_live_migration, "s1")
        self.clock.now += 10
        self.assertEqual(("b", "resized", None), self.place())
        self.cloud.confirm_resize("s1")
        self.assertEqual(("b", "stopped", None), self.place())

    def test_an_unconfirmed_server_claims_both_hosts(self) -> None:
        self.cloud = self.make(servers=[server("s1", "a", vcpus=8), server("s2", "b", vcpus=2)])
        self.cloud.cold_migrate("s1", "b")
        self.clock.now += 10
        self.cloud.host("a")
        self.assertEqual("", self.refusal("s2", "a"))
        self.cloud = self.make(servers=[server("s1", "a", vcpus=8), server("s2", "b", vcpus=3)])
        self.assertIn("3 vCPUs", self.refusal("s2", "a"))

    def refusal(self, uuid: str, destination: str | None) -> str:
        """Why the cloud says no; empty if it does not."""
        try:
            self.cloud.live_migrate(uuid, destination)
        except CloudRefused as error:
            return str(error)
        return ""

    def test_a_host_is_never_filled_beyond_its_capacity(self) -> None:
        self.cloud = self.make(
            servers=[server(f"s{number}", "a", memory_mb=100) for number in range(4)]
        )
        self.assertEqual("", self.refusal("s0", "b"))
        self.assertEqual("", self.refusal("s1", "b"))
        self.assertIn("needs 4 vCPUs, but host b has 2 left", self.refusal("s2", "b"))
        self.clock.now += 10
        self.assertIn("needs 4 vCPUs, but host b has 2 left", self.refusal("s2", "b"))

    def test_ratio_and_reserve_count(self) -> None:
        self.cloud = self.make(
            hosts=[host("a"), host("b", vcpu_ratio=0.5, vcpus_reserved=4)],
            servers=[server("s1", "a")],
        )
        self.assertIn("host b has 3 left", self.refusal("s1", "b"))

    def test_what_a_cloud_refuses(self) -> None:
        self.assertIn("disabled", self.refusal("s1", "off"))
        self.assertIn("already", self.refusal("s1", "a"))
        self.assertIn("not found", self.refusal("s1", "nowhere"))
        self.assertEqual("", self.refusal("s1", "b"))
        self.assertIn("busy", self.refusal("s1", "b"))
        self.cloud = self.make(servers=[server("s1", "a", state="stopped")])
        self.assertIn("only a running one", self.refusal("s1", "b"))
        self.cloud = self.make(servers=[server("s1", "a", state="error")])
        self.assertRaises(CloudRefused, self.cloud.cold_migrate, "s1", "b")

    def test_without_a_destination_the_roomiest_host_is_taken(self) -> None:
        self.cloud = self.make(
            hosts=[host("a"), host("b", memory_mb=8000), host("c", memory_mb=9000)]
        )
        self.cloud.live_migrate("s1", None)
        self.clock.now += 10
        self.assertEqual("c", self.place()[0])
        self.cloud = self.make(hosts=[host("a"), host("b", vcpus=1)])
        self.assertIn("No host has room", self.refusal("s1", None))

    def test_the_scheduler_stays_within_zones_and_aggregates(self) -> None:
        reserved = {"id": 1, "name": "other", "metadata": {"filter_tenant_id": "p2"}}
        self.cloud = self.make(
            hosts=[
                host("a", zone="z1"),
                host("b", zone="z1", memory_mb=5000),
                host("c", zone="z1", aggregates=[reserved]),
                host("d", zone="z2", memory_mb=90000),
            ],
            servers=[server("s1", "a", pinned_az="z1", project_id="p1"), server("s2", "a")],
        )
        self.assertIn("not in zone z1", self.refusal("s1", "d"))
        self.assertIn("reserved to other projects", self.refusal("s1", "c"))
        self.assertEqual(("b", "d"), (self.picked("s1"), self.picked("s2")))

    def picked(self, uuid: str) -> str:
        """The host on which a server is after the scheduler has picked one."""
        self.cloud.live_migrate(uuid, None)
        self.clock.now += 10
        return self.cloud.server(uuid).host

    def with_group(self, policy: str, *hosts: str, **group: Any) -> None:
        """A group whose members are on *hosts*; c has most memory, b least."""
        members = [f"m{number}" for number in range(len(hosts))]
        self.cloud = self.make(
            hosts=[host("a"), host("b", memory_mb=9000), host("c", memory_mb=90000)],
            servers=[server(*each, vcpus=1) for each in zip(members, hosts, strict=True)],
            server_groups=[{"uuid": "g", "policy": policy, "members": members, **group}],
        )

    def test_the_scheduler_keeps_members_of_a_group_apart(self) -> None:
        self.with_group("anti-affinity", "a", "c")
        self.assertIn("has 1 of group g already", self.refusal("m0", "c"))
        self.assertEqual("b", self.picked("m0"))
        self.with_group("anti-affinity", "a", "c", max_server_per_host=2)
        self.assertEqual("c", self.picked("m0"))

    def test_a_member_that_moves_counts_on_both_hosts(self) -> None:
        self.with_group("anti-affinity", "a", "b")
        self.cloud.live_migrate("m0", "c")
        self.assertIn("already", self.refusal("m1", "c"))
        self.assertIn("already", self.refusal("m1", "a"))

    def test_no_member_leaves_an_affinity_group(self) -> None:
        self.with_group("affinity", "a", "a")
        self.assertIn("would leave its group", self.refusal("m0", "c"))
        self.assertIn("No host", self.refusal("m0", None))

    def test_the_scheduler_follows_wishes_of_soft_groups(self) -> None:
        self.with_group("soft-anti-affinity", "a", "c")
        self.assertEqual("b", self.picked("m0"))
        self.with_group("soft-affinity", "a", "b")
        self.assertEqual("b", self.picked("m0"))
        self.with_group("soft-anti-affinity", "a", "c", "b")
        self.assertEqual("c", self.picked("m0"))

    def test_what_is_not_there(self) -> None:
        self.assertRaises(NotFound, self.cloud.server, "nothing")
        self.assertRaises(NotFound, self.cloud.host, "nothing")
        self.assertRaises(NotFound, self.cloud.confirm_resize, "nothing")
        self.assertRaises(NotFound, self.cloud.live_migrate, "nothing", "b")
        for metric in (self.cloud.loads.host_metric, self.cloud.loads.server_metric):
            self.assertRaises(NotFound, metric, "host_mood", [], 1, "mean", 1)
        self.assertTrue(self.cloud.loads.available("host_power"))
        self.assertFalse(self.cloud.loads.available("host_mood"))

    def test_a_resource_without_data_is_absent(self) -> None:
        measured = self.cloud.loads.server_metric(
            "instance_ram_usage", self.cloud.servers(), 1, "mean", 1
        )
        self.assertEqual({"s2": 1000}, measured)
        self.assertEqual(
            {}, self.cloud.loads.host_metric("host_power", self.cloud.hosts(), 1, "mean", 1)
        )

    def test_memory_of_a_host_is_what_its_servers_use_and_its_own(self) -> None:
        used = self.cloud.loads.host_metric("host_ram_usage", self.cloud.hosts(), 1, "mean", 1)
        self.assertEqual((OWN_MEMORY_MB + 1000) * 1024, used["uuid-a"])
        self.assertEqual(OWN_MEMORY_MB * 1024, used["uuid-b"])

    def test_a_value_by_period_is_that_of_the_period(self) -> None:
        by_period = {"s1": {"instance_l3_cache_usage": {"100": 1, "200": 2}}}
        self.cloud = self.make(metrics={"instance": by_period})
        for period, expected in ((100, {"s1": 1}), (200, {"s1": 2}), (300, {})):
            self.assertEqual(
                expected,
                self.cloud.loads.server_metric(
                    "instance_l3_cache_usage", self.cloud.servers(), period, "mean", 1
                ),
            )

    def test_a_surge_comes_and_goes(self) -> None:
        self.cloud = self.make(
            surges=[{"after_seconds": 5, "seconds": 2, "hosts": ["a"], "cpu": 100}]
        )
        loads = []
        for _ in range(8):
            loads.append(self.cpu()["uuid-a"])
            self.clock.now += 1
        self.assertEqual([40, 40, 40, 40, 40, 80, 80, 40], loads)

    def resizable(self, *servers: dict[str, Any], **content: Any) -> None:
        flavors = [
            {"id": "1", "name": "small", "vcpus": 4, "memory_mb": 4000, "disk_gb": 40},
            {"id": "2", "name": "large", "vcpus": 6, "memory_mb": 4000, "disk_gb": 40},
        ]
        self.cloud = self.make(servers=servers, flavors=flavors, **content)

    def test_a_resize_stays_where_both_sizes_fit(self) -> None:
        self.resizable(server("s1", "a", flavor="small"))
        self.cloud.resize("s1", "2")
        self.assertEqual(("a", "active", "resize_migrating"), self.place())
        self.clock.now += 10
        self.assertEqual(("a", "resized", None), self.place())
        self.assertEqual(6, self.cloud.server("s1").vcpus)
        self.cloud.confirm_resize("s1")
        self.assertEqual(("a", "active", None), self.place())

    def test_a_resize_that_needs_room_moves(self) -> None:
        self.resizable(server("s1", "a", flavor="small"), server("s2", "a", vcpus=1))
        self.cloud.resize("s1", "large")
        self.clock.now += 10
        self.assertEqual("b", self.place()[0])

    def test_an_unconfirmed_resize_claims_both_sizes(self) -> None:
        self.resizable(
            server("s1", "a", flavor="small"), server("s2", "b", vcpus=1, memory_mb=1, disk_gb=1)
        )
        self.cloud.resize("s1", "large")
        for _ in range(2):
            self.assertIn("host a has 0 left", self.refusal("s2", "a"))
            self.clock.now += 10
        self.cloud.confirm_resize("s1")
        self.assertEqual("", self.refusal("s2", "a"))

    def test_a_resize_without_room_is_refused(self) -> None:
        self.resizable(server("s1", "a", flavor="small"), hosts=[host("a", vcpus=9)])
        self.assertRaises(CloudRefused, self.cloud.resize, "s1", "2")
        self.assertRaises(CloudRefused, self.cloud.resize, "s1", "small")
        self.assertRaises(NotFound, self.cloud.resize, "s1", "none")

    def test_a_resize_that_is_set_to_fail_leaves_the_server_as_it_was(self) -> None:
        self.resizable(server("s1", "a", flavor="small", migration_fails=True))
        self.cloud.resize("s1", "2")
        self.clock.now += 10
        self.assertEqual(("a", "active", None), self.place())
        self.assertEqual("small", self.cloud.server("s1").flavor)

    def test_stop_and_start_take_their_time(self) -> None:
        self.cloud = self.make(switch_seconds=5)
        for switch, task_state, state in (
            (self.cloud.stop, "powering-off", "stopped"),
            (self.cloud.start, "powering-on", "active"),
        ):
            before = self.cloud.server("s1").state
            switch("s1")
            self.clock.now += 4
            self.assertEqual(("a", before, task_state), self.place())
            self.assertRaises(CloudRefused, switch, "s1")
            self.clock.now += 1
            self.assertEqual(("a", state, None), self.place())
            self.assertRaises(CloudRefused, switch, "s1")

    def test_a_saved_cloud_goes_on_where_it_was(self) -> None:
        path = os.path.join(self.directory, "cloud.json")
        three = [server("s1", "a"), server("s2", "a"), server("s3", "a", vcpus=1)]
        self.cloud = self.make(servers=three)
        self.cloud.live_migrate("s1", "b")
        self.cloud.cold_migrate("s2", "b")
        self.clock.now += 3
        self.cloud.stop("s3")
        self.clock.now += 1
        self.cloud.save(path)
        before = self.cloud.to_dict()

        self.clock.now = 50.0
        self.cloud = self.make(servers=three)
        self.cloud.resume(path)

        self.assertEqual(before, self.cloud.to_dict())
        self.assertEqual(0.4, self.cloud.to_dict()["migrations"][0]["progress"])
        self.clock.now += 6
        self.assertEqual(("b", "active", None), self.place("s1"))
        self.assertEqual(("b", "resized", None), self.place("s2"))
        self.assertEqual(("a", "stopped", None), self.place("s3"))
        self.cloud.save(path)
        self.cloud = self.make(servers=three)
        self.cloud.resume(path)
        self.cloud.confirm_resize("s2")
        self.assertEqual(("b", "active", None), self.place("s2"))

    def test_a_state_of_something_else_is_refused(self) -> None:
        path = os.path.join(self.directory, "cloud.json")
        for text in ("[]", "{", '{"elapsed": 1}'):
            with open(path, "w") as file:
                file.write(text)
            self.assertRaises(Invalid, self.cloud.resume, path)

    def test_configuration_names_the_cloud(self) -> None:
        self.assertFalse(clouds.connect(self.conf).notifies)
        self.assertRaises(NotConfigured, lambda: clouds.connect(self.conf).compute)
        self.conf.set_override("simulation", example_file(), group="cloud")
        self.assertEqual(40, len(clouds.connect(self.conf).compute.hosts()))

    def test_the_example_gets_too_hot_and_too_uneven(self) -> None:
        self.cloud = SimulatedCloud.from_file(example_file(), self.clock)
        self.assertLess(max(self.cpu().values()), 80)
        self.clock.now += 10
        self.assertGreater(max(self.cpu().values()), 80)
        self.assertGreater(statistics.pstdev(self.cpu().values()), 10)
