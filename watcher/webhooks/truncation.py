# SPDX-License-Identifier: Apache-2.0
"""Payloads as they are stored: complete, or truncated and marked as such."""

import json
from typing import Any, Final

CUT: Final = "watcher_cut"
"""The key that marks a truncated payload."""

_LARGEST_CHARACTER: Final = len("\\ud83d\\udd25")
"""The length of the longest character in JSON."""


def truncated(payload: Any, most: int) -> str:
    """JSON of at most *most* bytes: the payload, or as much of its beginning as fits.

    A truncated object has one more key, CUT; any other truncated value is put into an object.
    """
    text = json.dumps(payload)
    if len(text) <= most:
        return text
    said = f"This message had {len(text)} bytes, of which about {most} are kept."
    whole = isinstance(payload, dict)
    around = {CUT: said} if whole else {CUT: said, "payload": None}
    part, _ = _beginning(payload, most - len(json.dumps(around)) - 2)
    return json.dumps({CUT: said, **part} if whole else {CUT: said, "payload": part})


def _beginning(value: Any, room: int) -> tuple[Any, int]:
    """The beginning of a value that fits into *room* bytes of JSON, and its size."""
    if isinstance(value, dict):
        return _of_object(value, room)
    if isinstance(value, list):
        return _of_list(value, room)
    size = len(json.dumps(value))
    if size <= room or not isinstance(value, str):
        return value, size
    shorter = value[: max(0, room - 5) // _LARGEST_CHARACTER] + "..."
    return shorter, len(json.dumps(shorter))


def _of_object(value: dict[str, Any], room: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    used = 2
    for key, item in value.items():
        around = len(json.dumps(key)) + 4
        part, size = _beginning(item, room - used - around)
        if used + around + size > room:
            break
        found[key] = part
        used += around + size
    return found, used


def _of_list(value: list[Any], room: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    remark = len(_more(len(value))) + 4
    used = 2
    for number, item in enumerate(value):
        part, size = _beginning(item, room - used - remark - 2)
        if used + size + 2 + remark > room or part != item:
            more = _more(len(value) - number)
            return [*found, more], used + len(more) + 4
        found.append(part)
        used += size + 2
    return found, used


def _more(number: int) -> str:
    return f"... and {number} more"
