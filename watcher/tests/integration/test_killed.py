# SPDX-License-Identifier: Apache-2.0
from watcher.tests.functional.killed_stories import KilledStories
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase, broker


class KilledOnMariaDB(KilledStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.transport = broker(self)
        self.prepare(self.name)


class KilledOnPostgreSQL(KilledStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.transport = broker(self)
        self.prepare(self.name)


del KilledStories  # it has no database of its own
