# SPDX-License-Identifier: Apache-2.0
"""Each method of the compute driver, on a real nova and placement."""

import datetime
import uuid as uuidlib

from oslo_utils import timeutils

from watcher.common.errors import CloudRefused, NotFound
from watcher.tests.base import wait_for
from watcher.tests.lab.real_cloud import RealCloudTestCase

FLAVOR, LARGER = "lab.tiny", "lab.small"


class TestLooks(RealCloudTestCase):
    def test_the_lists_agree_with_the_single_looks(self) -> None:
        compute = self.compute()
        hosts, servers = compute.hosts(), compute.servers()
        self.assertNotEqual([], hosts)
        for host in hosts:
            self.assertEqual(host, compute.host(host.hostname))
            self.assertGreater(host.vcpus, 0)
            on_it = {server.uuid for server in servers if server.host == host.hostname}
            self.assertLessEqual(on_it, {each.uuid for each in compute.servers_on(host.hostname)})
        for server in servers[:3]:
            self.assertEqual(server.uuid, compute.server(server.uuid).uuid)
        self.assertEqual(
            {host.uuid: host.vcpus for host in hosts},
            {host.uuid: host.vcpus for host in self.compute().hosts()},
        )

    def test_what_is_not_there(self) -> None:
        compute, nobody = self.compute(), str(uuidlib.uuid4())
        error = self.assertRaises(NotFound, compute.server, nobody)
        self.assertIn("req-", str(error))
        self.assertRaises(NotFound, compute.live_migrate, nobody, None)
        self.assertRaises(NotFound, compute.host, "no such host")
        self.assertRaises(NotFound, compute.disable, "no such host", "why not")
        self.assertRaises(NotFound, compute.flavor, "no such flavor")

    def test_flavor_by_id_and_name(self) -> None:
        flavor = self.compute().flavor(FLAVOR)
        self.assertEqual(FLAVOR, flavor.name)
        self.assertEqual(flavor, self.compute().flavor(flavor.id))

    def test_server_groups(self) -> None:
        connection = self.admin()
        group = connection.compute.create_server_group(
            name="watcher-lab", policy="anti-affinity", rules={"max_server_per_host": 2}
        )
        self.addCleanup(connection.compute.delete_server_group, group)
        (found,) = (each for each in self.compute().server_groups() if each.uuid == group.id)
        self.assertEqual(("anti-affinity", 2), (found.policy, found.max_server_per_host))

    def test_extended_attributes(self) -> None:
        self.conf.set_override("enable_extended_attributes", True, group="compute_model")
        self.conf.set_override("api_version", "2.96", group="nova")
        self.assertEqual(
            {server.uuid for server in self.compute().servers()},
            {server.uuid for server in self.compute().servers()},
        )


class TestChanges(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.driver = self.compute()
        self.began = timeutils.utcnow() - datetime.timedelta(seconds=1)
        self.uuid = self.boot(self.driver, "watcher-lab", FLAVOR)

    def elsewhere(self) -> str:
        here = self.driver.server(self.uuid).host
        fit = [host for host in self.driver.hosts() if host.available and host.hostname != here]
        free = {host.hostname: len(self.driver.servers_on(host.hostname)) for host in fit}
        return min(free, key=lambda name: free[name])

    def test_live_migrate_to_a_host_and_anywhere(self) -> None:
        target = self.elsewhere()
        self.driver.live_migrate(self.uuid, target)
        wait_for(lambda: self.driver.server(self.uuid).host == target, "live migration", 120)
        self.at_rest(self.driver, self.uuid)
        self.driver.live_migrate(self.uuid, None)
        wait_for(lambda: self.driver.server(self.uuid).host != target, "live migration", 120)
        self.at_rest(self.driver, self.uuid)

    def test_a_host_that_nova_refuses(self) -> None:
        error = self.assertRaises(CloudRefused, self.driver.live_migrate, self.uuid, "no such host")
        self.assertIn("no such host", str(error))
        self.assertIn("req-", str(error))

    def test_cold_migrate_and_confirm(self) -> None:
        target = self.elsewhere()
        self.driver.cold_migrate(self.uuid, target)
        self.assertEqual(target, self.at_rest(self.driver, self.uuid, "resized").host)
        self.driver.confirm_resize(self.uuid)
        self.assertEqual(target, self.at_rest(self.driver, self.uuid, "active").host)

    def test_resize(self) -> None:
        larger = self.driver.flavor(LARGER)
        self.driver.resize(self.uuid, larger.id)
        self.at_rest(self.driver, self.uuid, "resized")
        self.driver.confirm_resize(self.uuid)
        server = self.at_rest(self.driver, self.uuid, "active")
        self.assertEqual((LARGER, larger.memory_mb), (server.flavor, server.memory_mb))

    def test_stop_and_start(self) -> None:
        self.driver.stop(self.uuid)
        self.at_rest(self.driver, self.uuid, "stopped")
        self.driver.start(self.uuid)
        self.at_rest(self.driver, self.uuid, "active")

    def test_abort_live_migration(self) -> None:
        slow = self.boot(self.driver, "watcher-lab-slow", FLAVOR, **{"lab.migration": "90"})
        here = self.driver.server(slow).host
        self.driver.live_migrate(slow, None)

        def aborted() -> bool:
            try:
                self.driver.abort_live_migration(slow)
            except CloudRefused:  # not begun yet
                return False
            return True

        wait_for(aborted, "a migration to abort", 60)
        self.assertEqual(here, self.at_rest(self.driver, slow).host)
        self.assertRaises(CloudRefused, self.driver.abort_live_migration, slow)

    def test_state_of_a_service(self) -> None:
        host = self.elsewhere()
        self.addCleanup(self.driver.enable, host)
        self.driver.disable(host, "Watcher's tests")
        found = self.driver.host(host)
        self.assertEqual(("disabled", "Watcher's tests"), (found.status, found.disabled_reason))
        self.driver.enable(host)
        found = self.driver.host(host)
        self.assertEqual(("enabled", None), (found.status, found.disabled_reason))

    def test_changed_servers(self) -> None:
        changed = {server.uuid: server for server in self.driver.changed_servers(self.began)}
        self.assertIn(self.uuid, changed)
        self.admin().compute.delete_server(self.uuid)

        def deleted() -> bool:
            changed = {each.uuid: each for each in self.driver.changed_servers(self.began)}
            return changed[self.uuid].state == "deleted"

        wait_for(deleted, "the deletion", 60)
        self.assertNotIn(self.uuid, {server.uuid for server in self.driver.servers()})
