# SPDX-License-Identifier: Apache-2.0
"""From a webhook request to an AlarmMessage.

Formats are recognised by the fields of the body.  Each has a parser in a file of its own; they
are tried in order, and other JSON is a generic message.  Parsers of other packages, from entry
points, come before those of Watcher.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from oslo_log import log

from watcher.common import entry_points
from watcher.common.alarms import AlarmMessage
from watcher.webhooks.parsers import alertmanager, aodh, cloudevents, grafana

LOG = log.getLogger(__name__)

NAMESPACE: Final = "watcher_alarm_formats"

Parser = Callable[[Any, Mapping[str, str]], dict[str, Any] | None]
"""Body and headers (names in lower case) -> fields of an AlarmMessage, or None for a body of
another format.  A value may be any JSON; ``parse`` makes clean text of it."""

GENERIC: Final = "generic"

PARSERS: Final[Mapping[str, Parser]] = {
    # First, because in its binary form the body may have any format, also one of those below.
    "cloudevents": cloudevents.read,
    "aodh": aodh.read,
    "grafana": grafana.read,
    "alertmanager": alertmanager.read,
}
"""Source -> its parser, in the order in which they are tried."""

_LENGTHS = {
    "alarm_name": 255,
    "alarm_id": 255,
    "severity": 63,
    "previous_state": 63,
    "current_state": 63,
    "reason": 4096,
    "request_id": 255,
}


def parse(body: Any, headers: Mapping[str, str]) -> AlarmMessage:
    """The message of a decoded body.  Never fails: any JSON is a message."""
    lower = {name.lower(): value for name, value in headers.items()}
    source, fields = _read(body, lower)
    # The request id of the alarm service, which differs from that of the API.
    fields["request_id"] = lower.get("x-openstack-request-id")
    key = lower.get("idempotency-key")
    delivery = f"key:{key}" if key else fields.get("delivery")
    return AlarmMessage(
        source=source[:36],
        payload=fields.get("payload", body),
        resolved=fields.get("resolved", False),
        delivery=_clean(delivery) if delivery else None,
        **{field: _text(fields.get(field), length) for field, length in _LENGTHS.items()},
    )


def _read(body: Any, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    for source, read in installed().items():
        try:
            if (fields := read(body, headers)) is not None:
                json.dumps(fields)
                return source, {**fields, "resolved": bool(fields.get("resolved"))}
        except entry_points.FAILURES as error:  # of another package; the message must not be lost
            LOG.warning("The alarm format %s failed on a message: %r", source, error)
    for source, read in PARSERS.items():
        fields = read(body, headers)
        if fields is not None:
            return source, fields
    return GENERIC, {}


@functools.cache
def installed() -> Mapping[str, Parser]:
    return entry_points.load(NAMESPACE, Callable)


def _text(value: Any, length: int) -> str | None:
    """*value* as text of at most *length* characters that every database can store.

    A value that is not a string becomes its JSON.
    """
    return None if value is None else _clean(value)[:length]


def _clean(value: Any) -> str:
    """*value* as text without NUL and lone surrogates."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
