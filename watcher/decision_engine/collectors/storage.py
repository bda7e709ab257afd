# SPDX-License-Identifier: Apache-2.0
"""Keeps the block storage model."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.cloud.block_storage import BlockStorage, Pool, StorageNode, Volume, VolumeType
from watcher.conf.collectors import group
from watcher.decision_engine.collectors.single_flight import SingleFlight
from watcher.rpc.listener import CloudNotification

if TYPE_CHECKING:
    from watcher.model.storage import StorageModel

LOG = log.getLogger(__name__)

OVERLAP = datetime.timedelta(seconds=60)
"""How long before the last reading the requested changes begin, because clocks differ."""

MANY = 3000
"""With more volumes than this, reading the changes takes fewer requests than listing all
volumes."""

_Read = tuple[
    Sequence[StorageNode], Sequence[Pool], Sequence[Volume], Sequence[VolumeType], frozenset[str]
]


class StorageCollector:
    """Reads backends, pools, types and snapshots for each snapshot, and volumes as they change.

    Each model includes a reading that began after the model was requested.  Cinder lists
    new and changed volumes and the number of all; deleted ones are known from its
    notifications.  If the number differs from what is known, all volumes are listed.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        cloud: Cloud,
        clock: Callable[[], datetime.datetime] = timeutils.utcnow,
    ) -> None:
        self._conf, self._cloud, self._clock = conf, cloud, clock
        self._volumes: dict[str, Volume] = {}
        self._read_at: datetime.datetime | None = None
        """When volumes were last read."""
        self._all_read: datetime.datetime | None = None
        """When all volumes were last read; None: they have to be read now."""
        self._gone, self._lock = set[str](), threading.Lock()
        """Volumes that notifications report as deleted; no uuid is ever used again."""
        self._readings: SingleFlight[_Read] = SingleFlight("storage", self._read, clock)

    @property
    def read_at(self) -> datetime.datetime | None:
        return self._readings.read_at

    def snapshot(self) -> StorageModel:
        read = self._readings.result(self._conf.collector.compute_resources_collector_timeout)
        # It imports NumPy, whose memory is not needed before the first model.
        from watcher.model.storage import StorageModel

        return StorageModel.build(*read)

    def sync(self) -> Future[_Read]:
        self._all_read = None
        return self._readings.submit()

    def notify(self, notification: CloudNotification) -> None:
        if notification.event_type == "volume.delete.end":
            with self._lock:
                self._gone.add(notification.payload["volume_id"])

    def _read(self) -> _Read:
        began, storage = self._clock(), self._cloud.block_storage
        nodes, types = storage.nodes(), storage.volume_types()
        self._read_volumes(storage, began)
        snapshots = frozenset(storage.volumes_with_snapshots())
        return nodes, storage.pools(), list(self._volumes.values()), types, snapshots

    def _read_volumes(self, storage: BlockStorage, began: datetime.datetime) -> None:
        since = self._changes_since(began)
        if since is not None:
            changes = storage.volume_changes(since)
            if changes is not None:
                volumes = self._present([*self._volumes.values(), *changes.changed])
                if len(volumes) == changes.total:
                    self._volumes, self._read_at = volumes, began
                    return
                LOG.info("There are %s volumes, not %s; listing all", changes.total, len(volumes))
        with self._lock:
            deleted = set(self._gone)
        self._volumes = self._present(storage.volumes())
        self._read_at = self._all_read = began
        with self._lock:
            self._gone -= deleted

    def _changes_since(self, began: datetime.datetime) -> datetime.datetime | None:
        """The time from which changes are to be read; None: everything is to be read."""
        period = datetime.timedelta(seconds=self._conf[group("storage")].period)
        if self._all_read is None or self._read_at is None or began - self._all_read >= period:
            return None
        return self._read_at - OVERLAP if len(self._volumes) > MANY else None

    def _present(self, volumes: Iterable[Volume]) -> dict[str, Volume]:
        """*volumes* by uuid, the last of each, without those that are gone."""
        found = {volume.uuid: volume for volume in volumes}
        with self._lock:
            for uuid in self._gone:
                found.pop(uuid, None)
        return found
