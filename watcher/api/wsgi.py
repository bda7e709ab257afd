# SPDX-License-Identifier: Apache-2.0
"""What passes between the layers of the application, as PEP 3333 has it.

The layers are plain WSGI, for an alarm passes all of them: requests and responses are made
into objects by those alone who need them.
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
