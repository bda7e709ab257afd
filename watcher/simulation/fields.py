# SPDX-License-Identifier: Apache-2.0
"""Values from the mappings of a file, with errors that name the field."""

import contextlib
import dataclasses
import datetime
import functools
import math
import types
import typing
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from watcher.common.errors import Invalid

T = TypeVar("T")

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Mapping: "a mapping",
    Sequence: "a list",
    frozenset: "a list",
    datetime.datetime: "a time",
    types.NoneType: "null",
}
"""The words of a file for the types of fields."""
_NAMESPACE = uuid.UUID("6f5bdc5c-5d2e-4f0e-9f0a-3f9ed6a2c1d7")


def made(kind: type[T], where: str, entry: Any) -> T:
    """*kind* from the fields of *entry*; Invalid if they do not fit."""
    if not isinstance(entry, Mapping):
        raise Invalid(f"{where}: '{entry}' must be a mapping.")
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    refuse_unknown(where, entry, {field.name for field in fields})
    allowed = _allowed(kind)  # type: ignore[arg-type]
    values = {name: _fitted(where, name, entry[name], allowed.get(name, ())) for name in entry}
    try:
        return kind(**values)
    except TypeError as error:
        raise Invalid(f"{where}: {dict(entry)} is not complete: {error}.") from error


@contextlib.contextmanager
def fitting(where: str) -> Iterator[None]:
    """Turn errors about values of unexpected types into Invalid."""
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise Invalid(f"{where}: the file does not fit: {error}.") from error


@functools.cache
def _allowed(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """The types of the fields of a dataclass, as far as they can be checked."""
    allowed = {}
    for name, hint in typing.get_type_hints(kind).items():
        parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        plain = tuple(typing.get_origin(part) or part for part in parts)
        if all(each in _WORDS for each in plain):
            allowed[name] = plain
    return allowed


def _fitted(where: str, name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """The value of a field; Invalid if it is of none of the types *allowed*.

    A whole number is a text as well, because YAML reads a name that has digits only as a number.
    """
    if not allowed or (type(value) in allowed and value == value):
        return value
    if type(value) is int and float in allowed:
        return value
    if type(value) is int and str in allowed:
        return str(value)
    if isinstance(value, list | tuple | Mapping) and isinstance(value, allowed):
        return value
    words = " or ".join(_WORDS[each] for each in allowed)
    raise Invalid(f"{where}: {name} must be {words}, not {value!r:.60}.")


def measured(where: str, value: Any) -> Any:
    """The value of a metric; None if there is no number, as in a source of metrics.  Invalid for
    anything but numbers, and for a mapping with others."""
    if isinstance(value, Mapping):
        return {key: measured(where, each) for key, each in value.items()}
    if value is None or type(value) in (int, float):
        return value if value is not None and math.isfinite(value) else None
    raise Invalid(f"metrics: {where} must be a number, not {value!r:.60}.")


def columns(value: object, names: Iterable[str]) -> dict[str, Any]:
    """Some fields of *value*, by name."""
    return {name: getattr(value, name) for name in names}


def uuid_of(name: Any) -> str:
    """A uuid for something that has only a name in the file; always the same for one name."""
    return str(uuid.uuid5(_NAMESPACE, str(name)))


def moment(value: Any) -> Any:
    """A time written as ISO 8601, without its zone; anything else as it is."""
    if not isinstance(value, str):
        return value
    return datetime.datetime.fromisoformat(value.rstrip("Z"))


def refuse_unknown(where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    unknown = entry.keys() - known
    if unknown:
        raise Invalid(
            f"{where}: {', '.join(sorted(unknown))} unknown; allowed are "
            f"{', '.join(sorted(known))}."
        )


def refuse_repeated(where: str, values: Iterable[Any]) -> None:
    repeated = [value for value, number in Counter(values).items() if number > 1]
    if repeated:
        raise Invalid(f"{where} '{repeated[0]}' is there more than once.")
