# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import BareDatabaseTestCase
from watcher.tests.unit.db.upgrade_stories import UpgradeStories


class UpgradePreviewOnSQLite(UpgradeStories, BareDatabaseTestCase):
    pass
