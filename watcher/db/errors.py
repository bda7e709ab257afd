# SPDX-License-Identifier: Apache-2.0
"""Recognises errors of databases, although each driver has its own messages.

oslo.db recognises some of them and passes on the others unchanged.
"""

import re
import sqlite3
from typing import Final

from oslo_db import exception as db_exception
from sqlalchemy.exc import ProgrammingError

from watcher.db.timeouts import LockWait, lock_wait


class WrongSchema(db_exception.DBError):  # type: ignore[misc]
    """The database is not there, or lacks a table or a column: it is of another version."""


class Unwritable(db_exception.DBError):  # type: ignore[misc]
    """SQLite's file is on a full disk, or may not be written at all."""


_MISSING: Final = re.compile(
    r"no such (table|column)|has no column named|unknown column|doesn't exist|does not exist",
    re.IGNORECASE,
)
_UNWRITABLE: Final = re.compile(
    r"disk is full|disk I/O error|readonly database|unable to open", re.IGNORECASE
)


def kind(error: Exception) -> type[db_exception.DBError] | None:
    """The class with which an error is to be raised; None if its own class is right."""
    if lock_wait(error):  # which oslo.db takes for a deadlock
        return None if isinstance(error, LockWait) else LockWait
    if isinstance(error, db_exception.DBNonExistentTable | db_exception.DBNonExistentDatabase):
        return WrongSchema
    known = isinstance(error, db_exception.DBError)
    if known and type(error) is not db_exception.DBError:
        return None
    inner = getattr(error, "inner_exception", None) or error
    cause = getattr(inner, "orig", None)
    words = str(cause or inner)
    if _MISSING.search(words):  # a table on MySQL, too: oslo.db leaves that to the dialect
        return WrongSchema
    if isinstance(cause, sqlite3.Error):  # SQLite has no server that could be unreachable
        return Unwritable if _UNWRITABLE.search(words) else None
    is_answer = known or isinstance(inner, ProgrammingError)
    return None if is_answer else db_exception.DBConnectionError
