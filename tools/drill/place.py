# SPDX-License-Identifier: Apache-2.0
"""A directory and a database for one run of a tool, which are kept if something goes wrong."""

import argparse
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from watcher import conf as watcher_conf
from watcher.db import migration
from watcher.db.session import Database

Work = Callable[[Path, str, Database, argparse.Namespace], bool]
"""What a tool does in a directory, with a name that is its own, and whether all went well."""


def add_servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get("WATCHER_TEST_MYSQL_URL")
        or "mysql+pymysql://root@127.0.0.1:3306/mysql",
        help="a MariaDB server on which databases may be created",
    )
    parser.add_argument(
        "--broker",
        metavar="URL",
        help="a broker to use through a proxy; by default a RabbitMQ node of its own",
    )


def run(tool: str, arguments: argparse.Namespace, work: Work) -> int:
    """The exit status of *tool*, which does its *work*."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # A signal from outside must stop the services, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = f"watcher_{tool}_{secrets.token_hex(4)}"
    directory = Path(tempfile.mkdtemp(prefix=f"watcher-{tool}-"))
    well = False
    try:
        database = _database(arguments.database, name)
        well = work(directory, name, database, arguments)
        database.dispose()
    except TimeoutError as error:
        print(error, file=sys.stderr)
    finally:
        if well:
            _admin(arguments.database, f"DROP DATABASE {name}")
            shutil.rmtree(directory)
        else:
            print(f"Logs stay in {directory}, rows in the database {name}.", file=sys.stderr)
    return 0 if well else 1


def _database(server: str, name: str) -> Database:
    _admin(server, f"CREATE DATABASE {name}")
    conf = watcher_conf.load([], [])
    url = sa.make_url(server).set(database=name)
    conf.set_override("connection", url.render_as_string(hide_password=False), group="database")
    database = Database(conf)
    migration.upgrade(database)
    return database


def _admin(server: str, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
