# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
from unittest import mock

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud import Cloud
from watcher.cloud.block_storage import Pool, StorageNode, Volume, VolumeChanges
from watcher.common.errors import CloudUnavailable
from watcher.decision_engine.collectors import storage as storage_collector
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.collectors.storage import StorageCollector
from watcher.rpc.listener import CloudNotification
from watcher.tests.base import TestCase

POOLS = ("node@a#p", "node@b#p")


class TinyCinder:
    """Volumes that come, change and go; what it is asked is noted."""

    def __init__(self):
        self.now = datetime.datetime(2026, 1, 1)
        self.known: dict[str, Volume] = {}
        self.touched: dict[str, datetime.datetime] = {}
        self.asked: list[str] = []
        self.tells_changes, self.fails = True, False
        self.deleted: list[str] = []

    def put(self, uuid, **changes):
        old = self.known.get(uuid, Volume(uuid, uuid, 1, POOLS[0]))
        self.known[uuid] = dataclasses.replace(old, **changes)
        self.touched[uuid] = self.now

    def delete(self, uuid):
        if self.known.pop(uuid, None):
            self.deleted.append(uuid)

    def notification(self, uuid):
        payload = {"volume_id": uuid, "status": "deleting", "tenant_id": "p"}
        return CloudNotification("volume.node@a", "volume.delete.end", payload, self.now)

    # BlockStorage

    def nodes(self):
        return [StorageNode("node@a"), StorageNode("node@b")]

    def pools(self):
        return [Pool(name) for name in POOLS]

    def volume_types(self):
        return []

    def volumes_with_snapshots(self):
        return []

    def volumes(self):
        if self.fails:
            raise CloudUnavailable("cinder does not answer.")
        self.asked.append("all")
        return list(self.known.values())

    def volume_changes(self, since):
        self.asked.append("changes")
        if not self.tells_changes:
            return None
        changed = [self.known[uuid] for uuid in self.known if self.touched[uuid] >= since]
        return VolumeChanges(changed, len(self.known))


class StorageCollectorTest(TestCase):
    def setUp(self):
        super().setUp()
        self.cinder = TinyCinder()
        for uuid in ("v1", "v2", "v3"):
            self.cinder.put(uuid)
        self.useFixture(
            fixtures.MonkeyPatch("oslo_utils.timeutils.utcnow", lambda: self.cinder.now)
        )
        Collectors(self.conf, Cloud())  # registers the options
        self.start()

    def start(self, many=0):
        patch = mock.patch.object(storage_collector, "MANY", many)
        patch.start()
        self.addCleanup(patch.stop)
        cloud = Cloud(block_storage_service=self.cinder)
        self.collector = StorageCollector(self.conf, cloud)
        self.collector.snapshot()
        self.cinder.asked.clear()

    def pass_time(self, seconds=600):
        self.cinder.now += datetime.timedelta(seconds=seconds)

    def seen(self):
        """Uuid to pool of each volume in a new snapshot, and what that asked for."""
        self.cinder.asked.clear()
        model = self.collector.snapshot()
        places = {
            volume.uuid: model.pools[pool].name
            for volume, pool in zip(model.volumes, model.placement, strict=True)
        }
        return places, self.cinder.asked

    def test_changes_alone_are_asked_for(self):
        self.pass_time()
        self.cinder.put("v2", host=POOLS[1])
        self.cinder.put("v4")
        places, asked = self.seen()
        self.assertEqual(
            ({"v1": POOLS[0], "v2": POOLS[1], "v3": POOLS[0], "v4": POOLS[0]}, ["changes"]),
            (places, asked),
        )
        self.assertEqual((places, ["changes"]), self.seen())

    def test_a_notified_deletion_needs_no_list_of_all_volumes(self):
        self.cinder.delete("v2")
        self.collector.notify(self.cinder.notification("v2"))
        self.assertEqual(({"v1": POOLS[0], "v3": POOLS[0]}, ["changes"]), self.seen())

    def test_a_deletion_without_notification_is_found(self):
        self.cinder.delete("v2")
        self.assertEqual(({"v1": POOLS[0], "v3": POOLS[0]}, ["changes", "all"]), self.seen())

    def test_other_notifications_are_let_pass(self):
        payload = {"volume_id": "v1"}
        self.collector.notify(
            CloudNotification("volume.node@a", "volume.update.end", payload, self.cinder.now)
        )
        self.assertEqual(3, len(self.seen()[0]))
        self.assertRaises(
            LookupError,
            self.collector.notify,
            CloudNotification("volume.node@a", "volume.delete.end", {}, self.cinder.now),
        )

    def test_all_are_listed_if_changes_are_unknown_or_take_more_requests(self):
        self.cinder.tells_changes = False
        self.assertEqual(["changes", "all"], self.seen()[1])
        self.cinder.tells_changes = True
        self.start(many=3)
        self.assertEqual(["all"], self.seen()[1])

    def test_all_are_listed_after_the_period_and_when_it_is_asked_for(self):
        self.pass_time(3600)
        self.assertEqual(["all"], self.seen()[1])
        self.assertEqual(["changes"], self.seen()[1])
        self.cinder.asked.clear()
        self.collector.sync().result(30)
        self.assertEqual(["all"], self.cinder.asked)

    def test_nothing_is_served_when_reading_fails(self):
        self.cinder.delete("v2")
        self.cinder.fails = True
        self.assertRaises(CloudUnavailable, self.collector.snapshot)
        self.cinder.fails = False
        self.assertEqual({"v1", "v3"}, self.seen()[0].keys())

    def test_a_list_that_still_has_a_deleted_volume(self):
        """Its answer was under way when the notification came."""
        real = self.cinder.volumes

        def volumes():
            answer = real()
            self.cinder.delete("v2")
            self.collector.notify(self.cinder.notification("v2"))
            return answer

        self.cinder.volumes = volumes
        self.collector.sync().result(30)
        self.cinder.volumes = real
        self.assertEqual(({"v1": POOLS[0], "v3": POOLS[0]}, ["changes"]), self.seen())

    EVENT = st.tuples(
        st.sampled_from(["put", "move", "delete", "look", "notify", "wait"]), st.integers(0, 5)
    )

    @settings(max_examples=80, deadline=None)
    @given(st.lists(EVENT, max_size=25))
    def test_whatever_happens_a_snapshot_is_as_if_all_had_been_read(self, events):
        """Notifications come late, in any order, or never."""
        self.cinder.__init__()
        self.start()
        used: set[str] = set()
        for kind, number in [*events, ("look", 0)]:
            uuid = f"v{number}"
            if kind == "put" and (uuid in self.cinder.known or uuid not in used):
                used.add(uuid)
                self.cinder.put(uuid, status="in-use" if number % 2 else "available")
            elif kind == "move" and uuid in self.cinder.known:
                self.cinder.put(uuid, host=POOLS[number % 2])
            elif kind == "delete":
                self.cinder.delete(uuid)
            elif kind == "notify" and self.cinder.deleted:
                deleted = self.cinder.deleted[number % len(self.cinder.deleted)]
                self.collector.notify(self.cinder.notification(deleted))
            elif kind == "wait":
                self.pass_time(50 * number)
            else:
                expected = sorted(self.cinder.known.values(), key=lambda each: each.uuid)
                self.assertEqual(expected, list(self.collector.snapshot().volumes))
