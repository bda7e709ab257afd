# SPDX-License-Identifier: Apache-2.0
"""cheroot's server, which passes a request to a worker when it has arrived completely."""

import collections
import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from cheroot import server as cheroot_server
from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from oslo_config import cfg
from oslo_log import log

from watcher.api import bodies, receiving
from watcher.api.receiving import BufferedRequest, Incoming

LOG = log.getLogger(__name__)

_MAX_QUEUED: Final = 512
"""Complete requests that wait for a worker; the next one is answered with 503."""

_MAX_KEPT: Final = 128
"""Connections that stay open between two requests; cheroot's default of 10 is too few for a proxy
that keeps its connections."""

_CHECK_INTERVAL: Final = 0.5
"""Seconds between two checks for requests that take too long."""


class ApiServer(wsgi.Server):
    """The API on a port of its own."""

    def __init__(
        self, conf: cfg.ConfigOpts, address: tuple[str, int], application: Any, **options: Any
    ) -> None:
        super().__init__(
            address,
            application,
            numthreads=conf.api.threads,
            max=conf.api.threads,
            accepted_queue_size=_MAX_QUEUED,
            accepted_queue_timeout=0,
            **options,
        )
        self.ConnectionClass = _Connection
        self.keep_alive_conn_limit = _MAX_KEPT
        self.max_request_header_size = receiving.MAX_HEAD
        self.max_request_body_size = bodies.MAX_READ
        self.error_log = _log  # type: ignore[method-assign]
        self._receiver = Receiver(
            super().process_conn, conf.api.request_timeout, conf.webhooks.max_body_size
        )

    def serve(self) -> None:
        self._receiver.start()
        super().serve()

    def process_conn(self, conn: Any) -> None:
        """Receive the next request of a connection."""
        self._receiver.receive(conn)

    def stop(self) -> None:
        super().stop()
        self._receiver.stop()


class NonBlockingTLS(BuiltinSSLAdapter):
    """TLS whose handshake is a part of receiving the request, so that no worker waits for it."""

    def wrap(self, sock: socket.socket) -> tuple[Any, dict[str, Any]]:
        return (
            self.context.wrap_socket(sock, do_handshake_on_connect=False, server_side=True),
            {},
        )


class _Connection(cheroot_server.HTTPConnection):
    truncated = False
    """Whether a part of the request was discarded, so that no other request can follow it."""

    def communicate(self) -> bool:
        return bool(super().communicate()) and not self.truncated


class Receiver:
    """Receives the requests of all connections.

    *deliver* is called with a connection when its whole request has arrived; a request that takes
    longer than *seconds* is refused.  The ``rfile`` of the connection then has the request, with
    its head and at least *max_kept* bytes of its body; the rest of a longer body is discarded.
    """

    def __init__(
        self,
        deliver: Callable[[Any], None],
        seconds: float,
        max_kept: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deliver, self._seconds, self._clock = deliver, seconds, clock
        self._max_kept = max_kept + 2 * receiving.MAX_HEAD
        self._new: collections.deque[Incoming] = collections.deque()
        self._waiting: dict[Incoming, None] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="receiver", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        for incoming in [*self._waiting, *self._new]:
            incoming.connection.close()
        self._waiting.clear()
        self._new.clear()

    def receive(self, connection: Any) -> None:
        """Receive the next request of a connection, and deliver it, at once if it has arrived."""
        rest = connection.rfile.rest() if isinstance(connection.rfile, BufferedRequest) else b""
        connection.socket.settimeout(0)
        incoming = Incoming(connection, rest, self._max_kept, self._clock() + self._seconds)
        if incoming.advance():
            self._end(incoming)
        else:
            self._new.append(incoming)
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    def _loop(self) -> None:
        checked_at = self._clock()
        while not self._stopping:
            try:
                for key, _ in self._selector.select(_CHECK_INTERVAL):
                    self._advance(key.data)
                while self._new:
                    self._add(self._new.popleft())
                now = self._clock()
                if now - checked_at >= _CHECK_INTERVAL:
                    checked_at = now
                    self._expire(now)
            except Exception:  # without this thread the server would answer nothing
                LOG.exception("A request could not be received")

    def _add(self, incoming: Incoming) -> None:
        if len(self._waiting) >= receiving.MAX_CONNECTIONS:
            self._refuse(next(iter(self._waiting)), "503 Service Unavailable")
        self._waiting[incoming] = None
        self._selector.register(incoming.connection.socket, _events(incoming), incoming)

    def _advance(self, incoming: Incoming | None) -> None:
        if incoming is None:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
            return
        if incoming not in self._waiting:
            return
        if incoming.advance():
            self._remove(incoming)
            self._end(incoming)
        else:
            self._selector.modify(incoming.connection.socket, _events(incoming), incoming)
            if incoming.kept > receiving.MAX_HEAD:
                self._make_room()

    def _make_room(self) -> None:
        while sum(each.kept for each in self._waiting) > receiving.MAX_MEMORY:
            self._refuse(max(self._waiting, key=lambda each: each.kept), "503 Service Unavailable")

    def _expire(self, now: float) -> None:
        for incoming in [each for each in self._waiting if each.deadline <= now]:
            if incoming.begun:
                self._refuse(incoming, "408 Request Timeout")
            else:
                self._remove(incoming)
                incoming.connection.close()

    def _refuse(self, incoming: Incoming, status: str, sentence: str = "") -> None:
        LOG.warning(
            "A request of %s was answered with %s after %d bytes of it",
            incoming.connection.remote_addr,
            status,
            incoming.kept,
        )
        self._remove(incoming)
        receiving.refuse(incoming.connection, status, sentence)

    def _remove(self, incoming: Incoming) -> None:
        if incoming not in self._waiting:
            return
        del self._waiting[incoming]
        self._selector.unregister(incoming.connection.socket)

    def _end(self, incoming: Incoming) -> None:
        connection = incoming.connection
        if incoming.gone:
            connection.close()
            return
        if incoming.problem:
            self._refuse(incoming, "400 Bad Request", incoming.problem)
            return
        connection.rfile = BufferedRequest(incoming.data())
        connection.truncated = incoming.truncated
        server = connection.server
        connection.socket.settimeout(server.timeout)
        if isinstance(connection.socket, ssl.SSLSocket) and not connection.ssl_env:
            connection.ssl_env = server.ssl_adapter.get_environ(connection.socket)
        self._deliver(connection)


def _events(incoming: Incoming) -> int:
    return selectors.EVENT_WRITE if incoming.waits_to_write else selectors.EVENT_READ


def _log(msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
    LOG.log(level, "%s", msg, exc_info=traceback)
