# SPDX-License-Identifier: Apache-2.0
"""One look at the database for all who ask the same at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Shares each look between those who asked before it began.

    So nobody is told what was so before he asked, and of a flood of questions, however
    many there are, one is being answered while the rest wait together for the next look.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[Hashable, Future[T]] = {}
        self._now: dict[Hashable, Future[T]] = {}

    def get(self, key: Hashable, look: Callable[[], T]) -> T:
        """What *look* gives or raises, the own one or that of another who asks for *key*."""
        with self._lock:
            answer, before = self._next.get(key), self._now.get(key)
            if answer is None:
                mine = self._next[key] = Future()
        if answer is not None:
            return answer.result()
        if before is not None:
            before.exception()  # waits for its end, however that is
        with self._lock:
            self._now[key] = self._next.pop(key)
        try:
            mine.set_result(look())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                if self._now.get(key) is mine:
                    del self._now[key]
        return mine.result()
