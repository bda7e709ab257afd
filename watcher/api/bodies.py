# SPDX-License-Identifier: Apache-2.0
"""Reading request bodies: never more than is allowed, and nothing but JSON."""

import json
from typing import Any, Final, NoReturn, TypeVar

import webob
import wsme.exc
from wsme.rest.json import fromjson
from wsme.types import list_attributes

from watcher.common.errors import BodyTooLarge, Invalid

T = TypeVar("T")

_PIECE: Final = 64 * 1024


def read(request: webob.Request, limit: int) -> bytes:
    """The body.  BodyTooLarge as soon as it turns out to have more than *limit* bytes."""
    if (request.content_length or 0) > limit:
        _refuse(limit)
    if not request.is_body_readable:
        return b""
    stream, pieces, missing = request.body_file, [], limit + 1
    if request.content_length is not None:
        missing = request.content_length
    while missing > 0 and (piece := stream.read(min(missing, _PIECE))):
        pieces.append(piece)
        missing -= len(piece)
    body = b"".join(pieces)
    if len(body) > limit:
        _refuse(limit)
    return body


def decode(body: bytes) -> Any:
    """Any JSON value.  Invalid for what is not JSON, and for what is too deep to read."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise Invalid("The body is JSON that is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body is not JSON: {error}.") from None


def typed(datatype: type[T], value: Any) -> T:
    """An object of a wsme type from decoded JSON.  Invalid names the field that does not fit."""
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
    return fitted


def _set(fitted: Any, attribute: Any, value: Any) -> None:
    if attribute.readonly:
        raise Invalid(f"{attribute.name}: this field is read-only.")
    try:
        setattr(fitted, attribute.key, fromjson(attribute.datatype, value))
    except (wsme.exc.InvalidInput, ValueError, TypeError) as error:
        reason = error.msg if isinstance(error, wsme.exc.InvalidInput) else error
        raise Invalid(f"{attribute.name}: {reason}") from None


def _refuse(limit: int) -> NoReturn:
    raise BodyTooLarge(f"The body is larger than the {limit} bytes that are allowed.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
