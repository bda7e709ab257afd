# SPDX-License-Identifier: Apache-2.0
"""Pages of a list in requests and responses, and the links of objects."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from watcher.common.errors import Invalid
from watcher.db.lookup import canonical_uuid
from watcher.db.paging import Page

PARAMETERS: Final = ("limit", "marker", "sort_key", "sort_dir")
_DIRECTIONS: Final = ("asc", "desc")

Order = tuple[str, str]
"""The key that a list is sorted by, and in which direction."""
OLDEST_FIRST: Final[Order] = ("id", "asc")


def page(
    query: Mapping[str, str],
    max_limit: int,
    read_marker: Callable[[str], str] = str,
    order: Order = OLDEST_FIRST,
) -> Page:
    """The page that query parameters ask for.  Invalid names the parameter."""
    direction = query.get("sort_dir", order[1])
    if direction not in _DIRECTIONS:
        raise Invalid(f"sort_dir: must be {' or '.join(_DIRECTIONS)}.")
    return Page(
        limit=_limit(query.get("limit"), max_limit),
        marker=read_marker(query["marker"]) if "marker" in query else None,
        sort_key=query.get("sort_key", order[0]),
        descending=direction == "desc",
    )


def uuid_marker(text: str) -> str:
    uuid = canonical_uuid(text)
    if uuid is None:
        raise Invalid("marker: must be the uuid of an item of this list.")
    return uuid


def id_marker(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise Invalid("marker: must be the id of an item of this list.")
    return text


def _limit(text: str | None, max_limit: int) -> int:
    if text is None:
        return max_limit
    if not text.isascii() or not text.isdigit() or not text.strip("0"):
        raise Invalid("limit: must be a whole number greater than 0.")
    # Length first: converting a million digits is work.
    return max_limit if len(text) > 9 else min(int(text), max_limit)


def collection(
    request: Any,
    resource: str,
    rows: Iterable[Mapping[str, Any]],
    page: Page,
    key: str = "uuid",
    below: str = "",
) -> dict[str, Any]:
    """The body of a list, which stands *below* another resource or on its own.

    A full page has a ``next``.  It repeats the filters of the request, and it leaves out the
    prefix that the service may be mounted under, because clients put their endpoint before it.
    """
    items = list(rows)
    body: dict[str, Any] = {resource: items}
    if len(items) == page.limit:
        filters = [(name, value) for name, value in request.GET.items() if name not in PARAMETERS]
        query = urlencode(
            [
                ("sort_key", page.sort_key),
                ("sort_dir", _DIRECTIONS[page.descending]),
                ("limit", page.limit),
                ("marker", items[-1][key]),
                *filters,
            ]
        )
        detail = "/detail" if request.path_info.rstrip("/").endswith("/detail") else ""
        body["next"] = f"{request.host_url}/v1/{below}{resource}{detail}?{query}"
    return body


def links(request: Any, resource: str, ident: object) -> list[dict[str, str]]:
    """The two links of an object; the first one is the object's own."""
    place = f"{resource}/{quote(str(ident), safe='')}"
    return [
        {"href": f"{request.host_url}/v1/{place}", "rel": "self"},
        {"href": f"{request.host_url}/{place}", "rel": "bookmark"},
    ]
