# SPDX-License-Identifier: Apache-2.0
"""Group commit: database work of concurrent threads is done in batches."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from oslo_db.exception import DBConnectionError

from watcher.db.timeouts import LockWait

Q = TypeVar("Q")
A = TypeVar("A")

MAX_WAIT: Final = 0.1
"""Seconds that a batch waits for the previous batch."""

_GATHER_SECONDS: Final = 0.001
"""Seconds that a batch waits for more items: a fraction of the time that a call takes."""


class GroupCommit(Generic[Q, A]):
    """Does the work of several threads with one call of *work*, which is a transaction.

    A batch begins when the previous one has ended, with all items that were submitted meanwhile.
    *work* is called in the thread of its first item and returns one answer for each item.  So an
    answer is always computed after its item was submitted.  A single thread does not wait; after a
    batch of several items, the next one waits a moment for more.

    A batch waits for the previous one for *max_wait* seconds at most, so that a call that hangs
    does not delay others.  When a batch fails, perhaps because of one item, each item is tried
    alone, in its own thread, unless the database cannot be reached.
    """

    def __init__(
        self, work: Callable[[Sequence[Q]], Sequence[A]], max_wait: float = MAX_WAIT
    ) -> None:
        self._work, self._max_wait = work, max_wait
        self._lock = threading.Lock()
        self._busy = threading.Lock()
        """Held while a batch runs."""
        self._next: _Batch[Q, A] | None = None
        self._several = False
        """Whether the last batch had several items."""

    @property
    def pending(self) -> int:
        """The number of items that the next batch has so far."""
        batch = self._next
        return len(batch.items) if batch else 0

    def submit(self, item: Q) -> A:
        with self._lock:
            batch, is_first = self._next, self._next is None
            if batch is None:
                batch = self._next = _Batch()
            place = len(batch.items)
            batch.items.append(item)
        if is_first:
            busy = self._begin()
            try:
                batch.answers = self._work(batch.items)
            except BaseException as error:
                batch.fail(error)
            finally:
                busy.release()
                batch.running.release()
        else:
            with batch.running:
                pass
        if batch.error is not None:
            raise batch.error
        return self._work([item])[0] if batch.answers is None else batch.answers[place]

    def _begin(self) -> threading.Lock:
        """Wait for the previous batch, then let this one take no more items.

        Returns the lock to release when this batch has ended.
        """
        busy = self._busy
        in_order = busy.acquire(timeout=self._max_wait)
        if in_order and self._several:
            # The threads that have just been answered are about to submit again.
            time.sleep(_GATHER_SECONDS)
        with self._lock:
            if not in_order:
                # Later batches wait for this one, and not for the one that hangs.
                busy = self._busy = threading.Lock()
                busy.acquire()
            batch, self._next = self._next, None
            self._several = batch is not None and len(batch.items) > 1
        return busy


class _Batch(Generic[Q, A]):
    def __init__(self) -> None:
        self.items: list[Q] = []
        self.answers: Sequence[A] | None = None
        """None if each item has to be tried alone."""
        self.error: BaseException | None = None
        self.running = threading.Lock()
        """Held until the batch has ended.  Its threads then wake one by one, because all at once
        would take more of the processor."""
        self.running.acquire()

    def fail(self, error: BaseException) -> None:
        unreachable = isinstance(error, DBConnectionError) and not isinstance(error, LockWait)
        if len(self.items) == 1 or unreachable or not isinstance(error, Exception):
            self.error = error
