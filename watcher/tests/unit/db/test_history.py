# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.db.history_stories import HistoryStories


class HistoryOnSQLite(HistoryStories, DatabaseTestCase):
    """The database of development and of small clouds."""
