# SPDX-License-Identifier: Apache-2.0
"""Work that those who want it at the same time share."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Generic, TypeVar

from watcher.common.errors import ModelUnavailable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls *work* for whoever boards, one call at a time, each in a thread of its own.

    A passenger's flight begins after boarding: what it brings is no older than
    the wish for it.  All who board while one is under way share the next.  *name*
    is the model's that is read.
    """

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._name, self._work = name, work
        self._runway = threading.Lock()
        self._lock = threading.Lock()
        self._next: Future[T] | None = None

    def board(self) -> Future[T]:
        """What *work* will return, or raise."""
        with self._lock:
            if self._next is None:
                self._next = Future()
                threading.Thread(
                    target=self._fly, args=(self._next,), name=f"{self._name} model", daemon=True
                ).start()
            return self._next

    def land(self, seconds: float) -> T:
        """Board, and wait.  ModelUnavailable if it takes longer than *seconds*."""
        flight = self.board()
        try:
            return flight.result(seconds)
        except TimeoutError as error:
            if flight.done():  # it was the work's own
                raise
            raise ModelUnavailable(
                f"Reading the {self._name} model takes longer than {seconds:g} s."
            ) from error

    def _fly(self, flight: Future[T]) -> None:
        with self._runway:
            with self._lock:
                self._next = None
            try:
                flight.set_result(self._work())
            except Exception as error:
                flight.set_exception(error)
