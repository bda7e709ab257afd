# SPDX-License-Identifier: Apache-2.0
from watcher.db import models
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.metrics.metrics_stories import MetricsStories


class MetricsOnMariaDB(MetricsStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class MetricsOnPostgreSQL(MetricsStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


del MetricsStories  # it has no database of its own
