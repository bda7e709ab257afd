# SPDX-License-Identifier: Apache-2.0
"""Keeps the compute model."""

from __future__ import annotations

import dataclasses
import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.common.errors import ModelUnavailable
from watcher.decision_engine.collectors import nova_notifications as nova
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.decision_engine.collectors.reading import ReadingCollector
from watcher.rpc.listener import CloudNotification

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

LOG = log.getLogger(__name__)

TRUSTED = datetime.timedelta(seconds=60)
"""How long notifications alone may keep the model that the API shows."""


class ComputeCollector(ReadingCollector[None]):
    """Reads everything once, and after that only changes."""

    NAME = "compute"

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        super().__init__(conf, cloud)
        self._known = ComputeReadings()
        self._failed = False
        """Whether the last reading failed."""

    def snapshot(self) -> ComputeModel:
        self._result()
        return self._model()

    def recent(self) -> ComputeModel:
        """The model that the API shows: a recent one, with notifications applied."""
        with self._lock:
            known = self._known
            trusted = (
                self._cloud.notifies
                and not self._failed
                and known.read_at is not None
                and known.complete
                and timeutils.utcnow() < known.read_at + TRUSTED
            )
        return self._model() if trusted else self.snapshot()

    def notify(self, notification: CloudNotification) -> None:
        # If nova's clock is ahead of ours, the notification would seem younger than later readings.
        sent = min(notification.sent, timeutils.utcnow())
        with self._lock:
            nova.apply(self._known, dataclasses.replace(notification, sent=sent))

    def _model(self) -> ComputeModel:
        with self._lock:
            return self._known.model()

    def _read(self) -> None:
        try:
            self._read_cloud(timeutils.utcnow())
        except Exception:
            self._failed = True
            raise
        self._failed = False

    def _read_cloud(self, began: datetime.datetime) -> None:
        compute, since = self._cloud.compute, self._changes_since(began)
        with ThreadPoolExecutor(2, "compute model") as pool:
            asked = pool.submit(compute.server_groups)
            changes = pool.submit(compute.changed_servers, since) if since else None
            hosts, groups = compute.hosts(), asked.result()
        if not hosts:
            raise ModelUnavailable("The cloud shows no compute host.")
        if changes is not None:
            changed = changes.result()
            with self._lock:
                if self._known.read_changes(began, hosts, changed, groups):
                    return
            LOG.info("What has changed in the cloud does not fit what is known; reading it all")
        servers = compute.servers()
        with self._lock:
            self._known.read_all(began, hosts, servers, groups)
            self._all_read = began
