# SPDX-License-Identifier: Apache-2.0
from oslo_db import exception as db_exception
from sqlalchemy import exc

from watcher.db import errors
from watcher.db.timeouts import LockWait
from watcher.tests import base

TIMEOUT = "Lock wait timeout exceeded; try restarting transaction"
NOWAIT = "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set."


class KindTest(base.TestCase):
    def test_locks_that_others_hold(self) -> None:
        """As drivers of MariaDB and MySQL say it, and as oslo.db hands it on."""
        for error, kind in (
            (Exception(1205, TIMEOUT), LockWait),
            (Exception(3572, NOWAIT), LockWait),
            (Exception(2013, "Lost connection to server during query"), None),
        ):
            by_sqlalchemy = exc.OperationalError("SELECT 3572", {}, error)
            self.assertEqual(
                kind or db_exception.DBConnectionError, errors.kind(by_sqlalchemy), error
            )
            for by_oslo in (db_exception.DBError, db_exception.DBDeadlock):
                self.assertIs(kind, errors.kind(by_oslo(by_sqlalchemy)), error)

    def test_a_table_or_a_database_that_is_not_there(self) -> None:
        for error in (
            db_exception.DBNonExistentTable("audits"),
            db_exception.DBNonExistentDatabase("watcher"),
        ):
            self.assertIs(errors.WrongSchema, errors.kind(error))
