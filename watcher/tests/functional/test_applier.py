# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.functional import applier_stories, recheck_stories, reopening_stories


class ApplierOnSQLite(applier_stories.ApplierStories, DatabaseTestCase):
    """Its stories."""


class ReopeningOnSQLite(reopening_stories.ReopeningStories, DatabaseTestCase):
    """Hosts that plans close."""


class RecheckOnSQLite(recheck_stories.RecheckStories, DatabaseTestCase):
    """Plans that the cloud has overtaken."""
