# SPDX-License-Identifier: Apache-2.0
"""Limits how many actions of all plans an applier executes at once."""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping

from watcher.applier.interrupts import Interrupts


@dataclasses.dataclass(eq=False)
class _Waiter:
    action_type: str
    interrupts: Interrupts
    admitted: bool = False


class ConcurrencyLimits:
    """Limits actions: at most *in_all* at once (0: no limit), and *by_type* of a type.

    Actions begin in the order of their arrival.  But an action that waits because of its type does
    not delay actions of other types.
    """

    def __init__(self, in_all: int, by_type: Mapping[str, int]) -> None:
        self._in_all, self._by_type = in_all, by_type
        self._lock = threading.Lock()
        self._taken: collections.Counter[str] = collections.Counter()
        self._queue: list[_Waiter] = []

    @property
    def waiting(self) -> int:
        """How many actions wait for a place."""
        with self._lock:
            return len(self._queue)

    @contextlib.contextmanager
    def place(self, action_type: str, interrupts: Interrupts) -> Iterator[bool]:
        """Wait for a place; False, without one, if an interrupt comes first."""
        waiter = _Waiter(action_type, interrupts)
        with self._lock:
            self._queue.append(waiter)
            self._admit()
        interrupts.wait_for(lambda: waiter.admitted)
        try:
            yield waiter.admitted
        finally:
            self._leave(waiter)

    @contextlib.contextmanager
    def extra_place(self, action_type: str) -> Iterator[None]:
        """A place at once, beyond the limits, for actions that run already or must not wait."""
        with self._lock:
            self._taken[action_type] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[action_type] -= 1
                self._admit()

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter.admitted:
                self._taken[waiter.action_type] -= 1
                self._admit()
            else:
                self._queue.remove(waiter)

    def _admit(self) -> None:
        """Give free places to those that wait.  The caller holds the lock."""
        left = []
        for waiter in self._queue:
            if self._has_room(waiter.action_type):
                self._taken[waiter.action_type] += 1
                waiter.admitted = True
                waiter.interrupts.reevaluate()
            else:
                left.append(waiter)
        self._queue = left

    def _has_room(self, action_type: str) -> bool:
        if self._in_all and self._taken.total() >= self._in_all:
            return False
        limit = self._by_type.get(action_type)
        return limit is None or self._taken[action_type] < limit
