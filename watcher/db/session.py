# SPDX-License-Identifier: Apache-2.0
"""Transactions.

``Database`` hands out sessions::

    with database.reader() as session:
        audit = audits.get(session, "my-audit")

    with database.writer() as session:      # commits at the end, rolls back on error
        ...

Whoever opens a transaction owns it: query functions take a session and never
commit, and no row object is used for more than reading after its ``with``.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import enginefacade
from oslo_log import log
from sqlalchemy import URL, Connection, CreateEnginePlugin, Engine, event, make_url, text
from sqlalchemy import exc as sqlalchemy_exc
from sqlalchemy.dialects import plugins
from sqlalchemy.orm import Session

from watcher.common.periodic import jittered
from watcher.db import errors, timeouts

LOG = log.getLogger(__name__)
T = TypeVar("T")

IMMEDIATE = "watcher_begin_immediate"
"""The option of a connection that is to write: SQLite has to know that when it begins."""
_WRITES = {IMMEDIATE: True}
_ATTEMPTS = 10
_RETRY_INTERVAL = 2.0
"""Seconds between two attempts to reach a database that does not answer."""

_CONNECT_TIMEOUT = "5"
"""Seconds after which a server that does not answer is unreachable; requests wait so long."""


@enginefacade.transaction_context_provider
class _Context:
    """The object to which enginefacade attaches the transaction of a thread."""


class Database:
    """One database, as the ``[database]`` options of *conf* describe it.

    Without *bounded* its calls may take any time, for work on whole tables.
    """

    def __init__(self, conf: cfg.ConfigOpts, bounded: bool = True) -> None:
        self._call_timeout: int = conf.database.call_timeout if bounded else 0
        self._manager = enginefacade.transaction_context()
        options = {
            option.dest: conf.database[option.dest]
            for option in db_options.database_opts
            if option.dest in _ENGINE_OPTIONS
        }
        for url in ("connection", "slave_connection"):
            if options[url]:
                address = make_url(_completed(options[url], self._call_timeout))
                address = address.update_query_dict({"plugin": WithoutReset.name}, append=True)
                options[url] = address.render_as_string(hide_password=False)
        # thread_checkin would yield to green threads, which Watcher does not use.
        # No retries: the error of an unreachable server is raised at once, and callers try again.
        self._manager.configure(sqlite_fk=True, thread_checkin=False, max_retries=0, **options)
        self._manager.append_on_engine_create(self._tune)
        self._held_open: Connection | None = None

    @property
    def engine(self) -> Engine:
        engine: Engine = self._manager.writer.get_engine()
        return engine

    @contextmanager
    def reader(self) -> Iterator[Session]:
        with _known_errors(), self._manager.reader.using(_Context()) as session:
            yield session

    @contextmanager
    def writer(self) -> Iterator[Session]:
        with _known_errors(), self._manager.writer.using(_Context()) as session:
            session.connection(execution_options=_WRITES)
            yield session

    @contextmanager
    def connection(self, writes: bool = False) -> Iterator[Connection]:
        """A transaction of plain SQL: faster.

        It is committed at the end.  With *writes* it may write from the beginning; without, call
        ``begin_to_write`` before the first write.
        """
        with _known_errors(), self.engine.connect() as connection:
            if writes:
                begin_to_write(connection)
            yield connection
            connection.commit()

    def write(self, work: Callable[[Session], T]) -> T:
        """Run *work* in a transaction, and again after a conflict with another transaction.

        Conflicts are deadlocks, duplicate keys and StaleRead; the next attempt sees what the other
        transaction has committed.  So *work* must have no effect outside of its session.  LockWait
        is not tried again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.writer() as session:
                    return work(session)
            except (db_exception.DBDeadlock, db_exception.DBDuplicateEntry, StaleRead):
                if attempt == _ATTEMPTS:
                    raise
                LOG.debug("Transaction in conflict with another one, attempt %d", attempt)
                time.sleep(jittered(0.002 * attempt))
        raise AssertionError("unreachable")

    def wait(self, stopped: threading.Event) -> None:
        """Return when the database answers, or when *stopped* is set."""
        logged = False
        while not stopped.is_set():
            try:
                with self.reader() as session:
                    session.execute(text("SELECT 1"))
            except db_exception.DBConnectionError as error:
                if not logged:
                    LOG.warning("The database does not answer; waiting for it: %s", error)
                logged = True
                stopped.wait(jittered(_RETRY_INTERVAL))
            else:
                return

    def dispose(self) -> None:
        if self._held_open is not None:
            self._held_open.close()
            self._held_open = None
        self._manager.dispose_pool()

    def _tune(self, engine: Engine) -> None:
        """Make each database behave as the claims expect."""
        engine.hide_parameters = True  # errors are logged, and parameters may be payloads
        timeouts.limit(engine, self._call_timeout)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_connect)
            event.listen(engine, "begin", _sqlite_begin)
            # oslo.db opens the file for each transaction, and the last connection that
            # closes makes SQLite clean up its log, which takes milliseconds.  This connection
            # prevents that.  It has to read once, or SQLite does not count it.
            self._held_open = engine.connect()
            self._held_open.execute(text("SELECT count(*) FROM sqlite_master"))
            self._held_open.rollback()
        elif engine.dialect.name in ("mysql", "mariadb"):
            event.listen(engine, "connect", _mysql_connect)
        if engine.dialect.name != "sqlite":
            # The pool has a connection already, with which oslo.db has queried the server.
            engine.dispose()


