# SPDX-License-Identifier: Apache-2.0
"""A service in a process of its own, with a parent that restarts it if it dies."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final, NoReturn, Protocol

import cotyledon
from cotyledon import oslo_config_glue, types
from oslo_config import cfg
from oslo_log import log

from watcher import conf as watcher_conf
from watcher.cloud.openstack.versions import nova_version
from watcher.common import logs
from watcher.common.errors import Invalid, WatcherError

LOG = log.getLogger(__name__)


CANNOT_START: Final = 78
"""Exit status of a process whose parent need not start another one: EX_CONFIG."""


@contextlib.contextmanager
def starting(name: str | None) -> Iterator[None]:
    """End the process with one sentence and a status when the start inside fails."""
    from oslo_messaging import MessagingException
    from sqlalchemy.exc import SQLAlchemyError

    from watcher.db import schema
    from watcher.db.errors import Unwritable, WrongSchema

    try:
        yield
    except WrongSchema:
        refuse(name, schema.SENTENCE)
    except (
        WatcherError,
        cfg.Error,
        OSError,
        SQLAlchemyError,
        MessagingException,
        Unwritable,
    ) as error:
        refuse(name, _sentence(error))


def configured(name: str | None) -> cfg.ConfigOpts:
    """The configuration of a service, and logging as it says; exit if it cannot be used."""
    try:
        conf = watcher_conf.load(sys.argv[1:])
        logs.setup(conf)
    except (cfg.Error, log.LogConfigError, OSError) as error:
        sys.exit(f"{name}: {_sentence(error)}")
    return conf


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0]


def refuse(name: str | None, sentence: str) -> NoReturn:
    """Say why a process cannot start, and end it."""
    LOG.critical("%s cannot start: %s", name, sentence)
    print(f"{name}: {sentence}", file=sys.stderr, flush=True)
    sys.exit(CANNOT_START)


def supervise(process: type[cotyledon.Service], conf: cfg.ConfigOpts, workers: int = 1) -> NoReturn:
    """Run processes until SIGTERM, and replace those that die; end when one cannot start."""
    manager = cotyledon.ServiceManager()
    refused = threading.Event()

    def died(service_id: object, worker_id: object, status: int) -> None:
        if status == CANNOT_START:
            refused.set()
            manager.shutdown()

    manager.register_hooks(on_dead_worker=died)
    manager.add(process, workers=workers, args=(conf,))
    try:
        oslo_config_glue.setup(manager, conf, "mutate")  # which reads all options
    except cfg.Error as error:
        sys.exit(f"{process.name}: {_sentence(error)}")
    try:
        manager.run()
    except SystemExit as end:
        sys.exit(1 if refused.is_set() else end.code)
    sys.exit(0)


class Process(cotyledon.Service):
    """A process that works.

    What its work needs is imported where it is made, so that the parent stays small.
    """

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id)
        self.conf = conf
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        """A stop happens before the start or after it, and not in between."""

    def reload(self) -> None:
        """SIGHUP: read the files again, for options that may change while a service runs.

        Without it cotyledon would end the process and start another one.
        """
        try:
            self.conf.mutate_config_files()
        except cfg.Error as error:
            LOG.error("The configuration stays as it is, its files cannot be read: %s", error)


class Startable(Protocol):
    """The service that a process runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ServiceProcess(Process):
    """The process of a decision engine or an applier."""

    def __init__(self, worker_id: types.WorkerId, conf: cfg.ConfigOpts) -> None:
        super().__init__(worker_id, conf)
        from watcher import rpc
        from watcher.cmd import cloud
        from watcher.db.session import Database
        from watcher.notifications import Notifications

        with starting(self.name):
            self.database = Database(conf)
            self.notifications = Notifications(conf, self.database)
            self.cloud, self.transport = cloud.connect(conf), rpc.transport(conf)
            self._service = self.build()

    def build(self) -> Startable:
        """The service itself, not started yet."""
        raise NotImplementedError

    def run(self) -> None:
        from watcher.db import schema

        with starting(self.name):
            self.database.wait(self.stopping)
            with self.lock:
                if not self.stopping.is_set():
                    schema.require(self.database)
                    self._service.start()

    def restart(self) -> None:
        """End now, although some threads are still running; the parent starts another process."""
        LOG.critical("%s restarts: too many of its threads do not end", self.name)
        self.notifications.stop()
        os._exit(1)

    def terminate(self) -> None:
        self.stopping.set()
        with self.lock:
            self._service.stop()
        self.notifications.stop()


def main(process: type[ServiceProcess]) -> None:
    conf = configured(process.name)
    try:
        nova_version(conf)  # here, because a child process that fails would be restarted forever
    except Invalid as error:
        sys.exit(f"{process.name}: {error}")
    supervise(process, conf)
