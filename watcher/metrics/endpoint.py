# SPDX-License-Identifier: Apache-2.0
"""Serves the metrics over HTTP."""

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.exc import SQLAlchemyError

from watcher.db.session import Database

LOG = log.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MetricsServer:
    """The server of prometheus_client, if it is enabled: a thread for each request."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._conf, self._database = conf, database
        self._running: tuple[WSGIServer, Thread] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while it does not."""
        return self._running[0].server_port if self._running else 0

    def start(self) -> None:
        options = self._conf.metrics
        if not options.enabled:
            return
        # Imported here, because only a process that serves metrics needs the library.
        from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

        from watcher.metrics.collector import DatabaseCollector

        registry = CollectorRegistry()
        registry.register(DatabaseCollector(self._conf, self._database))
        try:
            self._running = server, _ = start_http_server(options.port, options.host, registry)
        except OSError as error:
            LOG.error(
                "No metrics are served: [metrics] host and port: nothing can listen on %s:%d: %s",
                options.host,
                options.port,
                error.strerror,
            )
            return
        server.set_app(_without_traceback(make_wsgi_app(registry)))
        LOG.info("Metrics are served on %s port %d", options.host, self.port)

    def stop(self) -> None:
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            server.server_close()
            thread.join()


def _without_traceback(serve: Application) -> Application:
    """An application that answers 503 when the database does not answer."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return serve(environ, start_response)
        except (DBError, SQLAlchemyError) as error:
            LOG.error("The database does not answer, there are no metrics: %s", error)
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"The database does not answer; the log says why.\n"]

    return application
