# SPDX-License-Identifier: Apache-2.0
from watcher.db import models
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.db.purge_stories import PurgeStories


class PurgeOnMariaDB(PurgeStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class PurgeOnPostgreSQL(PurgeStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
