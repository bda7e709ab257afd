# SPDX-License-Identifier: Apache-2.0
"""Servers of messages, which start when the broker can be reached."""

import threading
from collections.abc import Callable
from typing import Any, Final

import oslo_messaging
from oslo_log import log

from watcher.common.periodic import jittered

LOG = log.getLogger(__name__)

VERSION: Final = "1.0"
"""The version of the methods of all topics."""

THREADS: Final = 8
"""Threads that handle the messages of a server, unless ``executor_thread_pool_size`` is set.  Most
messages are doorbells, and each thread keeps some memory that it has freed for itself."""

_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row to reach the broker."""
    return jittered(_PAUSES[min(failures, len(_PAUSES)) - 1])


class BackgroundStart:
    """Starts the server that *make* returns, in a thread, again and again until the broker answers.

    So an unreachable broker does not delay the start of the whole service.  *trouble* is the
    beginning of the log messages about that.
    """

    def __init__(self, trouble: str, make: Callable[[], Any]) -> None:
        self._trouble, self._make = trouble, make
        self._server: Any = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._begin, name="rpc", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._server is not None:
            self._server.stop()

    def _begin(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            # A new server each time, because a server whose start failed cannot be started again.
            server = self._make()
            server.conf.set_default("executor_thread_pool_size", THREADS)
            try:
                server.start()
            except Exception as error:  # drivers raise errors of their own
                if not failures:
                    LOG.warning("%s yet: %s", self._trouble, error)
                failures += 1
                self._stopped.wait(pause(failures))
            else:
                if failures:
                    LOG.info("Resolved: %s", self._trouble)
                self._server = server
                return


class RpcServer(BackgroundStart):
    """Answers the casts and calls of one topic with the methods of *endpoint*."""

    def __init__(
        self, transport: oslo_messaging.Transport, topic: str, host: str, endpoint: Any
    ) -> None:
        target = oslo_messaging.Target(topic=topic, server=host, version=VERSION)
        super().__init__(
            f"Messages for {topic} cannot be received",
            lambda: oslo_messaging.get_rpc_server(
                transport, target, [endpoint], executor="threading"
            ),
        )
