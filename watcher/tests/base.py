# SPDX-License-Identifier: Apache-2.0
"""Base classes of the tests."""

import os

import fixtures
import testtools
from oslo_config import cfg

from watcher import conf as watcher_conf
from watcher.db import models
from watcher.db.session import Database


class TestCase(testtools.TestCase):
    """A test with a configuration of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.conf: cfg.ConfigOpts = watcher_conf.load([], [])
        self.conf.set_override("host", "engine-1")
        self.conf.set_override("state_path", self.directory)


class DatabaseTestCase(TestCase):
    """A test with an empty database of its own."""

    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.conf.set_override("sqlite_synchronous", False, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)
        models.Base.metadata.create_all(self.database.engine)
