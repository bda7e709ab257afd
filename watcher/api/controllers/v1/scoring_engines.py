# SPDX-License-Identifier: Apache-2.0
"""/v1/scoring_engines: models that strategies may ask for a score."""

from typing import Any

from watcher.api import paging
from watcher.api.resource import Request, Resource, get
from watcher.db import scoring_engines
from watcher.db.models import ScoringEngine
from watcher.db.paging import Page


class ScoringEngines(Resource):
    marker = staticmethod(str)

    @get(paged=True)
    def get_all(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "scoring_engine:get_all")
        return self._list(request, page, _short)

    @get("detail", paged=True)
    def detail(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "scoring_engine:detail")
        return self._list(request, page, _full)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, "scoring_engine:get")
        with self.database.reader() as session:
            return _full(request, scoring_engines.get(session, ident))

    def _list(self, request: Request, page: Page, form: Any) -> dict[str, Any]:
        with self.database.reader() as session:
            rows = scoring_engines.list_page(session, page)
            return paging.collection(
                request, "scoring_engines", (form(request, row) for row in rows), page
            )


def _short(request: Request, engine: ScoringEngine) -> dict[str, Any]:
    return {
        "uuid": engine.uuid,
        "name": engine.name,
        "description": engine.description,
        "links": paging.links(request, "scoring_engines", engine.uuid),
    }


def _full(request: Request, engine: ScoringEngine) -> dict[str, Any]:
    return {**_short(request, engine), "metainfo": engine.metainfo}
