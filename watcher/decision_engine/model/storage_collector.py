# SPDX-License-Identifier: Apache-2.0
"""Keeps the block storage model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.cloud.block_storage import Pool, StorageNode, Volume, VolumeType
from watcher.decision_engine.model.flights import Flights
from watcher.rpc.listener import Notification

if TYPE_CHECKING:
    from watcher.decision_engine.model.storage import StorageModel


_Read = tuple[
    Sequence[StorageNode], Sequence[Pool], Sequence[Volume], Sequence[VolumeType], frozenset[str]
]


class StorageCollector:
    """Reads everything for each snapshot: five lists."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud
        self._flights: Flights[_Read] = Flights("storage", self._read)

    def snapshot(self) -> StorageModel:
        read = self._flights.land(self._conf.collector.compute_resources_collector_timeout)
        # It brings NumPy, which is not worth its memory before somebody wants a model.
        from watcher.decision_engine.model.storage import StorageModel

        return StorageModel.build(*read)

    def sync(self) -> Future[_Read]:
        return self._flights.board()

    def hear(self, notification: Notification) -> None:
        """There is nothing that a snapshot would not read anyway."""

    def _read(self) -> _Read:
        storage = self._cloud.block_storage
        return (
            storage.nodes(),
            storage.pools(),
            storage.volumes(),
            storage.volume_types(),
            frozenset(storage.volumes_with_snapshots()),
        )
