# SPDX-License-Identifier: Apache-2.0
"""From the body of a webhook request to an Event.

Alarm services are recognised by the shape of what they post, never by headers:
a parser a format, tried in order, and generic JSON for all that nobody knows.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from watcher.common.event import Event

Payload = Mapping[str, Any]


_LENGTHS = {
    "alarm_name": 255,
    "alarm_id": 255,
    "severity": 63,
    "previous_state": 63,
    "current_state": 63,
    "reason": 4096,
    "request_id": 255,
}


def parse(body: Any, request_id: str | None = None) -> Event:
    """The event that a decoded body stands for.  Never fails: any JSON is an event."""
    source, facts = "generic", {}
    if isinstance(body, Mapping):
        for name, recognised, read in _FORMATS:
            if recognised(body):
                source, facts = name, read(body)
                break
    kept = {
        field: _text(value, _LENGTHS[field])
        for field, value in (facts | {"request_id": request_id}).items()
    }
    return Event(source=source, payload=body, **kept)


def _is_aodh(body: Payload) -> bool:
    return {"alarm_id", "alarm_name", "current", "previous"} <= body.keys()


def _read_aodh(body: Payload) -> dict[str, Any]:
    return {
        "alarm_name": body["alarm_name"],
        "alarm_id": body["alarm_id"],
        "severity": body.get("severity"),
        "previous_state": body["previous"],
        "current_state": body["current"],
        "reason": body.get("reason"),
    }


_Format = tuple[str, Callable[[Payload], bool], Callable[[Payload], dict[str, Any]]]
_FORMATS: tuple[_Format, ...] = (("aodh", _is_aodh, _read_aodh),)


def _text(value: Any, length: int) -> str | None:
    """*value* as text that every database takes: no NUL, no lone surrogate, not too long.

    What should be a string and is not comes as the JSON that it was.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    clean = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return clean[:length]
