# SPDX-License-Identifier: Apache-2.0
"""The database of a simulation: SQLite in memory, one connection that all processes share.

Each process seems to have connections of its own.  A transaction holds the lock of the whole
database from its first write (*serial*: from its beginning, if it is to write) to its end, and
until then each of its reads sees what is committed, as with READ COMMITTED.  Tasks change only
while nobody holds the lock, so nobody waits for it.
"""

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from oslo_db import exception as db_exception
from sqlalchemy import Engine, QueuePool, event

from watcher.db.session import IMMEDIATE
from watcher.db.timeouts import LockWait

URL = "sqlite:////simulated"

_TRIGGERS = {
    "audit_runs": (
        "uuid",
        "audit_id",
        "state",
        "engine",
        "lease_expires_at",
        "attempt",
        "parameters",
    ),
    "action_plans": ("uuid", "audit_id", "state"),
    "action_plan_leases": ("action_plan_id", "engine", "lease_expires_at", "attempt"),
    "actions": ("uuid", "action_plan_id", "state"),
    "audit_events": ("audit_id", "inbox", "run_id", "decision", "received_at", "parameters"),
    "audits": ("uuid", "state"),
}
"""The columns that are recorded when a row is written, in addition to its id."""

Step = Callable[[str], None]
"""Called before a statement, and before and after a commit.  Other tasks may run then, the process
may die, and the database may fail."""


class Impossible(BaseException):
    """The simulation itself has an error."""


class Store:
    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._template: sqlite3.Connection | None = None
        self.serial = False
        self.holder: Connection | None = None
        self.statement: tuple[str, Any] = "", None
        """The first statement of the next transaction, and its parameters."""
        self.step: Step = _nothing
        self.report: Callable[..., None] = _nothing
        self._unreported: list[tuple[str, Sequence[Any]]] = []

    def keep(self) -> None:
        """Let every simulation begin with the present content of the database."""
        for statement in _triggers():
            self._connection.execute(statement)
        self._template, self._connection = self._connection, self._template or self._connection

    def begin(self, serial: bool, report: Callable[..., None], step: Step) -> None:
        assert self._template is not None
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._template.backup(self._connection)
        self._connection.create_function("observe", -1, self._observe)
        self.serial, self.holder = serial, None
        self.report, self.step = report, step
        self._unreported = []

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query by the simulation itself."""
        return self._connection.execute(statement).fetchall()

    def execute(
        self, connection: "Connection", statement: str, parameters: Any, many: bool
    ) -> sqlite3.Cursor | None:
        word = statement[:6].strip().upper()
        if word in ("PRAGMA", "BEGIN"):
            return None
        if self.holder is connection:
            self._step(connection, "locked")
        else:
            self.statement = statement, parameters
            if not (self.serial and connection.reads):
                self._step(connection, "begin" if connection.writes else "statement")
            connection.reads = True
            if word != "SELECT" or connection.locks or (self.serial and connection.writes):
                self._hold(connection)
        run = self._connection.executemany if many else self._connection.execute
        return run(statement, parameters)

    def commit(self, connection: "Connection") -> None:
        connection.reads = False
        if self.holder is not connection:
            return
        self._step(connection, "commit")
        self._connection.execute("COMMIT")
        self.holder = None
        for what, facts in self._unreported:
            self.report(what, *facts)
        self._unreported = []
        self.step("committed")

    def rollback(self, connection: "Connection") -> None:
        connection.reads = False
        if self.holder is connection:
            self._connection.execute("ROLLBACK")
            self.holder = None
            self._unreported = []

    def _step(self, connection: "Connection", where: str) -> None:
        """A server that is lost, or that ends a deadlock, rolls the transaction back."""
        try:
            self.step(where)
        except BaseException:
            self.rollback(connection)
            raise

    def _hold(self, connection: "Connection") -> None:
        if self.holder is not None:
            raise Impossible("Tasks have changed within a transaction that writes.")
        self._connection.execute("BEGIN")
        self.holder = connection

    def _observe(self, table: str, key: Any, *values: Any) -> None:
        columns, half = _TRIGGERS[table], len(values) // 2
        old, new = (
            None if all(value is None for value in part) else dict(zip(columns, part, strict=True))
            for part in (values[:half], values[half:])
        )
        if old != new:
            self._unreported.append((table, (key, old, new)))


class Connection:
    """Behaves as a connection of sqlite3 for SQLAlchemy."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.locks = self.writes = False
        """Whether the next statement locks what it reads; whether its transaction is to write."""
        self.reads = False
        """Whether its transaction has read something."""
        self.isolation_level = None

    def cursor(self, *_: Any) -> "Cursor":
        return Cursor(self, self._store)

    def execute(self, statement: str, parameters: Any = ()) -> "Cursor":
        cursor = self.cursor()
        cursor.execute(statement, parameters)
        return cursor

    def commit(self) -> None:
        self._store.commit(self)

    def rollback(self) -> None:
        self._store.rollback(self)

    def close(self) -> None:
        self._store.rollback(self)

    def create_function(self, *_: Any, **__: Any) -> None:
        """Does nothing, because the functions of SQLAlchemy are not used here."""


