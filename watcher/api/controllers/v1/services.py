# SPDX-License-Identifier: Apache-2.0
"""/v1/services: the decision engines and appliers, and which of them are alive."""

import datetime
from typing import Any

from oslo_utils import timeutils

from watcher.api import paging
from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import naive, record
from watcher.api.resource import Request, get
from watcher.db import overview, services
from watcher.db.models import Service


class Services(ReadResource):
    singular, plural, key = "service", "services", "id"
    columns = "id name host"
    marker = staticmethod(paging.id_marker)
    one, page = staticmethod(services.get), staticmethod(services.list_page)

    @property
    def _down_time(self) -> datetime.timedelta:
        return datetime.timedelta(seconds=self.conf.service_down_time)

    @get("status")
    def status(self, request: Request) -> dict[str, Any]:
        """The same facts as ``watcher-status show`` shows."""
        self.authorize(request, "service:status")
        with self.database.reader() as session:
            return overview.facts(session, self._down_time, timeutils.utcnow())

    def short(self, request: Request, row: Service) -> dict[str, Any]:
        status = services.state(row, self._down_time, timeutils.utcnow())
        return {**super().short(request, row), "status": status}

    def more(self, request: Request, row: Service) -> dict[str, Any]:
        return {"last_seen_up": naive(row.last_seen_up), **record(row)}
