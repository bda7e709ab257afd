# SPDX-License-Identifier: Apache-2.0
"""The event: one message of an alarm service, as all of Watcher knows it."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Event:
    """One message of an alarm service, in Watcher's words.

    Text is as the sender wrote it, cut to the length that is kept.  ``payload`` is
    the whole message: any JSON value, None for an empty one; ``stored`` is the JSON that is
    kept of it, None for all.  ``resolved`` says that all
    of it tells of the end of alarms.  ``delivery`` is what the sender repeats when it
    sends the same message again, with its kind in front; None if there is no telling.
    ``replay_of`` is the UUID of the stored event whose message this is, if an operator sent it.
    """

    source: str
    payload: Any = None
    stored: str | None = None
    alarm_name: str | None = None
    alarm_id: str | None = None
    severity: str | None = None
    previous_state: str | None = None
    current_state: str | None = None
    reason: str | None = None
    request_id: str | None = None
    resolved: bool = False
    delivery: str | None = None
    replay_of: str | None = None
