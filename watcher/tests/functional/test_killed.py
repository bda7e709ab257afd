# SPDX-License-Identifier: Apache-2.0
import os

from watcher.db.session import Database
from watcher.tests.base import TestCase
from watcher.tests.functional.killed_stories import KilledStories


class KilledOnSQLite(KilledStories, TestCase):
    transport = "fake://"  # which reaches nobody outside of its process

    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)
        self.prepare("watcher")


del KilledStories  # it has no database of its own
