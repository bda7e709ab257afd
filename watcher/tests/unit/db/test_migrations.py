# SPDX-License-Identifier: Apache-2.0
import os

from oslo_db.exception import DBReferenceError

from watcher.db import migration
from watcher.db.session import Database
from watcher.tests import factories
from watcher.tests.base import TestCase
from watcher.tests.unit.db.migration_stories import MigrationStories


class MigrationsOnSQLite(MigrationStories, TestCase):
    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.conf.set_override("sqlite_synchronous", False, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)

    def test_foreign_keys_hold_again_after_an_upgrade(self) -> None:
        migration.upgrade(self.database)

        def orphan() -> None:
            with self.database.writer() as session:
                factories.audit(session, goal_id=99)

        self.assertRaises(DBReferenceError, orphan)
