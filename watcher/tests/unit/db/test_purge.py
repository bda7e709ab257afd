# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from watcher.db import models
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.db.purge_stories import PurgeStories


class PurgeOnSQLite(PurgeStories, DatabaseTestCase):
    def test_a_row_whose_parent_is_not_there_is_an_orphan(self) -> None:
        with self.database.writer() as session:
            family = self.family(session)
        stray = sa.insert(models.Action).values(action_plan_id=99, action_type="nop", uuid="a")
        with self.database.engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                connection.execute(stray)
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")
        self.assertEqual({}, self.purged(None, None, False))
        self.assertEqual({"actions": 1}, self.purged())
        with self.database.reader() as session:
            self.assertIsNotNone(session.get(models.Action, family["actions"].id))
