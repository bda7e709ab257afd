# SPDX-License-Identifier: Apache-2.0
"""The API in the hands of a WSGI server."""

import importlib
import os
from typing import Any

import fixtures
import webob

from watcher.common.errors import Conflict
from watcher.db import models
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase

CONFIG = """
[DEFAULT]
transport_url = fake://
enable_authentication = false

[database]
connection = {connection}
"""


class ApplicationTestCase(DatabaseTestCase):
    def application(self) -> Any:
        path = os.path.join(self.directory, "watcher.conf")
        with open(path, "w") as file:
            file.write(CONFIG.format(connection=self.conf.database.connection))
        other = os.path.join(self.directory, "other.conf")
        with open(other, "w") as file:
            file.write("[api]\nmax_limit = 1\n")
        self.useFixture(fixtures.EnvironmentVariable("OS_WATCHER_CONFIG_FILES", f"{path};{other}"))
        # The logging of this process is not the application's.
        self.useFixture(fixtures.MockPatch("oslo_log.log.setup"))
        module = importlib.import_module("watcher.wsgi.api")
        return importlib.reload(module).application

    def test_from_the_files_that_the_environment_names(self) -> None:
        application = self.application()
        with self.database.writer() as session:
            factories.goal(session, name="first")
            factories.goal(session, name="second")
        goals = webob.Request.blank("/v1/goals").get_response(application).json["goals"]
        self.assertEqual(["first"], [goal["name"] for goal in goals])

    def test_a_database_without_tables(self) -> None:
        models.Base.metadata.drop_all(self.database.engine)
        refusal = self.assertRaises(Conflict, self.application)
        self.assertIn("run watcher-db-manage upgrade", str(refusal))
