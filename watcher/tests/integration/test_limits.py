# SPDX-License-Identifier: Apache-2.0
"""What a call to a database server costs at most, whatever happens to the connection."""

import datetime
import threading
from unittest import mock

import sqlalchemy as sa
from oslo_db import exception as db_exception
from sqlalchemy.orm import Session

from watcher.db import migration
from watcher.db.models import Audit, Goal
from watcher.db.session import Database
from watcher.db.timeouts import LockWait
from watcher.tests import factories
from watcher.tests.base import TIMEOUT
from watcher.tests.integration.freezing import Freezing
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase


class LimitStories:
    sleep: str

    def setUp(self) -> None:
        super().setUp()
        migration.create_schema(self.database)
        self.conf.set_override("call_timeout", 2, group="database")
        with self.database.writer() as session:
            self.audit_id = factories.audit(session).id

    def opened(self, **values: object) -> Database:
        database = Database(self.conf, **values)
        self.addCleanup(database.dispose)
        return database

    def through(self, proxy: Freezing) -> Database:
        url = sa.make_url(self.conf.database.connection)
        url = url.set(host="127.0.0.1", port=proxy.port)
        self.conf.set_override(
            "connection", url.render_as_string(hide_password=False), group="database"
        )
        return self.opened()

    def test_a_connection_that_falls_silent_is_given_up(self) -> None:
        url = sa.make_url(self.conf.database.connection)
        proxy = Freezing((url.host or "", url.port or 0))
        proxy.start()
        self.addCleanup(proxy.stop)
        database = self.through(proxy)

        def work(session: Session) -> None:
            session.execute(sa.select(Goal.id))
            self.assertLess(0, proxy.freeze())
            session.execute(sa.select(Goal.id))

        self.assertRaises(db_exception.DBConnectionError, database.write, work)
        with database.reader() as session:
            self.assertEqual(1, len(session.scalars(sa.select(Goal.id)).all()))

    def test_a_statement_that_takes_too_long_is_ended(self) -> None:
        database = self.opened()
        away = db_exception.DBConnectionError

        def work(session: Session) -> None:
            session.execute(sa.text(self.sleep))

        self.assertRaises(away, database.write, work)

    def test_a_wait_for_a_lock_is_not_tried_again(self) -> None:
        database, held, ended = self.opened(), threading.Event(), threading.Event()

        def hold(session: Session) -> None:
            session.get_one(Audit, self.audit_id, with_for_update=True)
            held.set()
            ended.wait(TIMEOUT)

        holder = threading.Thread(target=self.database.write, args=(hold,))
        holder.start()
        self.addCleanup(holder.join)
        self.addCleanup(ended.set)
        held.wait(TIMEOUT)
        change = sa.update(Audit).values(updated_at=datetime.datetime(2026, 1, 1))
        work = mock.Mock(side_effect=lambda session: session.execute(change))
        self.assertRaises(LockWait, database.write, work)
        work.assert_called_once()

    def test_a_transaction_whose_client_falls_silent_is_ended(self) -> None:
        change = sa.update(Audit).values(updated_at=datetime.datetime(2026, 1, 1))
        with self.opened().engine.connect() as silent:
            silent.execute(change)
            self.database.write(lambda session: session.execute(change))
            self.assertRaises(db_exception.DBConnectionError, silent.execute, change)

    def test_who_works_on_whole_tables_has_no_limit(self) -> None:
        with self.opened(bounded=False).reader() as session:
            session.execute(sa.text(self.sleep))


class LimitsOnMariaDB(LimitStories, MariaDBTestCase):
    sleep = "SELECT SLEEP(2.5)"


class LimitsOnPostgreSQL(LimitStories, PostgreSQLTestCase):
    sleep = "SELECT pg_sleep(2.5)"
