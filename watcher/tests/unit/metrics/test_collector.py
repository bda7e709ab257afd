# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.metrics.metrics_stories import MetricsStories


class MetricsOnSQLite(MetricsStories, DatabaseTestCase):
    pass


del MetricsStories  # it has no database of its own
