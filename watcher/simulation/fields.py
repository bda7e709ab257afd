# SPDX-License-Identifier: Apache-2.0
"""Values from the mappings of a file, with errors that name the field."""

import dataclasses
import datetime
import uuid
from collections.abc import Mapping
from typing import Any, TypeVar

from watcher.common.errors import Invalid

T = TypeVar("T")

_NAMESPACE = uuid.UUID("6f5bdc5c-5d2e-4f0e-9f0a-3f9ed6a2c1d7")


def made(kind: type[T], where: str, entry: Any) -> T:
    """*kind* from the fields of *entry*; Invalid if they do not fit."""
    if not isinstance(entry, Mapping):
        raise Invalid(f"{where}: '{entry}' must be a mapping.")
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    refuse_unknown(where, entry, {field.name for field in fields})
    try:
        return kind(**entry)
    except TypeError as error:
        raise Invalid(f"{where}: {dict(entry)} is not complete: {error}.") from error


def uuid_of(name: str) -> str:
    """A uuid for something that has only a name in the file; always the same for one name."""
    return str(uuid.uuid5(_NAMESPACE, name))


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
