# SPDX-License-Identifier: Apache-2.0
import os

from watcher.db.session import Database
from watcher.tests.base import TestCase
from watcher.tests.unit.db.upgrade_stories import UpgradeStories


class UpgradePreviewOnSQLite(UpgradeStories, TestCase):
    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.conf.set_override("sqlite_synchronous", False, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)
