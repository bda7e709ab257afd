# SPDX-License-Identifier: Apache-2.0
"""Requests to nova and placement, against emulated ones."""

import contextlib
import datetime
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from watcher.cloud.compute import (
    Flavor,
)
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
from watcher.tests.emulated.placement import inventory
from watcher.tests.emulated.server import Fault
from watcher.tests.functional.compute_stories import ComputeTestCase


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
