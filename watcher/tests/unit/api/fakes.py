# SPDX-License-Identifier: Apache-2.0
"""An API to test, without servers around it."""

from typing import Any

import webob

from watcher.api import app
from watcher.notifications import Notifications
from watcher.tests.base import DatabaseTestCase


class Bell:
    def ring(self, uuid: str) -> None:
        """Nobody is at home."""


class ApiTestCase(DatabaseTestCase):
    """A test with an API without keystone; ``configure`` may change that."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        self.configure()
        self.application = app.build(
            self.conf, self.database, Bell(), Bell(), Notifications(self.conf, self.database)
        )

    def configure(self) -> None:
        """Set what the test needs before the API is built."""

    def request(self, path: str, method: str = "GET", **arguments: Any) -> webob.Response:
        if "json" in arguments:
            arguments["content_type"] = "application/json"
        request = webob.Request.blank(path, method=method, **arguments)
        return request.get_response(self.application)
