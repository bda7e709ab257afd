# SPDX-License-Identifier: Apache-2.0
"""The block storage driver against an emulated cinder."""

import datetime
import uuid as uuidlib
from collections.abc import Callable
from typing import Any

from watcher.applier.actions.base import ActionTools
from watcher.applier.actions.volume_migrate import VolumeMigrate
from watcher.cloud.block_storage import Attachment
from watcher.cloud.openstack import block_storage
from watcher.cmd import cloud as clouds
from watcher.common.errors import CloudRefused, CloudUnavailable, NotConfigured, NotFound
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.simulation.block_storage import SimulatedStorage
from watcher.tests import base
from watcher.tests.emulated import cinder, keystone
from watcher.tests.emulated.server import EmulatedServer, Fault

SSD, HDD = "node@ssd#a", "node@hdd#b"
VOLUME = str(uuidlib.UUID(int=1))


def content(volumes: int = 0) -> dict[str, Any]:
    data = {
        "uuid": VOLUME,
        "name": "data",
        "host": SSD,
        "size_gb": 25,
        "status": "in-use",
        "volume_type": "fast",
        "project_id": "p",
        "bootable": True,
        "attachments": [{"server_id": "s", "attachment_id": "a"}],
        "metadata": {"k": "v"},
        "created": datetime.datetime(2026, 1, 2, 3, 4, 5, 600000),
        "migration_status": "success",
        "has_snapshots": True,
    }
    return {
        "nodes": [{"host": "node@ssd", "zone": "az1", "status": "disabled", "state": "down"}],
        "types": [
            {"id": "1", "name": "fast", "extra_specs": {"volume_backend_name": "ssd"}},
            {"id": "2", "name": "slow", "extra_specs": {"volume_backend_name": "hdd"}},
        ],
        "pools": [
            {"name": SSD, "total_capacity_gb": 100, "max_over_subscription_ratio": 20.0},
            {"name": HDD, "total_capacity_gb": 200},
            {"name": "node@lazy#c", "capabilities": {"max_over_subscription_ratio": "auto"}},
        ],
        "volumes": [
            data,
            {"uuid": str(uuidlib.UUID(int=2)), "name": "", "host": "", "size_gb": 1},
            *(
                {"uuid": str(uuidlib.UUID(int=9 + number)), "name": "v", "host": SSD, "size_gb": 0}
                for number in range(volumes)
            ),
        ],
    }


class CinderTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.serve()

    def serve(self, volumes: int = 0) -> None:
        self.simulated = SimulatedStorage(content(volumes), lambda: self.now)
        self.cinder = cinder.Cinder(self.simulated)
        self.server = self.useFixture(EmulatedServer(self.cinder))
        catalog = {"block-storage": f"{self.server.url}/v3"}
        self.identity = self.useFixture(EmulatedServer(keystone.Keystone(catalog)))
        keystone.configure(self.conf, self.identity.url)
        self.cloud = clouds.connect(self.conf)
        self.storage = self.cloud.block_storage

    def calls(self, do: Callable[[], Any]) -> list[str]:
        """The paths of the requests that *do* makes, but for what finds the endpoint."""
        self.storage.nodes()
        self.server.requests.clear()
        do()
        return [request.path.removeprefix("/v3") for request in self.server.requests]


