# SPDX-License-Identifier: Apache-2.0
"""The objects that all seeds share: configurations, connections, an empty database."""

import contextlib
import functools
import random
from collections.abc import Iterator
from unittest import mock

from oslo_config import cfg
from oslo_utils import timeutils

from tools.simulate import plugins, store, threads
from tools.simulate.schedule import Schedule
from tools.simulate.store import Store, pooled
from watcher import conf as watcher_conf
from watcher.applier import service as _applier  # noqa: F401  all that is to be replaced
from watcher.common import entry_points as installed
from watcher.db import models
from watcher.db.session import Database
from watcher.decision_engine import service as _decision_engine  # noqa: F401
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors import compute as _compute  # noqa: F401
from watcher.model import compute as _model  # noqa: F401

LEASE = 90
MAX_RUN = 200
SLOTS = ("api1", "api2", "engine1", "engine2", "engine3", "applier1", "applier2")
"""Nodes, each with one process; a name without its number says what it runs."""

_OPTIONS = {
    "database.connection": store.URL,
    "notification_level": "",
    "lease_duration": LEASE,
    "watcher_decision_engine.max_run_seconds": MAX_RUN,
    "watcher_decision_engine.poll_interval": 60,
    "watcher_applier.poll_interval": 60,
    "nova.migration_interval": 1.0,
    "watcher_workflow_engines.taskflow.max_workers": 2,
    "collector.collector_plugins": ["compute"],
}


class Stage:
    def __init__(self, store: Store) -> None:
        threads.use(Schedule(random.Random(0)))
        self.store = store
        self.confs = {slot: _conf(slot) for slot in SLOTS}
        self.databases = {slot: Database(conf) for slot, conf in self.confs.items()}
        for database in self.databases.values():
            pooled(database.engine, store)
        with self.databases[SLOTS[0]].engine.begin() as connection:
            models.Base.metadata.create_all(connection, checkfirst=False)
        catalog, now = Catalog(self.confs["engine1"]), timeutils.utcnow()
        self.databases["engine1"].write(lambda session: catalog.sync(session, now))
        self.store.keep()


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """The place where simulations run.  Until its end, all of Watcher in this process is
    simulated."""
    load = functools.cache(functools.partial(plugins.load, installed.load))
    with contextlib.ExitStack() as stack:
        made = Store()
        stack.enter_context(mock.patch.object(installed, "load", load))
        stack.enter_context(mock.patch.object(installed, "names", plugins.names))
        stack.enter_context(threads.installed())
        stack.enter_context(store.connected(made))
        yield Stage(made)


def _conf(slot: str) -> cfg.ConfigOpts:
    conf = watcher_conf.load([], [])
    conf.set_override("host", slot)
    for name, value in _OPTIONS.items():
        group, _, option = name.rpartition(".")
        conf.set_override(option, value, group=group or None)
    return conf
