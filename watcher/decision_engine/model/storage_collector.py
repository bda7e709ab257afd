# SPDX-License-Identifier: Apache-2.0
"""Keeps the block storage model."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.decision_engine.model.flights import Flights
from watcher.rpc.listener import Notification

if TYPE_CHECKING:
    from watcher.decision_engine.model.storage import StorageModel


class StorageCollector:
    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud
        self._flights: Flights[StorageModel] = Flights("storage", self._read)

    def snapshot(self) -> StorageModel:
        return self._flights.land(self._conf.collector.compute_resources_collector_timeout)

    def sync(self) -> Future[StorageModel]:
        return self._flights.board()

    def hear(self, notification: Notification) -> None:
        """Each snapshot reads everything."""

    def _read(self) -> StorageModel:
        from watcher.decision_engine.model.storage import StorageModel

        storage = self._cloud.block_storage
        return StorageModel.build(
            storage.nodes(),
            storage.pools(),
            storage.volumes(),
            storage.volume_types(),
            frozenset(storage.volumes_with_snapshots()),
        )
