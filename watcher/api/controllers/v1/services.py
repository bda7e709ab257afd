# SPDX-License-Identifier: Apache-2.0
"""/v1/services: the decision engines and appliers, and which of them live."""

import datetime
from typing import Any

from oslo_utils import timeutils

from watcher.api import paging
from watcher.api.render import naive, record
from watcher.api.resource import Request, Resource, get
from watcher.db import services
from watcher.db.models import Service
from watcher.db.paging import Page


class Services(Resource):
    marker = staticmethod(paging.id_marker)

    @get(paged=True)
    def get_all(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "service:get_all")
        return self._list(request, page, self._short)

    @get("detail", paged=True)
    def detail(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "service:detail")
        return self._list(request, page, self._full)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, "service:get")
        with self.database.reader() as session:
            return self._full(request, services.get(session, ident))

    def _list(self, request: Request, page: Page, form: Any) -> dict[str, Any]:
        with self.database.reader() as session:
            rows = services.list_page(session, page)
            items = [form(request, row) for row in rows]
        return paging.collection(request, "services", items, page, key="id")

    def _short(self, request: Request, service: Service) -> dict[str, Any]:
        down_time = datetime.timedelta(seconds=self.conf.service_down_time)
        active = services.is_active(service, down_time, timeutils.utcnow())
        return {
            "id": service.id,
            "name": service.name,
            "host": service.host,
            "status": "ACTIVE" if active else "FAILED",
            "links": paging.links(request, "services", service.id),
        }

    def _full(self, request: Request, service: Service) -> dict[str, Any]:
        return {
            **self._short(request, service),
            "last_seen_up": naive(service.last_seen_up),
            **record(service),
        }
