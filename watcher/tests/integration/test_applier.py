# SPDX-License-Identifier: Apache-2.0
from watcher.db import models
from watcher.tests.functional import applier_stories, enabling_stories, recheck_stories
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.applier import dispatcher_stories


class DispatcherOnMariaDB(dispatcher_stories.DispatcherStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class DispatcherOnPostgreSQL(dispatcher_stories.DispatcherStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class ApplierOnMariaDB(applier_stories.ApplierStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class ApplierOnPostgreSQL(applier_stories.ApplierStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class EnablingOnMariaDB(enabling_stories.EnablingStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class EnablingOnPostgreSQL(enabling_stories.EnablingStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class RecheckOnMariaDB(recheck_stories.RecheckStories, MariaDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)


class RecheckOnPostgreSQL(recheck_stories.RecheckStories, PostgreSQLTestCase):
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
