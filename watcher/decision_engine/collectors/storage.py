# SPDX-License-Identifier: Apache-2.0
"""Keeps the block storage model."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.cloud.block_storage import BlockStorage, Pool, StorageNode, Volume, VolumeType
from watcher.decision_engine.collectors.reading import ReadingCollector

if TYPE_CHECKING:
    from watcher.model.storage import StorageModel

LOG = log.getLogger(__name__)

MANY = 3000
"""If there are more volumes, reading the changes takes fewer requests than listing all volumes."""

_Read = tuple[
    Sequence[StorageNode], Sequence[Pool], Sequence[Volume], Sequence[VolumeType], frozenset[str]
]


class StorageCollector(ReadingCollector[_Read]):
    """Reads backends, pools, types and snapshots for each snapshot, and volumes as they change.

    Cinder lists new and changed volumes and the number of all; deleted ones are known from
    its notifications.  If the number differs from what is known, all volumes are listed.
    """

    NAME = "storage"
    DELETION = "volume.delete.end"

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        super().__init__(conf, cloud)
        self._volumes: dict[str, Volume] = {}

    def snapshot(self) -> StorageModel:
        read = self._result()
        # It imports NumPy, whose memory is not needed before the first model.
        from watcher.model.storage import StorageModel

        return StorageModel.build(*read)

    def _deleted_in(self, payload: Any) -> str:
        return payload["volume_id"]

    def _read(self) -> _Read:
        began, storage = timeutils.utcnow(), self._cloud.block_storage
        nodes, types = storage.nodes(), storage.volume_types()
        self._read_volumes(storage, began)
        snapshots = frozenset(storage.volumes_with_snapshots())
        return nodes, storage.pools(), list(self._volumes.values()), types, snapshots

    def _read_volumes(self, storage: BlockStorage, began: datetime.datetime) -> None:
        since = self._changes_since(began)
        if since is not None and len(self._volumes) > MANY:
            changes = storage.volume_changes(since)
            if changes is not None:
                volumes = self._present([*self._volumes.values(), *changes.changed])
                if len(volumes) == changes.total:
                    self._volumes = volumes
                    return
                LOG.info("There are %s volumes, not %s; listing all", changes.total, len(volumes))
        self._volumes = self._present(storage.volumes())
        self._set_all_read(began)

    def _present(self, volumes: Iterable[Volume]) -> dict[str, Volume]:
        """*volumes* by uuid, the last of each, without those that were deleted."""
        with self._lock:
            return {each.uuid: each for each in volumes if each.uuid not in self._deleted}
