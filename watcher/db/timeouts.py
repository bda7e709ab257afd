# SPDX-License-Identifier: Apache-2.0
"""How long a call to the database may take: no thread waits for ever for an answer.

``[database] call_timeout`` is the limit of each call.  The client applies it and drops the
connection: by the read and write timeouts of PyMySQL and mysqlclient, and for psycopg2, which
has none, by a wait callback with a timeout (TCP's keepalives and tcp_user_timeout help only
against a peer whose kernel does not answer either).  The server ends a statement a little earlier,
and a wait for a lock after half of the time, so that the connection can be used again.

The server also ends a transaction whose client is silent for that time.  It does not see that a
client has dropped a connection on which nothing arrives, and would keep the locks for hours.
"""

import re
import select
import sqlite3
from typing import Any, Final

from oslo_db import exception as db_exception
from sqlalchemy import URL, Engine, event

_OF_STATEMENTS: Final = 0.8
_OF_LOCKS: Final = 0.5
"""Shares of ``call_timeout`` after which the server ends a statement, and a wait for a lock."""

_OF_IDLE_CONNECTIONS: Final = 6
"""How many times ``call_timeout`` MySQL waits for the next statement: it does not distinguish
connections with a transaction from those that wait in the pool."""

_READ_TIMEOUTS: Final = ("pymysql", "mysqldb")
"""Drivers with this option and ``write_timeout``."""

_UNLIMITED_SQLITE: Final = 30


class LockWait(db_exception.DBConnectionError):  # type: ignore[misc]
    """Another transaction did not release a lock within the time limit.

    Unlike a deadlock it is not tried again at once, because that would be another wait.
    """


def lock_wait(error: Exception) -> bool:
    """Whether a database error is a wait for a lock that took too long."""
    cause = getattr(error, "orig", None) or getattr(error, "inner_exception", None) or error
    cause = getattr(cause, "orig", None) or cause
    return (
        # 3572 is MySQL's error for NOWAIT.
        bool(re.search(r"\b1205\b.*Lock wait timeout|\b3572\b.*NOWAIT", str(cause)))
        or getattr(cause, "pgcode", None) == "55P03"
        or (isinstance(cause, sqlite3.OperationalError) and "locked" in str(cause))
    )


def limited(url: URL, seconds: int) -> URL:
    """The address with the time limits that its driver reads from the address."""
    if not seconds or url.get_driver_name() not in _READ_TIMEOUTS:
        return url
    names = ("read_timeout", "write_timeout")
    return url.update_query_dict({name: str(seconds) for name in names if name not in url.query})


def limit(engine: Engine, seconds: int) -> None:
    """Set the limit on all connections that an engine makes from now on; 0 is no limit."""
    if engine.dialect.name == "sqlite":
        pragma = f"PRAGMA busy_timeout = {(seconds or _UNLIMITED_SQLITE) * 1000}"
        event.listen(engine, "connect", lambda connection, _: _execute(connection, pragma))
    elif not seconds:
        return
    elif engine.dialect.name in ("mysql", "mariadb"):
        event.listen(engine, "connect", lambda connection, _: _limit_mysql(connection, seconds))
    elif engine.dialect.name == "postgresql":
        statements, locks = (round(part * seconds * 1000) for part in (_OF_STATEMENTS, _OF_LOCKS))
        limits = (
            f"SET statement_timeout = {statements}; SET lock_timeout = {locks}; "
            f"SET idle_in_transaction_session_timeout = {seconds * 1000}"
        )
        event.listen(engine, "connect", lambda connection, _: _execute(connection, limits))
        if engine.dialect.driver == "psycopg2":
            _limit_psycopg2(engine, seconds)


def _limit_mysql(connection: Any, seconds: int) -> None:
    locks = max(1, round(_OF_LOCKS * seconds))
    statements = _OF_STATEMENTS * seconds
    limit = f"SET SESSION innodb_lock_wait_timeout = {locks}, lock_wait_timeout = {locks}"
    if "MariaDB" in connection.get_server_info():
        limit += f", max_statement_time = {statements}, idle_transaction_timeout = {seconds}"
    else:  # MySQL ends statements that read, and no others
        limit += f", max_execution_time = {round(statements * 1000)}"
        limit += f", wait_timeout = {_OF_IDLE_CONNECTIONS * seconds}"
    _execute(connection, limit)


def _execute(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        connection.commit()  # else PostgreSQL undoes it at the next rollback
    finally:
        cursor.close()


def _limit_psycopg2(engine: Engine, seconds: int) -> None:
    import psycopg2.extensions as psycopg2

    class Limited(psycopg2.connection):  # type: ignore[misc]
        call_timeout = seconds

    def use(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["connection_factory"] = Limited

    event.listen(engine, "do_connect", use)
    # For the whole process; connections without a limit wait in it as they would without it.
    psycopg2.set_wait_callback(_wait_for_psycopg2)


def _wait_for_psycopg2(connection: Any) -> None:
    """Wait until a connection is ready; one that raises here is closed by psycopg2."""
    import psycopg2
    from psycopg2 import extensions

    wanted = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
    seconds = getattr(connection, "call_timeout", None)
    while (state := connection.poll()) != extensions.POLL_OK:
        poll = select.poll()
        poll.register(connection.fileno(), wanted[state])
        if not poll.poll(seconds and seconds * 1000):
            raise psycopg2.OperationalError(f"The server was silent for {seconds} seconds.")
