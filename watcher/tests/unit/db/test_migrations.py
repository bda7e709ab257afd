# SPDX-License-Identifier: Apache-2.0
from oslo_db.exception import DBReferenceError

from watcher.db import migration
from watcher.tests import factories
from watcher.tests.base import BareDatabaseTestCase
from watcher.tests.unit.db.migration_stories import MigrationStories


class MigrationsOnSQLite(MigrationStories, BareDatabaseTestCase):
    def test_foreign_keys_hold_again_after_an_upgrade(self) -> None:
        migration.upgrade(self.database)

        def orphan() -> None:
            with self.database.writer() as session:
                factories.audit(session, goal_id=99)

        self.assertRaises(DBReferenceError, orphan)
