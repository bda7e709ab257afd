# SPDX-License-Identifier: Apache-2.0
"""Requests to Watcher's API, over the session and the version of python-watcherclient."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit


class Api:
    """Paths are given by their segments; each is quoted here, as names may have any character."""

    def __init__(self, http: Any) -> None:
        self._http = http

    def get(self, *path: str, **query: Any) -> Any:
        return self.send("GET", *path, **query)[1]

    def post(self, *path: str, body: Any = None) -> Any:
        return self.send("POST", *path, json=body)[1]

    def patch(self, *path: str, body: Any) -> Any:
        return self.send("PATCH", *path, json=body)[1]

    def delete(self, *path: str) -> None:
        self.send("DELETE", *path)

    def send(
        self,
        method: str,
        *path: str,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> tuple[Any, Any]:
        """The answer and its decoded body, an empty list without one.

        The body of the request is *json*, or *data* as it is.  Raises an ``HttpError`` of
        watcherclient for a status of 400 or more.
        """
        body = {} if json is None else {"body": json}
        if data is not None:
            body = {"data": data}
        answer: tuple[Any, Any] = self._http.json_request(
            method, _url(path, query), headers=dict(headers or {}), **body
        )
        return answer

    def items(self, *path: str, limit: int | None = None, **query: Any) -> list[Any]:
        """Items of the list that the last segment of *path* names.

        As in python-watcherclient that is one page without a *limit*, and all pages with 0.
        """
        url = _url(path, {"limit": limit or None, **query})
        key = path[-2] if path[-1] == "detail" else path[-1]
        found: list[Any] = []
        while url:
            page = self._http.json_request("GET", url)[1]
            found += page[key]
            if limit is None or 0 < limit <= len(found):
                break
            # Only path and query: the session puts the endpoint before them.
            url = urlunsplit(("", "", *urlsplit(page.get("next") or "")[2:]))
        return found[: limit or None]


def _url(path: tuple[str, ...], query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    url = "/".join(["/v1", *(quote(segment, safe="") for segment in path)])
    return f"{url}?{urlencode(given)}" if given else url
