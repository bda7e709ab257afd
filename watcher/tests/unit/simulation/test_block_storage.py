# SPDX-License-Identifier: Apache-2.0
import os
from typing import Any

from watcher.cloud.block_storage import Pool, VolumeType
from watcher.common.errors import CloudRefused, Invalid, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

SSD, HDD = "node@ssd#a", "node@hdd#b"
CONTENT: dict[str, Any] = {
    "migration_seconds": 10,
    "types": [
        {"name": "fast", "extra_specs": {"volume_backend_name": "ssd"}},
        {"name": "slow", "extra_specs": {"volume_backend_name": "hdd"}},
        {"name": "nowhere", "extra_specs": {"volume_backend_name": "tape"}},
    ],
    "pools": [
        {"name": SSD, "total_capacity_gb": 100},
        {"name": HDD, "total_capacity_gb": 200, "free_capacity_gb": 30},
        {"name": "node@lazy#c"},
    ],
    "volumes": [
        {"uuid": "v1", "name": "v1", "host": SSD, "size_gb": 25, "volume_type": "fast"},
        {"uuid": "v2", "name": "v2", "host": SSD, "size_gb": 40, "has_snapshots": True},
        {"uuid": "v3", "name": "v3", "host": SSD, "size_gb": 1, "migration_fails": True},
    ],
}


class SimulatedStorageTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.build()

    def build(self, **content: Any) -> None:
        scenario = Scenario.from_dict({"storage": {**CONTENT, **content}})
        self.cloud = SimulatedCloud(scenario, lambda: self.now)
        self.storage = self.cloud.storage

    def free(self) -> dict[str, float | None]:
        return {pool.name: pool.free_capacity_gb for pool in self.storage.pools()}

    def state(self, uuid: str = "v1") -> tuple[str, str, str, str | None]:
        volume = self.storage.volume(uuid)
        return volume.host, volume.volume_type, volume.status, volume.migration_status

    def test_what_there_is(self) -> None:
        self.assertEqual(
            [("node@ssd", "ssd"), ("node@hdd", "hdd"), ("node@lazy", "lazy")],
            [(node.host, node.backend) for node in self.storage.nodes()],
        )
        self.assertEqual({SSD: 34, HDD: 30, "node@lazy#c": None}, self.free())
        self.assertEqual([3, 0, 0], [pool.total_volumes for pool in self.storage.pools()])
        self.assertEqual({"v2"}, set(self.storage.volumes_with_snapshots()))
        self.assertIs(self.storage, self.cloud.cloud.block_storage)
        self.assertFalse(self.storage.has_leftover("v1"))
        self.assertRaises(NotFound, self.storage.volume, "v9")

    def test_a_migration_takes_room_in_both_pools_while_it_goes_on(self) -> None:
        self.storage.migrate("v1", HDD)
        self.now = 9.9
        self.assertEqual((SSD, "fast", "available", "migrating"), self.state())
        self.assertEqual((34, 5), (self.free()[SSD], self.free()[HDD]))
        self.now = 10
        self.assertEqual((HDD, "fast", "available", "success"), self.state())
        self.assertEqual((59, 5), (self.free()[SSD], self.free()[HDD]))

    def test_a_migration_without_room_or_luck_fails(self) -> None:
        self.storage.migrate("v2", HDD)
        self.storage.migrate("v3", HDD)
        self.now = 10
        self.assertEqual((SSD, "", "available", "error"), self.state("v2"))
        self.assertEqual((SSD, "", "available", "error"), self.state("v3"))
        self.assertEqual((34, 30), (self.free()[SSD], self.free()[HDD]))

    def test_a_retype_moves_where_it_has_to(self) -> None:
        self.storage.retype("v1", "slow")
        self.assertEqual((SSD, "fast", "retyping", None), self.state())
        self.now = 10
        self.assertEqual((HDD, "slow", "available", None), self.state())

    def test_a_retype_stays_where_it_can(self) -> None:
        self.storage.retype("v2", "fast")
        self.now = 10
        self.assertEqual((SSD, "fast", "available", None), self.state("v2"))

    def test_a_retype_to_what_no_pool_has_fails(self) -> None:
        self.storage.retype("v1", "nowhere")
        self.now = 10
        self.assertEqual((SSD, "fast", "available", None), self.state())

    def test_what_is_refused(self) -> None:
        self.storage.migrate("v1", HDD)
        for request, what in (
            (lambda: self.storage.retype("v1", "slow"), "busy"),
            (lambda: self.storage.migrate("v2", "x@y#z"), "not found"),
            (lambda: self.storage.migrate("v2", SSD), "already"),
            (lambda: self.storage.retype("v2", "x"), "not found"),
        ):
            self.assertIn(what, str(self.assertRaises(CloudRefused, request)))
        self.now = 10
        refusal = self.assertRaises(CloudRefused, self.storage.retype, "v1", "fast")
        self.assertIn("already", str(refusal))

    def test_a_saved_cloud_goes_on(self) -> None:
        path = os.path.join(self.directory, "state")
        self.storage.migrate("v1", HDD)
        self.now = 4
        self.cloud.save(path)
        self.build()
        self.cloud.resume(path)
        self.now = 9
        self.assertEqual("migrating", self.storage.volume("v1").migration_status)
        self.now = 10
        self.assertEqual(HDD, self.storage.volume("v1").host)

    def test_a_file_that_does_not_fit(self) -> None:
        for storage, what in (
            ([], "mapping"),
            ({"pool": []}, "pool unknown"),
            ({"volumes": [{"name": "v", "host": "x", "size_gb": 1}]}, "not there"),
        ):
            scenario = Scenario.from_dict({"storage": storage})
            self.assertIn(what, str(self.assertRaises(Invalid, SimulatedCloud, scenario)))

    def test_a_cloud_without_storage(self) -> None:
        cloud = SimulatedCloud(Scenario.from_dict({})).cloud
        self.assertRaises(NotConfigured, lambda: cloud.block_storage)


class AcceptsTest(base.TestCase):
    def accepts(self, **specs: str) -> bool:
        pool = Pool(SSD, capabilities={"volume_backend_name": "ssd", "thin": True})
        return pool.accepts(VolumeType("1", "t", specs))

    def test_a_pool_accepts_known_and_unreported_capabilities(self) -> None:
        self.assertTrue(self.accepts())
        self.assertTrue(self.accepts(volume_backend_name="ssd", thin="<is> True", other="x"))
        self.assertFalse(self.accepts(volume_backend_name="hdd"))
        self.assertFalse(self.accepts(thin="<is> False"))
