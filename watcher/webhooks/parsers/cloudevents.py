# SPDX-License-Identifier: Apache-2.0
"""CloudEvents 1.0 over HTTP, in all three modes.

In structured mode the event is the body; in batched mode the body is a list of events:

    {"specversion": "1.0", "id": "A234", "source": "/monitoring/compute-1",
     "type": "org.example.host.hot", "subject": "compute-1", "data": {...}}

In binary mode the attributes are headers (``ce-id: A234``) and the body is ``data`` alone.  The
payload of the event is the structured form in either case, so that an expression over it need not
know the mode.  ``source`` and ``id`` together identify an event.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

_REQUIRED = ("id", "source", "type")
_ATTRIBUTE = re.compile(r"ce-(?!data$)([a-z0-9]+)")


def read(body: Any, headers: Mapping[str, str]) -> dict[str, Any] | None:
    batch = body if isinstance(body, list) else [body]
    if batch and all(map(_is_event, batch)):
        return _fields(batch) | {"payload": body}
    attributes = _attributes(headers) if "ce-specversion" in headers else {}
    if not _is_event(attributes):
        return None
    event = attributes if body is None else attributes | {"data": body}
    return _fields([event]) | {"payload": event}


def _is_event(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.get("specversion") == "1.0"
        and all(value.get(name) and isinstance(value[name], str) for name in _REQUIRED)
    )


def _fields(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    identities = [[event["source"], event["id"]] for event in events]
    return {
        "alarm_name": _joined(event["type"] for event in events),
        "alarm_id": _joined(event["id"] for event in events),
        "reason": _joined(map(_about, events)),
        "delivery": f"cloudevents:{json.dumps(identities)}",
    }


def _about(event: Mapping[str, Any]) -> str:
    subject = event.get("subject")
    source: str = event["source"]
    return f"{source} {subject}" if isinstance(subject, str) else source


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """The context attributes among *headers*, freed of quotes and percent-encoding."""
    named = ((_ATTRIBUTE.fullmatch(name), value) for name, value in headers.items())
    return {match[1]: unquote(_unquoted(value)) for match, value in named if match}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
