# SPDX-License-Identifier: Apache-2.0
"""Serves the metrics over HTTP."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.exc import SQLAlchemyError

from watcher.db.session import Database

LOG = log.getLogger(__name__)

_REQUEST_TIMEOUT = 10
"""Seconds that a client has for its request."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MetricsServer:
    """A server in a thread of its own, if it is enabled.

    It answers one request after the other, so at most one of them reads the database.
    """

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._conf, self._database = conf, database
        self._server: WSGIServer | None = None
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while it does not."""
        return self._server.server_port if self._server else 0

    def start(self) -> None:
        options = self._conf.metrics
        if not options.enabled:
            return
        try:
            self._server = _listen(options.host, options.port)
        except OSError as error:
            LOG.error(
                "No metrics are served: [metrics] host and port: nothing can listen on %s:%d: %s",
                options.host,
                options.port,
                error.strerror,
            )
            return
        self._server.set_app(_application(self._conf, self._database))
        self._thread.start()
        LOG.info("Metrics are served on %s port %d", options.host, self.port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _serve(self) -> None:
        assert self._server is not None
        self._server.serve_forever(poll_interval=0.1)


def _application(conf: cfg.ConfigOpts, database: Database) -> Application:
    # Imported here, because only a process that serves metrics needs the library.
    from prometheus_client import CollectorRegistry, make_wsgi_app

    from watcher.metrics.collector import DatabaseCollector

    registry = CollectorRegistry()
    registry.register(DatabaseCollector(conf, database))
    serve: Application = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return serve(environ, start_response)
        except (DBError, SQLAlchemyError) as error:
            LOG.error("The database does not answer, there are no metrics: %s", error)
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"The database does not answer; the log says why.\n"]

    return application


def _listen(host: str, port: int) -> WSGIServer:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

    class FamilyServer(WSGIServer):
        address_family = family

        def handle_error(self, request: Any, client_address: Any) -> None:
            LOG.debug("A request for metrics was cut short", exc_info=True)

    return FamilyServer((str(address[0]), port), RequestHandler)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class RequestHandler(WSGIRequestHandler):
    timeout = _REQUEST_TIMEOUT

    def setup(self) -> None:
        super().setup()
        # The timeout of the socket is for each read, so a slow client could take longer.
        self._limit = threading.Timer(_REQUEST_TIMEOUT, _shut, (self.connection,))
        self._limit.daemon = True
        self._limit.start()

    def finish(self) -> None:
        self._limit.cancel()
        super().finish()

    def log_message(self, format: str, *arguments: Any) -> None:
        LOG.debug(format, *arguments)
