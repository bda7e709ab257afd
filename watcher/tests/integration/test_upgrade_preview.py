# SPDX-License-Identifier: Apache-2.0
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.db.upgrade_stories import UpgradeStories


class UpgradePreviewOnMariaDB(UpgradeStories, MariaDBTestCase):
    pass


class UpgradePreviewOnPostgreSQL(UpgradeStories, PostgreSQLTestCase):
    pass
