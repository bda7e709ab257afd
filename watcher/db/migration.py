# SPDX-License-Identifier: Apache-2.0
"""The revision of a database's schema, and how to change it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from watcher.common.errors import Conflict, Invalid
from watcher.db.migrations import FORMER
from watcher.db.session import Database

_HERE = os.path.join(os.path.dirname(__file__), "migrations")


def head() -> str:
    """The revision that this code works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def version(database: Database) -> str | None:
    """The revision of a database; None if it has none."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def steps(database: Database) -> list[str]:
    """The revisions that an upgrade goes through, first to last.  Invalid for an unknown one."""
    present = version(database)
    begin = "base" if present is None or present in FORMER else present
    try:
        script = ScriptDirectory.from_config(_config())
        script.get_revision(begin)
        found = [each.revision for each in script.iterate_revisions("head", begin)]
    except CommandError as error:
        raise Invalid(f"revision: {error}") from error
    return found[::-1]


def upgrade(database: Database, revision: str = "head") -> None:
    with _alembic(database) as config:
        if version(database) in FORMER:
            # All that they lack is added by the first revision, which knows what is there.
            command.stamp(config, "base", purge=True)
        command.upgrade(config, revision)


def downgrade(database: Database, revision: str = "-1") -> None:
    with _alembic(database) as config:
        command.downgrade(config, revision)


def stamp(database: Database, revision: str) -> None:
    """Record that a database has *revision*, without a check."""
    with _alembic(database) as config:
        command.stamp(config, revision)


def revision(database: Database, message: str | None, autogenerate: bool = False) -> None:
    """Add a file for a new revision, for developers of Watcher."""
    with _alembic(database) as config:
        command.revision(config, message, autogenerate)


def create_schema(database: Database) -> None:
    """Conflict if the database has a schema already."""
    present = version(database)
    if present is not None:
        raise Conflict(f"The database is at revision {present} already; use upgrade.")
    with database.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
    if tables:
        raise Conflict(
            f"The database has tables but no revision ({', '.join(sorted(tables)[:3])}, ...); "
            "use an empty one, or stamp this one with the revision that it has."
        )
    upgrade(database)


def ensure(database: Database) -> None:
    """Bring a database, empty or not, to the revision that this code works with."""
    if version(database) != head():
        upgrade(database)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _HERE.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _alembic(database: Database) -> Iterator[Config]:
    """A configuration that works on *database*; Invalid for what alembic refuses."""
    config = _config()
    with database.engine.connect() as connection, _foreign_keys_off(connection):
        config.attributes["connection"] = connection
        try:
            yield config
        except CommandError as error:
            raise Invalid(f"revision: {error}") from error


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by replacing it, which its foreign keys would prevent."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")
