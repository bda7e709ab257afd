# SPDX-License-Identifier: Apache-2.0
"""The servers that integration tests talk to.

Each has an address that the environment may override.  A missing server skips the tests
that need it, with a message that names it, and fails them when ``CI`` is set.
"""

import dataclasses
import os
import socket
import uuid
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from watcher.db.session import Database
from watcher.tests.base import TestCase


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    variable: str
    default: str

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default

    def missing(self, test: TestCase, why: object) -> None:
        message = f"{self.name} does not answer at {self.url} (set {self.variable}): {why}"
        if os.environ.get("CI"):
            test.fail(message)
        test.skipTest(message)


MARIADB = Server("MariaDB", "WATCHER_TEST_MYSQL_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql")
POSTGRESQL = Server(
    "PostgreSQL",
    "WATCHER_TEST_POSTGRESQL_URL",
    "postgresql+psycopg2://postgres@127.0.0.1:5432/postgres",
)
RABBITMQ = Server("RabbitMQ", "WATCHER_TEST_RABBIT_URL", "rabbit://guest:guest@127.0.0.1:5672/")


class ServerTestCase(TestCase):
    """A test with an empty database of its own on a real server."""

    server: ClassVar[Server]
    create_options: ClassVar[str] = ""

    def setUp(self) -> None:
        super().setUp()
        self.name = f"watcher_test_{uuid.uuid4().hex}"
        try:
            self._admin(f"CREATE DATABASE {self.name} {self.create_options}")
        except DBAPIError as error:
            self.server.missing(self, error.orig)
        self.addCleanup(self._admin, f"DROP DATABASE {self.name}")
        url = sa.make_url(self.server.url).set(database=self.name)
        self.conf.set_override(
            "connection", url.render_as_string(hide_password=False), group="database"
        )
        self.conf.set_override("max_pool_size", 20, group="database")
        # A machine that is busy with other tests is not a database that is away.
        self.conf.set_override("call_timeout", 120, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(
            self.server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            connection.execute(sa.text(statement))


class MariaDBTestCase(ServerTestCase):
    server = MARIADB
    # What many existing installations have; migrations and connections must cope.
    create_options = "CHARACTER SET utf8mb3"


class PostgreSQLTestCase(ServerTestCase):
    server = POSTGRESQL


def broker(test: TestCase) -> str:
    """The URL of a message broker that answers."""
    url = sa.make_url(RABBITMQ.url)
    try:
        socket.create_connection((url.host or "127.0.0.1", url.port or 5672), 5).close()
    except OSError as error:
        RABBITMQ.missing(test, error)
    return RABBITMQ.url
