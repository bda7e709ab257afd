# SPDX-License-Identifier: Apache-2.0
"""One spelling for each path, before anything decides by it."""

import re
from typing import Any, Final

import webob
from webob import dec

from watcher.api import errors
from watcher.common.errors import Invalid

HEALTHCHECK: Final = "/healthcheck"

_COMPLETE: Final = re.compile(rf"/|/v1(/.*)?|{HEALTHCHECK}", re.DOTALL)


class Paths:
    """Collapses repeated slashes, and puts /v1 before paths that name no version.

    The latter is what bookmark links need.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    @dec.wsgify
    def __call__(self, request: webob.Request) -> Any:
        try:
            path = request.path_info
            list(request.GET.items())
        except UnicodeDecodeError:
            return errors.respond(Invalid("The URL must be UTF-8."))
        if "\0" in path or any("\0" in text for pair in request.GET.items() for text in pair):
            return errors.respond(Invalid("The URL must not contain a NUL character."))
        path = re.sub("/{2,}", "/", f"/{path}")
        request.path_info = path if _COMPLETE.fullmatch(path) else f"/v1{path}"
        return self._application
