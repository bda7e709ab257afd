# SPDX-License-Identifier: Apache-2.0
"""An API to test, without servers around it."""

from typing import Any, NoReturn

import webob
from oslo_config import cfg

from watcher.api import app
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.errors import Unavailable
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.tests.base import DatabaseTestCase


class Bell:
    def ring(self, uuid: str) -> None:
        """Nobody is at home."""


class NoEngine:
    """A message bus that cannot be reached."""

    def strategy_info(self, strategy_name: str) -> NoReturn:
        raise Unavailable("No decision engine.")


def build_api(
    conf: cfg.ConfigOpts,
    database: Database,
    notifications: Notifications | None = None,
    unrecorded: UnrecordedEvents | None = None,
) -> app.Application:
    """An API whose doorbells nobody hears."""
    notifications = notifications or Notifications(conf, database)
    unrecorded = unrecorded or UnrecordedEvents(database)
    return app.build(conf, database, Bell(), Bell(), notifications, NoEngine(), unrecorded)


class ApiTestCase(DatabaseTestCase):
    """A test with an API without keystone; ``configure`` may change that."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        self.configure()
        self.application = build_api(self.conf, self.database)

    def configure(self) -> None:
        """Set what the test needs before the API is built."""

    def request(self, path: str, method: str = "GET", **arguments: Any) -> webob.Response:
        if "json" in arguments:
            arguments["content_type"] = "application/json"
        request = webob.Request.blank(path, method=method, **arguments)
        return request.get_response(self.application)
