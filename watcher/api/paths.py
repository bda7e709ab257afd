# SPDX-License-Identifier: Apache-2.0
"""Normalizes paths before other layers decide by them."""

import re
from collections.abc import Iterable
from typing import Final

import webob

from watcher.api import errors
from watcher.api.wsgi import Application, Environ, StartResponse
from watcher.common.errors import Invalid

HEALTHCHECK: Final = "/healthcheck"

_SLASHES: Final = re.compile("/{2,}")
_COMPLETE: Final = re.compile(rf"/|/v1(/.*)?|{HEALTHCHECK}", re.DOTALL)


class Paths:
    """Collapses repeated slashes, and puts /v1 before paths without a version, as bookmark links
    have none.  *health* answers the health check.
    """

    def __init__(self, application: Application, health: Application) -> None:
        self._application, self._health = application, health

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        request = webob.Request(environ)
        try:
            request.path_info = _normalized(request)
        except Invalid as error:
            return errors.respond(error)(environ, start_response)
        chosen = self._health if request.path_info == HEALTHCHECK else self._application
        return chosen(environ, start_response)


def _normalized(request: webob.Request) -> str:
    try:
        path = request.path_info
        query = list(request.GET.items()) if request.query_string else []
    except UnicodeDecodeError:
        raise Invalid("The URL must be UTF-8.") from None
    if "\0" in path or any("\0" in text for pair in query for text in pair):
        raise Invalid("The URL must not contain a NUL character.")
    path = _SLASHES.sub("/", f"/{path}")
    return path if _COMPLETE.fullmatch(path) else f"/v1{path}"