class Cursor:
    arraysize = 1

    def __init__(self, connection: Connection, store: Store) -> None:
        self.connection, self._store = connection, store
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: Any = None
        self._rows: Iterator[Any] = iter(())

    def execute(self, statement: str, parameters: Any = ()) -> None:
        self._take(self._store.execute(self.connection, statement, parameters, many=False))

    def executemany(self, statement: str, parameters: Any) -> None:
        self._take(self._store.execute(self.connection, statement, parameters, many=True))

    def _take(self, cursor: sqlite3.Cursor | None) -> None:
        if cursor is None:
            return
        # At once: other tasks use the same connection before the rows are wanted.
        self._rows = iter(cursor.fetchall())
        self.description, self.rowcount = cursor.description, cursor.rowcount
        self.lastrowid = cursor.lastrowid

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(itertools.islice(self._rows, size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


@contextlib.contextmanager
def connected(store: Store) -> Iterator[None]:
    """Let every engine with the URL of the simulation use *store*."""

    def connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> Any:
        return Connection(store) if str(arguments[0]).endswith("simulated") else None

    def look(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, _: Any):
        raw = getattr(cursor, "connection", None)
        if isinstance(raw, Connection):
            wanted = getattr(context, "invoked_statement", None)
            # SQLite has no such clause, so it is not in the text.
            raw.locks = getattr(wanted, "_for_update_arg", None) is not None
            raw.writes = bool(connection.get_execution_options().get(IMMEDIATE))

    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", connect)
        event.remove(Engine, "before_cursor_execute", look)


def pooled(engine: Engine, store: Store) -> None:
    """Let an engine keep its connections, and begin no transaction by a statement of its own:
    both would take longer than what is done in it."""
    engine.pool = QueuePool(
        lambda: Connection(store), pool_size=50, reset_on_return=None, dialect=engine.dialect
    )
    for name in ("begin", "commit", "rollback"):
        for listener in tuple(getattr(engine.dispatch, name)):
            event.remove(engine, name, listener)


def deadlock() -> Exception:
    return db_exception.DBDeadlock()


def lock_wait() -> Exception:
    return LockWait()


def away() -> Exception:
    return db_exception.DBConnectionError()


def _triggers() -> Iterator[str]:
    for table, columns in _TRIGGERS.items():
        key = "action_plan_id" if table == "action_plan_leases" else "id"
        old = ", ".join(f"OLD.{column}" for column in columns)
        new = ", ".join(f"NEW.{column}" for column in columns)
        none = ", ".join("NULL" for _ in columns)
        for verb, row, values in (
            ("INSERT", "NEW", f"{none}, {new}"),
            ("UPDATE", "NEW", f"{old}, {new}"),
            ("DELETE", "OLD", f"{old}, {none}"),
        ):
            yield (
                f"CREATE TRIGGER seen_{table}_{verb} AFTER {verb} ON {table} BEGIN "
                f"SELECT observe('{table}', {row}.{key}, {values}); END"
            )


def _nothing(*_: Any) -> None:
    """Does nothing; simulations replace it."""