class TestCinder(CinderTestCase):
    def test_backends(self) -> None:
        node, *others = self.storage.nodes()
        self.assertEqual(
            ("node@ssd", "az1", "disabled", "down"), (node.host, node.zone, node.status, node.state)
        )
        self.assertEqual(["node@hdd", "node@lazy"], [each.host for each in others])

    def test_pools(self) -> None:
        ssd, hdd, _ = self.storage.pools()
        self.assertEqual(
            (SSD, 100, 75, 25, 25, 20.0, 1),
            (
                ssd.name,
                ssd.total_capacity_gb,
                ssd.free_capacity_gb,
                ssd.provisioned_capacity_gb,
                ssd.allocated_capacity_gb,
                ssd.max_over_subscription_ratio,
                ssd.total_volumes,
            ),
        )
        self.assertEqual(
            ("ssd", "a"), tuple(map(ssd.capabilities.get, ("volume_backend_name", "pool_name")))
        )
        self.assertEqual(1.0, hdd.max_over_subscription_ratio)

    def test_capacities_that_are_not_reported_are_none(self) -> None:
        lazy = self.storage.pools()[2]
        self.assertEqual(
            (None, None, 1.0),
            (lazy.total_capacity_gb, lazy.free_capacity_gb, lazy.max_over_subscription_ratio),
        )

    def test_volumes(self) -> None:
        self.assertEqual(self.simulated.volumes(), self.storage.volumes())
        volume = self.storage.volume(VOLUME)
        self.assertEqual((Attachment("s", "a"),), volume.attachments)
        self.assertEqual(datetime.datetime(2026, 1, 2, 3, 4, 5, 600000), volume.created)

    def test_types_and_snapshots(self) -> None:
        self.cinder.page_of_types = 1
        self.assertEqual(self.simulated.volume_types(), self.storage.volume_types())
        self.assertEqual({VOLUME}, self.storage.volumes_with_snapshots())

    def test_a_model_takes_three_requests_and_one_a_page(self) -> None:
        self.serve(volumes=block_storage.PAGE)
        self.cinder.snapshots = [VOLUME] * (2 * block_storage.PAGE + 1)
        collectors = Collectors(self.conf, self.cloud)
        models = []
        calls = self.calls(lambda: models.append(collectors.storage()))
        self.assertEqual(
            {
                "/os-services": 1,
                "/scheduler-stats/get_pools": 1,
                "/types": 1,
                "/volumes/detail": 2,
                "/snapshots": 3,
            },
            {path: calls.count(path) for path in calls},
        )
        self.assertEqual(block_storage.PAGE + 1, len(models[0].volumes))

    def test_a_model_after_that_takes_three_requests_for_all_that_has_changed(self) -> None:
        self.serve(volumes=4 * block_storage.PAGE)
        collectors = Collectors(self.conf, self.cloud)
        collectors.storage()
        self.storage.migrate(VOLUME, HDD)
        self.now = 60
        models = []
        calls = self.calls(lambda: models.append(collectors.storage()))
        self.assertEqual(
            {"/volumes/detail": 2, "/volumes": 1},
            {path: calls.count(path) for path in calls if path.startswith("/volumes")},
        )
        model = models[0]
        self.assertEqual(4 * block_storage.PAGE + 1, len(model.volumes))
        self.assertEqual(HDD, model.pools[model.placement[0]].name)

    def test_what_has_changed(self) -> None:
        since = datetime.datetime(2026, 1, 2)
        changes = self.storage.volume_changes(since)
        self.assertEqual((([VOLUME]), 2), ([each.uuid for each in changes.changed], changes.total))
        changes = self.storage.volume_changes(datetime.datetime(2999, 1, 1))
        self.assertEqual(([], 2), changes)

    def test_a_cinder_that_cannot_list_changes(self) -> None:
        self.cinder.version = "3.59"
        self.assertIsNone(self.storage.volume_changes(datetime.datetime(2026, 1, 2)))

    def test_what_is_not_there(self) -> None:
        error = self.assertRaises(NotFound, self.storage.volume, "x")
        self.assertEqual("cinder answered 404: Volume x was not found. (req-emulated)", str(error))

    def test_what_is_refused(self) -> None:
        error = self.assertRaises(CloudRefused, self.storage.migrate, VOLUME, "x@y#z")
        self.assertIn("Pool x@y#z was not found. (req-emulated)", str(error))

    def test_faults_pass(self) -> None:
        reads = (
            self.storage.nodes,
            self.storage.pools,
            self.storage.volumes,
            self.storage.volume_types,
            self.storage.volumes_with_snapshots,
            lambda: self.storage.volume(VOLUME),
        )
        self.storage.nodes()
        for fault in (Fault.DOWN, Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.WRONG_SHAPE):
            for read in reads:
                with self.subTest(fault.name):
                    self.server.fail(fault)
                    self.assertIn("cinder", str(self.assertRaises(CloudUnavailable, read)))

    def test_a_cloud_without_it(self) -> None:
        catalog: dict[str, str] = {}
        identity = self.useFixture(EmulatedServer(keystone.Keystone(catalog)))
        keystone.configure(self.conf, identity.url)
        storage = clouds.connect(self.conf).block_storage
        self.assertRaises(NotConfigured, storage.nodes)


class TestVolumeMigrate(CinderTestCase):
    """The action, on the driver."""

    def carry_out(self, **parameters: Any) -> None:
        tools = ActionTools(self.cloud, self.conf, self.wait)
        action = VolumeMigrate({"resource_id": VOLUME, **parameters}, tools)
        action.execute()
        action.verify()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 60:
            self.cinder.leftovers.clear()

    def test_a_migration_waits_until_the_old_copy_is_gone(self) -> None:
        self.cinder.leftovers = [str(uuidlib.UUID(int=7)), VOLUME]
        self.carry_out(migration_type="migrate", destination_node=HDD)
        self.assertEqual(HDD, self.storage.volume(VOLUME).host)
        self.assertEqual(70, self.now)

    def test_retype(self) -> None:
        self.carry_out(migration_type="retype", destination_type="slow")
        volume = self.storage.volume(VOLUME)
        self.assertEqual((HDD, "slow", "in-use"), (volume.host, volume.volume_type, volume.status))

    def test_what_is_left_behind_is_found_without_reading_all_volumes(self) -> None:
        self.cinder.leftovers = [VOLUME]
        calls = self.calls(lambda: self.assertTrue(self.storage.has_leftover(VOLUME)))
        self.assertEqual(["/volumes/detail"], calls)
        self.assertEqual("deleting", self.server.requests[-1].args["migration_status"])
        self.assertFalse(self.storage.has_leftover("x"))