def begin_to_write(connection: Connection) -> None:
    """Let a transaction write that has only read so far.  On SQLite this begins another one."""
    if connection.dialect.name == "sqlite":
        connection.rollback()
        connection.execution_options(**_WRITES)


class WithoutReset(CreateEnginePlugin):
    """Saves a round trip in each alarm; oslo.db has no option for it.

    SQLAlchemy ends each transaction before it gives a connection back: the pool would only roll
    back once more.
    """

    name = "watcher-without-reset"

    def update_url(self, url: URL) -> URL:
        return url.difference_update_query(["plugin"])

    def handle_pool_kwargs(self, pool_cls: Any, pool_args: dict[str, Any]) -> None:
        pool_args["reset_on_return"] = None


plugins.register(WithoutReset.name, __name__, WithoutReset.__name__)


class StaleRead(Exception):
    """A row has changed since this transaction read it, so the transaction starts again."""


_ENGINE_OPTIONS = {
    "sqlite_synchronous",
    "connection",
    "slave_connection",
    "mysql_sql_mode",
    "mysql_wsrep_sync_wait",
    "connection_recycle_time",
    "max_pool_size",
    "max_overflow",
    "connection_debug",
    "connection_trace",
    "pool_timeout",
    "connection_parameters",
}


_CONNECT_TIMEOUTS = ("pymysql", "mysqldb", "psycopg2", "psycopg")
"""Drivers that name this option ``connect_timeout``."""


def _completed(address: str, call_timeout: int) -> str:
    url = timeouts.limited(make_url(address), call_timeout)
    if url.get_backend_name() in ("mysql", "mariadb") and "charset" not in url.query:
        # All characters; the default of oslo.db has at most three bytes of UTF-8.
        url = url.update_query_dict({"charset": "utf8mb4"})
    if url.get_driver_name() in _CONNECT_TIMEOUTS and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _CONNECT_TIMEOUT})
    return url.render_as_string(hide_password=False)


@contextmanager
def _known_errors() -> Iterator[None]:
    """Raise errors by their cause: DBConnectionError for an unreachable server, LockWait, ..."""
    try:
        yield
    except (
        sqlalchemy_exc.OperationalError,
        sqlalchemy_exc.ProgrammingError,
        sqlalchemy_exc.TimeoutError,
        db_exception.DBError,
    ) as error:
        kind = errors.kind(error)
        if kind is None:
            raise
        raise kind(error) from error


def _sqlite_connect(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit survives the end of the process, but not a power failure, which would cost a
    # write to the disk for each commit.  Use a database server against that.
    connection.execute("PRAGMA synchronous = NORMAL")


def _sqlite_begin(connection: Connection) -> None:
    # A transaction that begins as a reader does not wait at its first write, but fails if
    # another one has written meanwhile.  oslo.db's own listener always runs before this one
    # and has begun as a reader.
    if connection.get_execution_options().get(IMMEDIATE):
        connection.execute(text("ROLLBACK"))
        connection.execute(text("BEGIN IMMEDIATE"))


def _mysql_connect(connection: Any, record: Any) -> None:
    # REPEATABLE READ would hide the row of a faster transaction from the slower one, and
    # locks gaps that claims need not lock.
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
