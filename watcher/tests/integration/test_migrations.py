# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from watcher.db import migration
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.db.migration_stories import FORMER_HEAD, MigrationStories


class MigrationsOnMariaDB(MigrationStories, MariaDBTestCase):
    def test_narrow_tables_are_widened_and_compare_as_before(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        with self.database.engine.begin() as connection:
            connection.execute(
                sa.text("ALTER TABLE goals CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_bin")
            )
        migration.upgrade(self.database)
        with self.database.engine.connect() as connection:
            collations = dict(
                connection.execute(
                    sa.text(
                        "SELECT table_name, table_collation FROM information_schema.tables"
                        " WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
                    )
                ).all()
            )
        self.assertEqual("utf8mb4_bin", collations.pop("goals"))
        self.assertEqual({"utf8mb4_general_ci"}, set(collations.values()))

    def test_names_that_differ_by_case_are_the_same_name(self) -> None:
        names = self.upgraded_names("Twin", "twin")
        self.assertEqual(["Twin", "twin-2"], names)


class MigrationsOnPostgreSQL(MigrationStories, PostgreSQLTestCase):
    def test_names_that_differ_by_case_are_two_names(self) -> None:
        names = self.upgraded_names("Twin", "twin")
        self.assertEqual(["Twin", "twin"], names)
