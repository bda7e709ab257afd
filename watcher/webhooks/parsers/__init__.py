# SPDX-License-Identifier: Apache-2.0
"""From a webhook request to an Event.

Alarm services are recognised by the shape of what they post: a parser a format, each
in a file of its own, tried in order, and generic JSON for all that nobody knows.  Those of
other packages, from entry points, come before Watcher's own.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from oslo_log import log

from watcher.common import plugins
from watcher.common.alarms import AlarmMessage
from watcher.webhooks.parsers import alertmanager, aodh, cloudevents, grafana

LOG = log.getLogger(__name__)

NAMESPACE: Final = "watcher_alarm_formats"

Parser = Callable[[Any, Mapping[str, str]], dict[str, Any] | None]
"""Body and headers (names in lower case) -> values for fields of an Event, or None for a
body that is not of this format.  A value may be any JSON; here it becomes clean text."""

GENERIC: Final = "generic"

PARSERS: Final[Mapping[str, Parser]] = {
    # First, because in its binary form the body may be anything, a known alarm too.
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
    """The event that a decoded body stands for.  Never fails: any JSON is an event."""
    lower = {name.lower(): value for name, value in headers.items()}
    source, facts = _read(body, lower)
    # The alarm service's own name for the request; the API has made another.
    facts["request_id"] = lower.get("x-openstack-request-id")
    key = lower.get("idempotency-key")
    delivery = f"key:{key}" if key else facts.get("delivery")
    return AlarmMessage(
        source=source[:36],
        payload=facts.get("payload", body),
        resolved=facts.get("resolved", False),
        delivery=_clean(delivery) if delivery else None,
        **{field: _text(facts.get(field), length) for field, length in _LENGTHS.items()},
    )


def _read(body: Any, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    for source, read in _installed().items():
        try:
            if (facts := read(body, headers)) is not None:
                json.dumps(facts)
                return source, {**facts, "resolved": bool(facts.get("resolved"))}
        except Exception as error:  # of another package: the message is an event all the same
            LOG.warning("The alarm format %s failed on a message: %r", source, error)
    for source, read in PARSERS.items():
        facts = read(body, headers)
        if facts is not None:
            return source, facts
    return GENERIC, {}


@functools.cache
def _installed() -> Mapping[str, Parser]:
    return plugins.load(NAMESPACE, Callable)


def _text(value: Any, length: int) -> str | None:
    """*value* as text that every database takes, and not too long.

    What should be a string and is not comes as the JSON that it was.
    """
    if value is None:
        return None
    return _clean(value if isinstance(value, str) else json.dumps(value))[:length]


def _clean(text: str) -> str:
    """*text* without NUL and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
