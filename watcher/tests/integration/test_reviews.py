# SPDX-License-Identifier: Apache-2.0
from watcher.db import models
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.db.review_stories import ReviewStories


class _OnMariaDB(MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class _OnPostgreSQL(PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class ReviewsOnMariaDB(ReviewStories, _OnMariaDB):
    pass


class ReviewsOnPostgreSQL(ReviewStories, _OnPostgreSQL):
    pass
