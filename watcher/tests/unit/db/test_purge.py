# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.db.purge_stories import PurgeStories


class PurgeOnSQLite(PurgeStories, DatabaseTestCase):
    pass
