# SPDX-License-Identifier: Apache-2.0
"""The only place that turns errors into responses.  Their ``error_message`` is JSON as a string."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import webob
from oslo_db import exception as db_errors
from oslo_log import log
from webob import exc

from watcher.common import errors
from watcher.common.errors import WatcherError
from watcher.db.errors import Unwritable, WrongSchema
from watcher.db.timeouts import LockWait

LOG = log.getLogger(__name__)


class MethodNotAllowed(WatcherError):
    """The path exists, the method on it does not."""

    def __init__(self, sentence: str, allowed: Iterable[str]) -> None:
        super().__init__(sentence)
        self.allowed = sorted(allowed)


STATUS: Final[Mapping[type[Exception], int]] = {
    errors.Invalid: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.Unavailable: 503,
    # Not 503, because clients repeat that five times, and would wait as long each time.
    errors.Unanswered: 500,
}

_DATABASE: Final[Mapping[type[Exception], tuple[int, str]]] = {
    db_errors.DBDataError: (400, "A value is too long or too large to be stored."),
    db_errors.DBDuplicateEntry: (409, "Another object has this name or identifier already."),
    LockWait: (503, "The database is too busy now; try again later."),
    db_errors.DBConnectionError: (503, "The database does not answer now; try again later."),
    db_errors.DBDeadlock: (503, "The database is too busy now; try again later."),
    Unwritable: (
        503,
        "The database cannot be written now: its disk is full, or its file is read-only.",
    ),
    WrongSchema: (
        503,
        "The database is of another version of Watcher; run watcher-db-manage upgrade.",
    ),
}
"""Status and sentence for errors whose own text names tables."""

RETRY_AFTER: Final = 5
"""Seconds: long enough for a service to restart, short enough for an alarm."""

UNEXPECTED: Final = "Watcher met an error that it did not expect; its log has the details."


def respond(error: Exception) -> webob.Response:
    """The answer to a request that ended in *error*."""
    status, sentence = _meaning(error)
    if status >= 500:
        # No traceback for an unavailable service, because each request would log it.
        details = error if status == 500 else None
        LOG.error("%s answered with %d: %s", type(error).__name__, status, error, exc_info=details)
    fault = {
        "faultcode": "Client" if status < 500 else "Server",
        "faultstring": sentence,
        "debuginfo": None,
    }
    response = webob.Response(
        json.dumps({"error_message": json.dumps(fault)}),
        status=status,
        content_type="application/json",
        charset="UTF-8",
    )
    if isinstance(error, MethodNotAllowed):
        response.allow = error.allowed
    if isinstance(error, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = error.challenge
    if status == 503:
        response.retry_after = RETRY_AFTER
    return response


def _meaning(error: Exception) -> tuple[int, str]:
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind], str(error)
        if kind in _DATABASE:
            return _DATABASE[kind]
    if isinstance(error, exc.HTTPException):
        return error.status_int, error.detail or error.explanation or error.title
    return 500, UNEXPECTED
