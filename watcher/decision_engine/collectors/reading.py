# SPDX-License-Identifier: Apache-2.0
"""The common part of the collectors of Watcher."""

import datetime
import threading
from concurrent.futures import Future
from typing import ClassVar, Generic

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.conf.collectors import group
from watcher.decision_engine.collectors.single_flight import SingleFlight, T

OVERLAP = datetime.timedelta(seconds=60)
"""How long before the last reading the requested changes begin: clocks differ, and nova sets
the time of a change a moment before the change is visible."""


class ReadingCollector(Generic[T]):
    """Reads the cloud for each snapshot, everything or only what has changed.

    Each snapshot includes a reading that began after the snapshot was requested.  If the
    reading fails there is no snapshot, and the next request reads again.
    """

    NAME: ClassVar[str]

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud
        self._lock = threading.Lock()
        self._all_read: datetime.datetime | None = None
        """When everything was last read; None: it has to be read now."""
        self._readings = SingleFlight(self.NAME, self._read)

    @property
    def read_at(self) -> datetime.datetime | None:
        return self._readings.read_at

    def sync(self) -> Future[T]:
        self._all_read = None
        return self._readings.submit()

    def _read(self) -> T:
        raise NotImplementedError

    def _result(self) -> T:
        """The model of a reading that began after this call."""
        return self._readings.result(self._conf.collector.compute_resources_collector_timeout)

    def _changes_since(self, began: datetime.datetime) -> datetime.datetime | None:
        """The time from which changes are to be read; None: everything is to be read."""
        period = datetime.timedelta(seconds=self._conf[group(self.NAME)].period)
        if self._all_read is None or self.read_at is None or began - self._all_read >= period:
            return None
        return self.read_at - OVERLAP
