# SPDX-License-Identifier: Apache-2.0
"""Something that a service does every so many seconds."""

import threading
from collections.abc import Callable

from oslo_log import log

from watcher.common.jitter import jittered

LOG = log.getLogger(__name__)


class Ticker:
    """Calls *work* at once and then about every *seconds* in a thread, until stopped.

    A failure is logged and does not end it: the next call may succeed.
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
