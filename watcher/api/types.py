# SPDX-License-Identifier: Apache-2.0
"""Types of the fields that a request body may have.

Each says in one sentence what is allowed; ``bodies.typed`` puts the field's name before it.
"""

import datetime
import re
from typing import Any

from oslo_utils import strutils, timeutils
from wsme import types

_NOT_STORED = re.compile("[\0\ud800-\udfff]")
"""NUL and lone surrogates."""


class Text(types.UserType):
    """A string that a text column can hold: bounded, without NUL and without lone surrogates."""

    basetype = str
    name = "text"

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def validate(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string.")
        if len(value) > self.longest:
            raise ValueError(f"must not be longer than {self.longest} characters.")
        if _NOT_STORED.search(value):
            raise ValueError("must be a string without NUL and surrogate characters.")
        return value


class _Json(types.UserType):
    """JSON of one kind, kept as it is."""

    def __init__(self, kind: type, name: str) -> None:
        self.basetype, self.name = kind, name

    def validate(self, value: Any) -> Any:
        if not isinstance(value, self.basetype):
            raise ValueError(f"must be a JSON {self.name}.")
        return value


class _Read(types.UserType):
    """A value that ``frombasetype`` reads and checks completely."""

    # Not int, float or bool, with which wsme would convert other values.
    basetype = str

    def validate(self, value: Any) -> Any:
        return value


class Number(_Read):
    """A number between bounds, by default a whole one."""

    name = "number"

    def __init__(self, least: int, most: int, whole: bool = True) -> None:
        self.least, self.most = least, most
        self.kinds: tuple[type, ...] = (int,) if whole else (int, float)
        self.what = "whole number" if whole else "number"

    def frombasetype(self, value: Any) -> Any:
        number = isinstance(value, self.kinds) and not isinstance(value, bool)
        if value is not None and not (number and self.least <= value <= self.most):
            raise ValueError(f"must be a {self.what} from {self.least} to {self.most}.")
        return value


class _Time(_Read):
    """A time in ISO 8601, in UTC unless it names a zone.  Becomes naive UTC."""

    name = "time"

    def frombasetype(self, value: Any) -> datetime.datetime | None:
        if value is None:
            return None
        try:
            time = timeutils.normalize_time(timeutils.parse_isotime(value))
        except (ValueError, TypeError, OverflowError):
            time = None
        # Not every database can store earlier and later years.
        if time is None or not 1970 <= time.year < 9999:
            raise ValueError("must be a time such as 2026-12-24T18:00:00, from 1970 on.")
        return time


class _Boolean(_Read):
    """True or false, in the spellings of oslo.utils; null is false."""

    name = "boolean"

    def frombasetype(self, value: Any) -> bool:
        try:
            return bool(strutils.bool_from_string(False if value is None else value, strict=True))
        except ValueError:
            raise ValueError("must be true or false.") from None


Time = _Time()
Boolean = _Boolean()
Object = _Json(dict, "object")
List = _Json(list, "list")
