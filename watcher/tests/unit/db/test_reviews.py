# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.db.review_stories import ReviewStories


class ReviewsOnSQLite(ReviewStories, DatabaseTestCase):
    pass
