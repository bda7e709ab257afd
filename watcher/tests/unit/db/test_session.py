# SPDX-License-Identifier: Apache-2.0
from unittest import mock

from oslo_db import exception as db_exception
from sqlalchemy import select

from watcher.db.models import Goal
from watcher.db.session import _with_charset
from watcher.tests import base, factories


class CharsetTest(base.TestCase):
    def test_mysql_takes_every_character(self) -> None:
        self.assertEqual(
            "mysql+pymysql://me:p%40ss@db/watcher?charset=utf8mb4",
            _with_charset("mysql+pymysql://me:p%40ss@db/watcher"),
        )

    def test_a_charset_that_is_named_stays(self) -> None:
        url = "mysql+pymysql://db/watcher?charset=utf8"
        self.assertEqual(url, _with_charset(url))

    def test_other_databases_have_no_charset(self) -> None:
        for url in ("sqlite:////tmp/watcher.sqlite", "postgresql+psycopg2://me@db/watcher"):
            self.assertEqual(url, _with_charset(url))


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
