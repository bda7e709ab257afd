# SPDX-License-Identifier: Apache-2.0
"""/v1/goals: what audits may aim at."""

from typing import Any

from watcher.api import paging
from watcher.api.render import record
from watcher.api.resource import Request, Resource, get
from watcher.db import goals
from watcher.db.models import Goal
from watcher.db.paging import Page


class Goals(Resource):
    marker = staticmethod(str)

    @get(paged=True)
    def get_all(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "goal:get_all")
        return self._list(request, page, _short)

    @get("detail", paged=True)
    def detail(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "goal:detail")
        return self._list(request, page, _full)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, "goal:get")
        with self.database.reader() as session:
            return _full(request, goals.get(session, ident))

    def _list(self, request: Request, page: Page, form: Any) -> dict[str, Any]:
        with self.database.reader() as session:
            rows = goals.list_page(session, page)
            return paging.collection(request, "goals", (form(request, goal) for goal in rows), page)


def _short(request: Request, goal: Goal) -> dict[str, Any]:
    return {
        "uuid": goal.uuid,
        "name": goal.name,
        "display_name": goal.display_name,
        "efficacy_specification": goal.efficacy_specification,
        "links": paging.links(request, "goals", goal.uuid),
    }


def _full(request: Request, goal: Goal) -> dict[str, Any]:
    return {**_short(request, goal), **record(goal)}
