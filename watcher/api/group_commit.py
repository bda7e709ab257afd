# SPDX-License-Identifier: Apache-2.0
"""Group commit: what threads want done in the database at the same time is done in one batch."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from oslo_db.exception import DBConnectionError

from watcher.db.timeouts import LockWait

Q = TypeVar("Q")
A = TypeVar("A")

MAX_WAIT: Final = 0.1
"""Seconds that a batch waits for the one before it."""

_GATHERING: Final = 0.0003
"""Seconds: a fraction of what a call costs, in which its cost is shared by a few more."""


class GroupCommit(Generic[Q, A]):
    """Does what several threads ask for with one call of *work*, which is a transaction.

    It is called in the thread of one of them, one batch after the other, with the items of all
    who have come since the last batch began, and gives an answer for each.  A thread that is
    alone waits for nobody; after a crowd a batch waits a moment for more of it.  Nobody gets an
    answer that was looked for before he asked.

    A batch that has waited *max_wait* for the one before goes ahead: whatever holds that one
    up does not hold up others.  When a batch fails, which may be the fault of one item, each
    is tried alone, in its own thread, unless the database is away for all.
    """

    def __init__(
        self, work: Callable[[Sequence[Q]], Sequence[A]], max_wait: float = MAX_WAIT
    ) -> None:
        self._work, self._max_wait = work, max_wait
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next: _Batch[Q, A] | None = None
        self._crowd = False

    def submit(self, item: Q) -> A:
        with self._lock:
            batch, leads = self._next, self._next is None
            if batch is None:
                batch = self._next = _Batch()
            place = len(batch.items)
            batch.items.append(item)
        if leads:
            turn = self._begin()
            try:
                batch.answers.set_result(self._work(batch.items))
            except BaseException as error:
                batch.fail(error)
            finally:
                turn.release()
        answers = batch.answers.result()
        return self._work([item])[0] if answers is None else answers[place]

    def _begin(self) -> threading.Lock:
        """Wait for the batch before, and close the next one; what to release at its end."""
        turn = self._turn
        in_turn = turn.acquire(timeout=self._max_wait)
        if in_turn and self._crowd:
            # Those who have just been answered are about to ask again.
            time.sleep(_GATHERING)
        with self._lock:
            if not in_turn:
                # Those that follow wait for this batch, and no more for the one that hangs.
                turn = self._turn = threading.Lock()
                turn.acquire()
            batch, self._next = self._next, None
            self._crowd = batch is not None and len(batch.items) > 1
        return turn


class _Batch(Generic[Q, A]):
    def __init__(self) -> None:
        self.items: list[Q] = []
        self.answers: Future[Sequence[A] | None] = Future()
        """None if each is to try alone."""

    def fail(self, error: BaseException) -> None:
        away = isinstance(error, DBConnectionError) and not isinstance(error, LockWait)
        if len(self.items) == 1 or away or not isinstance(error, Exception):
            self.answers.set_exception(error)
        else:
            self.answers.set_result(None)
