# SPDX-License-Identifier: Apache-2.0
"""The interface between the layers of the application: PEP 3333.

The layers are plain WSGI, because each alarm passes all of them; only layers that need objects
for requests and responses make them.
"""

from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def adding(start_response: StartResponse, more: Headers) -> StartResponse:
    """A ``start_response`` that puts *more* headers on the answer."""

    def start(status: str, headers: Headers, *error: Any) -> Any:
        return start_response(status, [*headers, *more], *error)

    return start
