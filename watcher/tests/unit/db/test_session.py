# SPDX-License-Identifier: Apache-2.0
import socket
import threading
from unittest import mock

import testtools
from oslo_db import exception as db_exception
from sqlalchemy import insert, select, text

from watcher.db.errors import Unwritable, WrongSchema
from watcher.db.models import Goal
from watcher.db.session import Database, StaleRead, _completed
from watcher.tests import base, factories


class AddressTest(base.TestCase):
    def test_mysql_takes_every_character(self) -> None:
        self.assertEqual(
            "mysql+pymysql://me:p%40ss@db/watcher"
            "?charset=utf8mb4&connect_timeout=5&read_timeout=7&write_timeout=7",
            _completed("mysql+pymysql://me:p%40ss@db/watcher", 7),
        )

    def test_what_is_named_stays(self) -> None:
        url = (
            "mysql+pymysql://db/watcher"
            "?charset=utf8&connect_timeout=60&read_timeout=80&write_timeout=90"
        )
        self.assertEqual(url, _completed(url, 7))

    def test_without_a_limit_calls_have_none(self) -> None:
        url = "mysql+pymysql://db/watcher?charset=utf8&connect_timeout=60"
        self.assertEqual(url, _completed(url, 0))

    def test_other_databases_have_no_charset(self) -> None:
        url = "postgresql+psycopg2://me@db/watcher"
        self.assertEqual(f"{url}?connect_timeout=5", _completed(url, 7))
        for url in ("sqlite:////tmp/watcher.sqlite", "postgresql+pg8000://me@db/watcher"):
            self.assertEqual(url, _completed(url, 7))


class AwayTest(base.TestCase):
    """A database server where nobody listens."""

    def setUp(self) -> None:
        super().setUp()
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))  # taken, and refusing
        self.port = self.socket.getsockname()[1]

    def database(self, driver: str) -> Database:
        url = f"{driver}://root@127.0.0.1:{self.port}/watcher"
        self.conf.set_override("connection", url, group="database")
        return Database(self.conf)

    def test_is_raised_at_once_with_any_driver(self) -> None:
        for driver in ("mysql+pymysql", "postgresql+psycopg2"):
            database = self.database(driver)
            for _ in range(2):
                away = testtools.ExpectedException(db_exception.DBConnectionError)
                with away, database.reader() as session:
                    session.execute(select(Goal.id))
                work = mock.Mock()
                self.assertRaises(db_exception.DBConnectionError, database.write, work)
                with away, database.connection():
                    work()
                work.assert_not_called()

    def test_who_waits_for_it_can_be_stopped(self) -> None:
        stopped = threading.Event()
        database = self.database("mysql+pymysql")
        waiter = threading.Thread(target=database.wait, args=(stopped,))
        waiter.start()
        self.assertTrue(waiter.is_alive())
        stopped.set()
        waiter.join()


class FaultTest(base.DatabaseTestCase):
    def test_a_table_or_a_column_that_is_not_there(self) -> None:
        for statement in ("SELECT * FROM nowhere", "SELECT nowhere FROM goals"):
            wrong = testtools.ExpectedException(WrongSchema)
            with wrong, self.database.reader() as session:
                session.execute(text(statement))

    def test_a_full_disk(self) -> None:
        def fill(session):
            pages = session.scalar(text("PRAGMA page_count"))
            session.execute(text(f"PRAGMA max_page_count = {pages}"))
            for _ in range(100):
                factories.goal(session, display_name="x" * 60, efficacy_specification=["x" * 9999])

        self.assertRaises(Unwritable, self.database.write, fill)


class HiddenTest(base.DatabaseTestCase):
    def test_errors_show_no_parameters(self) -> None:
        def work(session):
            session.execute(text("INSERT INTO goals (id, nowhere) VALUES (1, :x)"), {"x": "sent"})

        error = self.assertRaises(WrongSchema, self.database.write, work)
        self.assertNotIn("sent", str(error))


class WriteTest(base.DatabaseTestCase):
    def test_starts_over_when_another_transaction_was_first(self) -> None:
        losses = [db_exception.DBDeadlock(), db_exception.DBDuplicateEntry()]

        def work(session):
            goal = factories.goal(session)
            if losses:
                raise losses.pop()
            return goal.id

        goal_id = self.database.write(work)
        with self.database.reader() as session:
            self.assertEqual([goal_id], session.scalars(select(Goal.id)).all())

    def test_starts_over_when_it_sees_itself_that_another_was_first(self) -> None:
        work = mock.Mock(side_effect=[StaleRead, "won"])
        self.assertEqual("won", self.database.write(work))

    def test_a_plain_connection_commits_too(self) -> None:
        row = insert(Goal.__table__).values(name="a", display_name="a", efficacy_specification=[])
        with self.database.connection(writes=True) as connection:
            connection.execute(row)
        with self.database.connection() as connection:
            self.assertEqual(["a"], list(connection.scalars(select(Goal.name))))

    def test_gives_up_in_the_end(self) -> None:
        work = mock.Mock(side_effect=db_exception.DBDeadlock())
        self.assertRaises(db_exception.DBDeadlock, self.database.write, work)
        self.assertEqual(10, work.call_count)

    def test_other_errors_are_not_retried(self) -> None:
        work = mock.Mock(side_effect=ValueError("wrong"))
        self.assertRaises(ValueError, self.database.write, work)
        work.assert_called_once()

    def test_an_error_rolls_back(self) -> None:
        def work(session):
            factories.goal(session)
            raise ValueError("wrong")

        self.assertRaises(ValueError, self.database.write, work)
        with self.database.reader() as session:
            self.assertEqual([], session.scalars(select(Goal)).all())

    def test_a_database_that_answers_causes_no_wait(self) -> None:
        self.database.wait(threading.Event())
