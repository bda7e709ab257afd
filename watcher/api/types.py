# SPDX-License-Identifier: Apache-2.0
"""Types of the fields that a request body may have.

Each says in one sentence what is allowed; ``bodies.typed`` puts the field's name before it.
"""

from typing import Any

from wsme import types


class Text(types.UserType):
    """A string that a text column takes: bounded, without NUL and without half characters."""

    basetype = str
    name = "text"

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def validate(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string.")
        if len(value) > self.longest:
            raise ValueError(f"must not be longer than {self.longest} characters.")
        if "\0" in value or not _encodable(value):
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


Object = _Json(dict, "object")
List = _Json(list, "list")


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
