# SPDX-License-Identifier: Apache-2.0
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.db.upgrade_stories import UpgradeStories

# All of them took two minutes, and are tried on SQLite.
SOME = ("001", "d098df6021e2", "f56ba02662b4")


class UpgradePreviewOnMariaDB(UpgradeStories, MariaDBTestCase):
    REVISIONS = SOME


class UpgradePreviewOnPostgreSQL(UpgradeStories, PostgreSQLTestCase):
    REVISIONS = SOME
