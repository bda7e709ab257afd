# SPDX-License-Identifier: Apache-2.0
"""Base classes of the tests."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import fixtures
import testtools
from oslo_config import cfg
from sqlalchemy import event

from watcher import conf as watcher_conf
from watcher.db import models
from watcher.db.session import Database

T = TypeVar("T")

TIMEOUT = 120.0
"""Seconds after which a wait fails, on a busy machine.  A wait ends as soon as it can."""


def wait_for(condition: Callable[[], T], what: str, seconds: float = TIMEOUT) -> T:
    """The first true value of *condition*.  AssertionError, which says *what*, after *seconds*.

    For what other threads or processes bring about; it returns as soon as they have.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds:g} seconds: {what}")
        time.sleep(0.01)
    return value


def round_trips(database: Database) -> list[str]:
    """The SQL statements from now on, of which tests compare the number only."""
    found: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: (
            None if statement.startswith(("BEGIN", "ROLLBACK")) else found.append(statement)
        ),
    )
    return found


class TestCase(testtools.TestCase):
    """A test with a configuration of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.conf: cfg.ConfigOpts = watcher_conf.load([], [])
        self.conf.set_override("host", "engine-1")
        self.conf.set_override("state_path", self.directory)


class BareDatabaseTestCase(TestCase):
    """A test with a database of its own that has no tables."""

    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.conf.set_override("sqlite_synchronous", False, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)


class DatabaseTestCase(BareDatabaseTestCase):
    """A test with an empty database of its own."""

    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
