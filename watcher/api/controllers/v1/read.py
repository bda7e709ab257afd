# SPDX-License-Identifier: Apache-2.0
"""The base class of resources whose rows are read from the database."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from watcher.api import fields, paging
from watcher.api.resource import Request, Resource, get
from watcher.db.paging import Page


class ReadResource(Resource):
    """A resource with a list, a list with all fields, and single items.

    A subclass says how its rows are read and shown.
    """

    singular: ClassVar[str]
    """The first part of the names of its policy rules."""
    plural: ClassVar[str]
    """The name of the resource in the URL and in the body of a list."""
    filters: ClassVar[Mapping[str, Callable[[str], Any]]] = {}
    """Query parameters of both lists, and how each is read; they become arguments of ``page``."""
    key: ClassVar[str] = "uuid"
    """The field that links and the marker of a list name."""
    columns: ClassVar[str]
    """The names of the columns that lists show unchanged, with spaces between the names."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        lists = (ReadResource.get_all, ReadResource.detail)
        cls.routes = tuple(
            dataclasses.replace(route, query=cls.filters) if route.handler in lists else route
            for route in cls.routes
        )

    one: Callable[..., Any]
    """The row that a UUID or name identifies.  NotFound."""
    page: Callable[..., Sequence[Any]]
    """The rows of a page."""

    def short(self, request: Request, row: Any) -> dict[str, Any]:
        """The fields of a row that lists show."""
        links = paging.links(request, self.plural, getattr(row, self.key))
        return {**fields.columns(row, self.columns), "links": links}

    def more(self, request: Request, row: Any) -> dict[str, Any]:
        """The other fields of a row."""
        raise NotImplementedError

    def whole(self, request: Request, row: Any) -> dict[str, Any]:
        return {**self.short(request, row), **self.more(request, row)}

    def full(self, request: Request, session: Session, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """All fields of rows; a subclass may read here what other tables have about them."""
        return [self.whole(request, row) for row in rows]

    @get(paged=True)
    def get_all(self, request: Request, page: Page, **filters: Any) -> dict[str, Any]:
        self.authorize(request, f"{self.singular}:get_all")
        with self.database.reader() as session:
            items = [self.short(request, row) for row in self.page(session, page, **filters)]
            return paging.collection(request, self.plural, items, page, self.key)

    @get("detail", paged=True)
    def detail(self, request: Request, page: Page, **filters: Any) -> dict[str, Any]:
        self.authorize(request, f"{self.singular}:detail")
        with self.database.reader() as session:
            items = self.full(request, session, self.page(session, page, **filters))
            return paging.collection(request, self.plural, items, page, self.key)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, f"{self.singular}:get")
        with self.database.reader() as session:
            (item,) = self.full(request, session, [self.one(session, ident)])
            return item
