# SPDX-License-Identifier: Apache-2.0
"""Keeps the compute model."""

from __future__ import annotations

import dataclasses
import datetime
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.common.errors import ModelUnavailable
from watcher.conf.collectors import group
from watcher.decision_engine.collectors import nova_notifications as nova
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.decision_engine.collectors.single_flight import SingleFlight
from watcher.rpc.listener import CloudNotification

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

LOG = log.getLogger(__name__)

OVERLAP = datetime.timedelta(seconds=60)
"""How long before the last reading the requested changes begin: clocks differ, and nova sets
the time of a change a moment before the change is visible."""

TRUSTED = datetime.timedelta(seconds=60)
"""How long notifications alone may keep the model that the API shows."""


class ComputeCollector:
    """Reads everything once, and after that only changes.

    Each snapshot includes a reading that began after the snapshot was requested.  If the
    reading fails there is no snapshot, and the next request reads again.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        cloud: Cloud,
        clock: Callable[[], datetime.datetime] = timeutils.utcnow,
    ) -> None:
        self._conf, self._cloud, self._clock = conf, cloud, clock
        self._known, self._lock = ComputeReadings(), threading.Lock()
        self._all_read: datetime.datetime | None = None
        """When everything was last read; None: it has to be read now."""
        self._failed = False
        """Whether the last reading succeeded."""
        self._readings = SingleFlight("compute", self._read, clock)

    @property
    def read_at(self) -> datetime.datetime | None:
        return self._known.read_at

    def snapshot(self) -> ComputeModel:
        self._readings.result(self._conf.collector.compute_resources_collector_timeout)
        return self._model()

    def recent(self) -> ComputeModel:
        """The model that the API shows: a recent one, with notifications applied."""
        with self._lock:
            known, now = self._known, self._clock()
            trusted = (
                self._cloud.notifies
                and not self._failed
                and known.read_at is not None
                and known.complete
                and now < known.read_at + TRUSTED
            )
        return self._model() if trusted else self.snapshot()

    def sync(self) -> Future[None]:
        self._all_read = None
        return self._readings.submit()

    def notify(self, notification: CloudNotification) -> None:
        # If nova's clock is ahead of ours, the notification would seem younger than later readings.
        heard = dataclasses.replace(notification, sent=min(notification.sent, self._clock()))
        with self._lock:
            nova.apply(self._known, heard)

    def _model(self) -> ComputeModel:
        with self._lock:
            return self._known.model()

    def _read(self) -> None:
        try:
            self._read_cloud(self._clock())
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

    def _changes_since(self, began: datetime.datetime) -> datetime.datetime | None:
        """The time from which changes are to be read; None: everything is to be read."""
        period = datetime.timedelta(seconds=self._conf[group("compute")].period)
        with self._lock:
            read_at = self._known.read_at
        if self._all_read is None or read_at is None or began - self._all_read >= period:
            return None
        return read_at - OVERLAP
