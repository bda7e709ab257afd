# SPDX-License-Identifier: Apache-2.0
"""A service in a process of its own, with a parent that restarts it if it dies."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

import cotyledon
from cotyledon import oslo_config_glue, types
from oslo_config import cfg
from oslo_log import log

from watcher import conf as watcher_conf
from watcher.cloud.openstack.versions import nova_version
from watcher.common.errors import Invalid

if TYPE_CHECKING:
    from watcher.cloud import Cloud
    from watcher.db.session import Database
    from watcher.notifications import Notifications


LOG = log.getLogger(__name__)


class Startable(Protocol):
    """What a process runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Process(cotyledon.Service):
    """The process that works.

    What the work needs is imported here and in ``build``, so that the parent stays small.
    """

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id)
        from watcher import cloud, rpc
        from watcher.db.session import Database
        from watcher.notifications import Notifications

        self.conf = conf
        self.stopping = threading.Event()
        self._database = Database(conf)
        self._notifications = Notifications(conf, self._database)
        self._service = self.build(
            self._database, cloud.connect(conf), self._notifications, rpc.transport(conf)
        )

    def build(
        self, database: Database, cloud: Cloud, notifications: Notifications, transport: Any
    ) -> Startable:
        """The service itself, not started yet."""
        raise NotImplementedError

    def run(self) -> None:
        self._database.wait(self.stopping)
        if not self.stopping.is_set():
            self._service.start()

    def restart(self) -> None:
        """End now, as some threads never would; the parent starts another process."""
        LOG.critical("%s restarts: too many of its threads do not end", self.name)
        self._notifications.stop()
        os._exit(1)

    def terminate(self) -> None:
        self.stopping.set()
        self._service.stop()
        self._notifications.stop()


def main(process: type[Process]) -> None:
    conf = watcher_conf.load(sys.argv[1:])
    try:
        nova_version(conf)  # here, as a process that dies of it would be started again for ever
    except Invalid as error:
        sys.exit(str(error))
    log.setup(conf, "python-watcher")
    manager = cotyledon.ServiceManager()
    manager.add(process, args=(conf,))
    oslo_config_glue.setup(manager, conf)
    manager.run()
