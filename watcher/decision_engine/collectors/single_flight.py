# SPDX-License-Identifier: Apache-2.0
"""One call of a function for all threads that want its result at the same time."""

import datetime
import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Generic, TypeVar

from oslo_utils import timeutils

from watcher.common.errors import ModelUnavailable

T = TypeVar("T")


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
