# SPDX-License-Identifier: Apache-2.0
"""Keeps the compute model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.common.errors import ModelUnavailable
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.decision_engine.collectors.reading import ReadingCollector

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

LOG = log.getLogger(__name__)


class ComputeCollector(ReadingCollector[None]):
    """Reads everything once, and after that only changes."""

    NAME = "compute"
    DELETION = "instance.delete.end"

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        super().__init__(conf, cloud)
        self._known = ComputeReadings()

    def snapshot(self) -> ComputeModel:
        self._result()
        with self._lock:
            return self._known.model()

    def _deleted_in(self, payload: Any) -> str:
        return payload["nova_object.data"]["uuid"]

    def _read(self) -> None:
        self._read_hosts_and_servers()
        with self._lock:
            doubted = self._known.doubted()
        if doubted:
            used = self._cloud.compute.used(doubted)
            with self._lock:
                self._known.read_used(used)

    def _read_hosts_and_servers(self) -> None:
        began, compute = timeutils.utcnow(), self._cloud.compute
        since = self._changes_since(began)
        with ThreadPoolExecutor(2, "compute model") as pool:
            asked = pool.submit(compute.server_groups)
            changes = pool.submit(compute.changed_servers, since) if since else None
            hosts, groups = compute.hosts(), asked.result()
        if not hosts:
            raise ModelUnavailable("The cloud shows no compute host.")
        if changes is not None:
            changed = changes.result()
            with self._lock:
                if self._known.read_changes(hosts, changed, groups, self._deleted):
                    return
            LOG.info("What has changed in the cloud does not fit what is known; reading it all")
        servers = compute.servers()
        with self._lock:
            self._known.read_all(hosts, servers, groups, self._deleted)
        self._set_all_read(began)
