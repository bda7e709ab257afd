# SPDX-License-Identifier: Apache-2.0
"""watcher-decision-engine: runs audits."""

import sys
import threading

import cotyledon
from cotyledon import oslo_config_glue, types
from oslo_config import cfg
from oslo_log import log

from watcher import conf as watcher_conf


class Process(cotyledon.Service):
    """The process that works; its parent restarts it if it dies.

    What the work needs is imported here, so that the parent stays small.
    """

    name = "watcher-decision-engine"

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id)
        from watcher import cloud, rpc
        from watcher.db.session import Database
        from watcher.decision_engine.service import DecisionEngine
        from watcher.notifications import Notifications
        from watcher.rpc import doorbell

        self._stopping = threading.Event()
        transport = rpc.transport(conf)
        self._conf = conf
        self._database = database = Database(conf)
        self._notifications = Notifications(conf, database)
        self._engine = DecisionEngine(
            conf,
            database,
            cloud.connect(conf),
            doorbell.applier(conf, transport),
            self._notifications,
            transport,
        )

    def run(self) -> None:
        from watcher.cmd import exposure

        self._database.wait(self._stopping)
        if self._stopping.is_set():
            return
        self._engine.start()
        exposure.warn(self._conf)

    def terminate(self) -> None:
        self._stopping.set()
        self._engine.stop()
        self._notifications.stop()


def main() -> None:
    conf = watcher_conf.load(sys.argv[1:])
    log.setup(conf, "python-watcher")
    manager = cotyledon.ServiceManager()
    manager.add(Process, args=(conf,))
    oslo_config_glue.setup(manager, conf)
    manager.run()
