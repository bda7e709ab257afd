# SPDX-License-Identifier: Apache-2.0
"""/v1/strategies: the ways to reach a goal."""

from typing import Any

from watcher.api import paging
from watcher.api.render import related
from watcher.api.resource import Request, Resource, get
from watcher.db import strategies
from watcher.db.models import Strategy
from watcher.db.paging import Page

_FILTERS = {"goal": str}


class Strategies(Resource):
    marker = staticmethod(str)

    @get(query=_FILTERS, paged=True)
    def get_all(self, request: Request, page: Page, goal: str | None = None) -> dict[str, Any]:
        self.authorize(request, "strategy:get_all")
        return self._list(request, page, goal, _short)

    @get("detail", query=_FILTERS, paged=True)
    def detail(self, request: Request, page: Page, goal: str | None = None) -> dict[str, Any]:
        self.authorize(request, "strategy:detail")
        return self._list(request, page, goal, _full)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, "strategy:get")
        with self.database.reader() as session:
            return _full(request, strategies.get(session, ident))

    @get("{ident}/state")
    def state(self, request: Request, ident: str) -> list[dict[str, Any]]:
        """What the strategy needs and whether it is there, as the decision engine sees it."""
        self.authorize(request, "strategy:state")
        with self.database.reader() as session:
            name = strategies.get(session, ident).name
        requirements = self.engine_client.strategy_info(name)
        return [*requirements, {"type": "Name", "state": name, "mandatory": "", "comment": ""}]

    def _list(self, request: Request, page: Page, goal: str | None, form: Any) -> dict[str, Any]:
        with self.database.reader() as session:
            rows = strategies.list_page(session, page, goal)
            return paging.collection(
                request, "strategies", (form(request, row) for row in rows), page
            )


def _short(request: Request, strategy: Strategy) -> dict[str, Any]:
    return {
        "uuid": strategy.uuid,
        "name": strategy.name,
        "display_name": strategy.display_name,
        **related("goal", strategy.goal),
        "links": paging.links(request, "strategies", strategy.uuid),
    }


def _full(request: Request, strategy: Strategy) -> dict[str, Any]:
    return {**_short(request, strategy), "parameters_spec": strategy.parameters_spec or {}}
