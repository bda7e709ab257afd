# SPDX-License-Identifier: Apache-2.0
from watcher.tests.base import DatabaseTestCase
from watcher.tests.functional import applier_stories, enabling_stories, recheck_stories


class ApplierOnSQLite(applier_stories.ApplierStories, DatabaseTestCase):
    """Its stories."""


class EnablingOnSQLite(enabling_stories.EnablingStories, DatabaseTestCase):
    """Hosts that plans disable."""


class RecheckOnSQLite(recheck_stories.RecheckStories, DatabaseTestCase):
    """Plans that the cloud has overtaken."""
