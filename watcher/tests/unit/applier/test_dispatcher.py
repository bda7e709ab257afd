# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.applier import dispatcher_stories


class DispatcherOnSQLite(dispatcher_stories.DispatcherStories, DatabaseTestCase):
    """Its stories."""
