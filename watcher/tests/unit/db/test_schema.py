# SPDX-License-Identifier: Apache-2.0
"""Services refuse a database that has to be upgraded first."""

from sqlalchemy import text

from watcher.db import migration, models, schema
from watcher.db.errors import WrongSchema
from watcher.tests.base import DatabaseTestCase


class RequireTestCase(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.drop_all(self.database.engine)

    def stamp(self, revision: str) -> None:
        with self.database.writer() as session:
            session.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))

    def test_the_revision_of_this_code_and_a_newer_one(self) -> None:
        migration.upgrade(self.database)
        schema.require(self.database)
        self.stamp("0123456789ab")
        schema.require(self.database)

    def test_an_older_revision_whose_tables_are_the_same(self) -> None:
        migration.upgrade(self.database)
        self.stamp("f56ba02662b4")
        self.assertRaises(WrongSchema, schema.require, self.database)
