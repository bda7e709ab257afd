# SPDX-License-Identifier: Apache-2.0
"""Work that a service repeats, and pauses that differ a little between processes."""

import random
import threading
from collections.abc import Callable
from typing import Final

from oslo_log import log

LOG = log.getLogger(__name__)

SHARE: Final = 0.1


def jittered(seconds: float) -> float:
    """*seconds*, up to a tenth more or less, so that processes that wait for the same thing do
    not all continue at the same moment."""
    return seconds * random.uniform(1 - SHARE, 1 + SHARE)


class LateThread:
    """A daemon thread that begins when it is first needed.

    It does not begin in a constructor, because a thread does not survive the fork of a server
    that loads the application first.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name, self._work = name, work
        self._thread: threading.Thread | None = None

    def ensure(self) -> None:
        """Begin, unless it has begun.  The caller holds a lock."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait for its end, if it has begun."""
        if self._thread is not None:
            self._thread.join()


class Ticker:
    """Calls *work* at once and then about every *seconds* in a thread, until stopped.

    An exception of *work* is logged, and the next call follows as planned.
    """

    def __init__(self, name: str, work: Callable[[], None], seconds: Callable[[], float]) -> None:
        self._name, self._work, self._seconds = name, work, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _loop(self) -> None:
        while not self._stopped.is_set():
            try:
                self._work()
            except Exception:
                LOG.exception("%s failed; it will be tried again", self._name)
            self._stopped.wait(jittered(self._seconds()))
