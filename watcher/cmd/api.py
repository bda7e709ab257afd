# SPDX-License-Identifier: Apache-2.0
"""watcher-api: the API with a server of its own.  ``watcher.wsgi.api`` is for other servers."""

import os
import sys
from collections.abc import Callable
from typing import Any

import cotyledon
from cotyledon import oslo_config_glue, types
from oslo_config import cfg
from oslo_log import log

from watcher import conf as watcher_conf

LOG = log.getLogger(__name__)


class Process(cotyledon.Service):
    """One of the processes that share the port; their parent restarts one that dies.

    What the work needs is imported here, so that the parent stays small.
    """

    name = "watcher-api"

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id)
        from watcher.api.server import PatientTLS, Server

        self._conf = conf
        application, self._settle = wired(conf)
        self._server = Server(
            conf,
            (conf.api.host, conf.api.port),
            application,
            request_queue_size=128,
            reuse_port=_processes(conf) > 1,
        )
        if conf.api.enable_ssl_api:
            self._server.ssl_adapter = PatientTLS(conf.ssl.cert_file, conf.ssl.key_file)

    def run(self) -> None:
        from watcher.cmd import exposure

        self._server.prepare()
        if self.worker_id == 0:
            exposure.warn(self._conf)
        LOG.info("The API listens on %s port %d", *self._server.bind_addr[:2])
        self._server.serve()

    def terminate(self) -> None:
        self._server.stop()
        self._settle()


def wired(conf: cfg.ConfigOpts) -> tuple[Any, Callable[[], None]]:
    """The WSGI application with its collaborators, and what to do when its process ends."""
    from watcher import rpc
    from watcher.api import app
    from watcher.api.flood import Flood
    from watcher.db.session import Database
    from watcher.notifications import Notifications
    from watcher.rpc import doorbell
    from watcher.rpc.questions import Calls

    transport, database = rpc.transport(conf), Database(conf)
    flood = Flood(database)
    application = app.build(
        conf,
        database,
        doorbell.decision_engine(conf, transport),
        doorbell.applier(conf, transport),
        Notifications(conf, database),
        Calls(conf, transport),
        flood,
    )
    return application, flood.stop


def main() -> None:
    conf = watcher_conf.load(sys.argv[1:])
    log.setup(conf, "python-watcher")
    manager = cotyledon.ServiceManager()
    manager.add(Process, workers=_processes(conf), args=(conf,))
    oslo_config_glue.setup(manager, conf)
    manager.run()


def _processes(conf: cfg.ConfigOpts) -> int:
    return conf.api.workers or os.cpu_count() or 1
