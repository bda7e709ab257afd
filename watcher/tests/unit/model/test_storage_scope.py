# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.block_storage import Pool, StorageNode, Volume, VolumeType
from watcher.model import storage_scope
from watcher.model.storage import StorageModel
from watcher.tests.base import TestCase

NODES = [
    StorageNode("h1@ssd", "az1"),
    StorageNode("h2@hdd", "az2"),
]
TYPES = [
    VolumeType(name, name, {"volume_backend_name": backend} if backend else {})
    for name, backend in (("fast", "ssd"), ("slow", "hdd"), ("cheap", "hdd"), ("any", ""))
]
POOLS = [Pool("h1@ssd#a"), Pool("h1@ssd#b"), Pool("h2@hdd#c")]
VOLUMES = [
    Volume("v1", "v1", 1, "h1@ssd#a", project_id="p1"),
    Volume("v2", "v2", 1, "h1@ssd#b", project_id="p2"),
    Volume("v3", "v3", 1, "h2@hdd#c", project_id="p1"),
    Volume("v4", "v4", 1, "h2@hdd#c", project_id="p2"),
]
AZ1, AZ2 = ({"availability_zones": [{"name": name}]} for name in ("az1", "az2"))
SLOW = {"volume_types": [{"name": "slow"}]}


class StorageScopeTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = StorageModel.build(NODES, POOLS, VOLUMES, TYPES)

    def seen(self, *rules):
        """(pools, volumes) of the model in a scope, by name."""
        part = storage_scope.apply(self.model, [{"storage": list(rules)}])
        for volume, pool in zip(part.volumes, part.placement, strict=True):
            self.assertEqual(part.pools[pool].name, volume.host)
        self.assertEqual({pool.node for pool in part.pools}, {node.host for node in part.nodes})
        shown = [pool.name for pool in (*part.pools, *part.outside)]
        self.assertEqual([pool.name for pool in POOLS], sorted(shown))
        return (
            "".join(pool.name[-1] for pool in part.pools),
            " ".join(volume.uuid for volume in part.volumes),
        )

    def test_without_a_storage_part_everything_is_seen(self):
        for scope in ([], [{"compute": [AZ1]}], [{"storage": []}]):
            self.assertIs(self.model, storage_scope.apply(self.model, scope))

    def test_backends_by_zone_and_by_type(self):
        self.assertEqual(("ab", "v1 v2"), self.seen(AZ1))
        self.assertEqual(("c", "v3 v4"), self.seen(SLOW))
        self.assertEqual(("abc", "v1 v2 v3 v4"), self.seen(AZ1, SLOW))
        self.assertEqual(("abc", "v1 v2 v3 v4"), self.seen(AZ1 | SLOW))

    def test_a_wildcard_stands_for_all(self):
        for field in ("availability_zones", "volume_types"):
            self.assertEqual("abc", self.seen({field: [{"name": "*"}]})[0])

    def test_a_rule_that_matches_nothing_leaves_nothing(self):
        self.assertEqual(("", ""), self.seen({"volume_types": [{"name": "x"}]}))
        self.assertEqual("c", self.seen({"volume_types": [{"name": "x"}]}, AZ2)[0])

    def test_what_is_excluded_is_gone(self):
        for excluded, expected in (
            ({"storage_pools": [{"name": "h1@ssd#b"}]}, ("ac", "v1 v3 v4")),
            ({"volumes": [{"uuid": "v1"}, {"uuid": "v9"}]}, ("abc", "v2 v3 v4")),
            ({"projects": [{"uuid": "p1"}]}, ("abc", "v2 v4")),
        ):
            self.assertEqual(expected, self.seen({"exclude": [excluded]}))
        self.assertEqual(("a", "v1"), self.seen(AZ1, {"exclude": [excluded_pool("h1@ssd#b")]}))


def excluded_pool(name):
    return {"storage_pools": [{"name": name}]}
