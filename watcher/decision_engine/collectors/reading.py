# SPDX-License-Identifier: Apache-2.0
"""The common part of the collectors of Watcher: one reading for all threads that want one."""

import datetime
import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Any, ClassVar, Generic, TypeVar

from oslo_config import cfg
from oslo_utils import timeutils

from watcher.cloud import Cloud
from watcher.common.errors import ModelUnavailable
from watcher.conf.collectors import group
from watcher.rpc.listener import CloudNotification

T = TypeVar("T")

OVERLAP = datetime.timedelta(seconds=60)
"""How long before the last reading the requested changes begin: clocks differ, and nova sets
the time of a change a moment before the change is visible."""


class SingleFlight(Generic[T]):
    """Calls *work* on request, one call at a time, each in a thread of its own.

    A call begins after it was requested, so its result is no older than the request.  All requests
    during a call share the next one.  *name* is that of the model that *work* reads.
    """

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self.read_at: datetime.datetime | None = None
        """When the last call that succeeded began."""
        self._name, self._work = name, work
        self._one_call, self._lock = threading.Lock(), threading.Lock()
        self._next: Future[T] | None = None

    def submit(self) -> Future[T]:
        """Request a call.  Returns the future of its result."""
        with self._lock:
            if self._next is None:
                self._next = Future()
                threading.Thread(
                    target=self._call, args=(self._next,), name=f"{self._name} model", daemon=True
                ).start()
            return self._next

    def result(self, seconds: float) -> T:
        """Request a call and wait for it.  ModelUnavailable if that takes longer than *seconds*."""
        call = self.submit()
        try:
            return call.result(seconds)
        except TimeoutError as error:
            if call.done():  # *work* itself has raised it
                raise
            raise ModelUnavailable(
                f"Reading the {self._name} model takes longer than {seconds:g} s."
            ) from error

    def _call(self, call: Future[T]) -> None:
        with self._one_call:
            with self._lock:
                self._next = None
            began = timeutils.utcnow()
            try:
                result = self._work()
                self.read_at = began
                call.set_result(result)
            except Exception as error:
                call.set_exception(error)


class ReadingCollector(Generic[T]):
    """Reads the cloud for each snapshot, everything or only what has changed.

    Each snapshot includes a reading that began after the snapshot was requested.  If the
    reading fails there is no snapshot, and the next request reads again.

    Lists of what has changed lack what was deleted.  Notifications report that, and nothing else
    is taken from them.
    """

    NAME: ClassVar[str]
    DELETION: ClassVar[str] = ""
    """The type of the notifications that report a deletion."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud
        self._lock = threading.Lock()
        self._all_read: datetime.datetime | None = None
        """When everything was last read; None: it has to be read now."""
        self._deleted: dict[str, datetime.datetime] = {}
        """When a notification reported each uuid as deleted; no uuid is ever used again."""
        self._readings = SingleFlight(self.NAME, self._read)

    @property
    def read_at(self) -> datetime.datetime | None:
        return self._readings.read_at

    def sync(self) -> Future[T]:
        self._all_read = None
        return self._readings.submit()

    def notify(self, notification: CloudNotification) -> None:
        if notification.event_type == self.DELETION:
            with self._lock:
                self._deleted[self._deleted_in(notification.payload)] = timeutils.utcnow()

    def _deleted_in(self, payload: Any) -> str:
        """The uuid in the payload of a deletion."""
        raise NotImplementedError

    def _read(self) -> T:
        raise NotImplementedError

    def _result(self) -> T:
        """The model of a reading that began after this call."""
        return self._readings.result(self._conf.collector.compute_resources_collector_timeout)

    def _changes_since(self, began: datetime.datetime) -> datetime.datetime | None:
        """The time from which changes are to be read; None: everything is to be read."""
        period = datetime.timedelta(seconds=self._conf[group(self.NAME)].period)
        last = self.read_at
        # If the clock was set back since then, nova's may have been, too.
        if self._all_read is None or last is None or not last <= began < self._all_read + period:
            return None
        return last - OVERLAP

    def _set_all_read(self, began: datetime.datetime) -> None:
        """Note that everything has been read, by requests that were sent after *began*."""
        self._all_read = began
        with self._lock:
            self._deleted = {uuid: at for uuid, at in self._deleted.items() if at >= began}
