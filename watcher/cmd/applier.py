# SPDX-License-Identifier: Apache-2.0
"""watcher-applier: carries action plans out."""

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

    name = "watcher-applier"

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id)
        from watcher import cloud, rpc
        from watcher.applier.service import Applier
        from watcher.db.session import Database
        from watcher.notifications import Notifications
        from watcher.rpc import doorbell

        self._stopping = threading.Event()
        transport = rpc.transport(conf)
        self._database = database = Database(conf)
        self._notifications = Notifications(conf, database)
        self._applier = Applier(
            conf,
            database,
            cloud.connect(conf),
            doorbell.decision_engine(conf, transport),
            self._notifications,
            transport,
        )

    def run(self) -> None:
        self._database.wait(self._stopping)
        if not self._stopping.is_set():
            self._applier.start()

    def terminate(self) -> None:
        self._stopping.set()
        self._applier.stop()
        self._notifications.stop()


def main() -> None:
    conf = watcher_conf.load(sys.argv[1:])
    log.setup(conf, "python-watcher")
    manager = cotyledon.ServiceManager()
    manager.add(Process, args=(conf,))
    oslo_config_glue.setup(manager, conf)
    manager.run()
