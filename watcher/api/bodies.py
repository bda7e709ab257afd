# SPDX-License-Identifier: Apache-2.0
"""Reads request bodies: JSON of a limited size."""

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn, TypeVar

import webob
import wsme.exc
from oslo_log import log
from wsme.rest.json import fromjson
from wsme.types import list_attributes

from watcher.api.wsgi import Application, Environ, StartResponse
from watcher.common.errors import BodyTooLarge, Invalid, Unavailable

LOG = log.getLogger(__name__)

T = TypeVar("T")

MAX_READ: Final = 64 * 1024 * 1024
"""Bytes of a body that are read at most, even if only to discard them."""

LARGE: Final = 256 * 1024
"""Bytes beyond which a body is large: in memory its decoded form takes several times as much."""

_MAX_WAIT: Final = 5.0
"""Seconds that a request with a large body waits for another one to end."""

_PIECE: Final = 64 * 1024


class LargeBodyLimit:
    """Limits the requests with large bodies to a quarter of the *threads*.

    The same number of others waits, and any more are refused with 503, because each of them would
    occupy a thread.
    """

    def __init__(self, application: Application, threads: int) -> None:
        self._application = application
        few = max(1, threads // 4)
        self._slots = threading.BoundedSemaphore(few)
        self.admitted = threading.BoundedSemaphore(2 * few)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if not chunked and not (length.isdigit() and int(length[:12]) > LARGE):
            return self._application(environ, start_response)
        with _taken(self.admitted, 0.0), _taken(self._slots, _MAX_WAIT):
            return self._application(environ, start_response)


@contextlib.contextmanager
def _taken(places: threading.Semaphore, seconds: float) -> Iterator[None]:
    if not places.acquire(timeout=seconds):
        raise Unavailable("Too many requests with large bodies are handled now; try again later.")
    try:
        yield
    finally:
        places.release()


class DiscardUnreadBody:
    """Reads the rest of the body after the answer is made.

    Otherwise some servers read all of it into memory, and others close the connection while the
    client still sends, so that the client does not get the answer.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # webob's stream ends where the body ends, whoever reads it.
        stream = webob.Request(environ).body_file
        answer = self._application(environ, start_response)
        # The client is gone or has sent less than announced; servers raise errors of their own.
        with contextlib.suppress(Exception):
            for _ in range(0, MAX_READ, _PIECE):
                if not stream.read(_PIECE):
                    break
        return answer


def read(request: webob.Request, limit: int) -> bytes:
    """The body.  BodyTooLarge if it has more than *limit* bytes, without reading the rest."""
    announced = request.environ.get("CONTENT_LENGTH") or "0"
    if not (announced.isascii() and announced.isdigit()):
        raise Invalid("Content-Length: this must be a number, of 0 or more.")
    chunked = "HTTP_TRANSFER_ENCODING" in request.environ
    if chunked and not request.environ.get("wsgi.input_terminated"):  # uWSGI reads no chunks
        raise Invalid("Transfer-Encoding: this server takes a body with Content-Length only.")
    length, body = request.content_length or 0, b""
    if length <= limit:
        body = _read_up_to(request.body_file, limit + 1)
    if max(length, len(body)) > limit:
        raise BodyTooLarge(f"The body is larger than the {limit} bytes that are allowed.")
    return body


def _read_up_to(stream: Any, size: int) -> bytes:
    pieces = []
    try:
        while size > 0 and (piece := stream.read(min(size, _PIECE))):
            pieces.append(piece)
            size -= len(piece)
    except Exception as error:  # servers raise errors of their own
        LOG.info("A body cannot be read: %s: %s", type(error).__name__, error)
        raise Invalid("The body is not as long, or not in such chunks, as it says.") from None
    return b"".join(pieces)


def decode(body: bytes) -> Any:
    """Any JSON value.  Invalid for a body that is not JSON, or that is nested too deeply."""
    try:
        return _JSON.decode(body.decode("utf-8"))
    except RecursionError:
        raise Invalid("The body is JSON that is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body is not JSON: {error}.") from None


def typed(datatype: type[T], value: Any) -> T:
    """An object of a wsme type from decoded JSON; a field that is left out is None.

    Invalid names the field that does not fit.
    """
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    attributes = {attribute.name: attribute for attribute in list_attributes(datatype)}
    if unknown := sorted(value.keys() - attributes.keys()):
        raise Invalid(
            f"{unknown[0][:63]}: no such field; allowed are {', '.join(sorted(attributes))}."
        )
    fitted = datatype()
    for name, attribute in attributes.items():
        if name in value:
            _set(fitted, attribute, value[name])
        elif attribute.mandatory:
            raise Invalid(f"{name}: this field is missing.")
        else:
            setattr(fitted, name, None)
    return fitted


def _set(fitted: Any, attribute: Any, value: Any) -> None:
    if attribute.readonly:
        raise Invalid(f"{attribute.name}: this field is read-only.")
    try:
        setattr(fitted, attribute.key, fromjson(attribute.datatype, value))
    except (wsme.exc.InvalidInput, ValueError, TypeError) as error:
        reason = error.msg if isinstance(error, wsme.exc.InvalidInput) else error
        raise Invalid(f"{attribute.name}: {reason}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_JSON: Final = json.JSONDecoder(parse_constant=_refuse_constant)
