# SPDX-License-Identifier: Apache-2.0
"""watcher-api: the API with a server of its own.  ``watcher.wsgi.api`` is for other servers."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from cotyledon import types
from oslo_config import cfg
from oslo_log import log

from watcher.cmd import process
from watcher.common.errors import Invalid

LOG = log.getLogger(__name__)


class ApiProcess(process.Process):
    """One of the processes that share the port; their parent restarts one that dies."""

    name = "watcher-api"

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id, conf)
        from watcher.api.server import ApiServer, NonBlockingTLS

        with process.starting(self.name):
            application, self._close = wired(conf)
            self.server = ApiServer(
                conf,
                (conf.api.host, conf.api.port),
                application,
                request_queue_size=128,
                reuse_port=_processes(conf) > 1,
            )
            if conf.api.enable_ssl_api:
                import ssl  # here, because WSGI servers import this module and need none

                certificate = _certificate(conf)
                try:
                    self.server.ssl_adapter = NonBlockingTLS(*certificate)
                except ssl.SSLError as error:
                    raise Invalid(
                        f"[ssl] cert_file, key_file: no certificate with its key, in PEM: {error}"
                    ) from None

    def run(self) -> None:
        from watcher.cmd import open_webhooks

        with process.starting(self.name), self.lock:
            if self.stopping.is_set():
                return
            self.server.prepare()
        LOG.info("The API listens on %s port %d", *self.server.bind_addr[:2])
        if self.worker_id == 0:
            threading.Thread(target=open_webhooks.warn, args=(self.conf,), daemon=True).start()
        self.server.serve()

    def terminate(self) -> None:
        self.stopping.set()
        with self.lock:
            self.server.stop()
        self._close()


def wired(conf: cfg.ConfigOpts) -> tuple[Any, Callable[[], None]]:
    """The WSGI application with its collaborators, and what to do when its process ends.

    Invalid if tokens cannot be checked, WrongSchema if the database has to be upgraded.
    """
    from oslo_db import exception as db_errors

    from watcher import rpc
    from watcher.api import app
    from watcher.api.unrecorded import UnrecordedEvents
    from watcher.db import schema
    from watcher.db.session import Database
    from watcher.notifications import Notifications
    from watcher.rpc import doorbell
    from watcher.rpc.engine_client import EngineClient

    transport, database = rpc.transport(conf), Database(conf)
    if conf.enable_authentication:
        from watcher.api import keystone

        keystone.require(conf)
    # The API starts although the database does not answer; until it does, the API answers with 503.
    with contextlib.suppress(db_errors.DBConnectionError):
        schema.require(database)
    unrecorded = UnrecordedEvents(database)
    application = app.build(
        conf,
        database,
        doorbell.decision_engine(conf, transport),
        doorbell.applier(conf, transport),
        Notifications(conf, database),
        EngineClient(conf, transport),
        unrecorded,
    )
    return application, unrecorded.stop


def main() -> None:
    conf = process.configured(ApiProcess.name)
    with _reserved_port(conf):
        process.supervise(ApiProcess, conf, _processes(conf))


def _processes(conf: cfg.ConfigOpts) -> int:
    return conf.api.workers or os.cpu_count() or 1


def _reserved_port(conf: cfg.ConfigOpts) -> socket.socket:
    """A socket that keeps other services from the port, without listening at it.

    Processes that share a port would also share it with processes of another parent.  Exit if the
    port is in use.
    """
    address = (conf.api.host, conf.api.port)
    family = socket.AF_INET6 if ":" in conf.api.host else socket.AF_INET
    reserved = socket.socket(family)
    try:
        socket.create_server(address, family=family).close()
        if _processes(conf) > 1:  # a single process keeps the others away itself
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                reserved.setsockopt(socket.SOL_SOCKET, option, 1)
            reserved.bind(address)
            # Now a service that does not ask for SO_REUSEPORT cannot have the port.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        sys.exit(f"watcher-api: [api] host, port: nothing can listen on {address}: {error}")
    return reserved


def _certificate(conf: cfg.ConfigOpts) -> tuple[str, str]:
    for option in ("cert_file", "key_file"):
        path = conf.ssl[option]
        if not path or not os.access(path, os.R_OK):
            raise Invalid(f"[ssl] {option}: the file {path} cannot be read.")
    return conf.ssl.cert_file, conf.ssl.key_file
