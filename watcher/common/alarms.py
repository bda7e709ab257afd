# SPDX-License-Identifier: Apache-2.0
"""Alarm messages, and the facts about their audits: shared by parsers, intake and database."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

AUDIT_CANCELLED: Final = "audit_cancelled"
"""Why an event is REJECTED, at its arrival or, if it was ACCEPTED, before its run."""


@dataclasses.dataclass(frozen=True)
class AlarmMessage:
    """One message of an alarm service, whatever the service; its row is an ``AuditEvent``."""

    source: str
    payload: Any = None
    """The whole message: any JSON value, None for an empty body."""
    stored: str | None = None
    """The JSON to store, complete or truncated; None to encode the payload."""
    alarm_name: str | None = None
    """This and the texts below are as the sender wrote them, cut to the length of their column."""
    alarm_id: str | None = None
    severity: str | None = None
    previous_state: str | None = None
    current_state: str | None = None
    reason: str | None = None
    request_id: str | None = None
    resolved: bool = False
    """Whether the message reports only the end of alarms."""
    delivery: str | None = None
    """The kind of identifier (``aodh:``) and what the sender repeats with the same message;
    None if the sender does not identify its messages."""
    replay_of: str | None = None
    """UUID of the stored event that an operator replays."""


@dataclasses.dataclass(frozen=True)
class PendingRun:
    """A run that an event can join: a QUEUED run, or the run that an event in the inbox will get.
    Neither has started yet."""

    parameters: Mapping[str, Any]
    run_id: int | None = None
    event_id: int | None = None


@dataclasses.dataclass(frozen=True)
class WebhookFacts:
    """An audit, its webhook and its pending runs, read in one transaction."""

    audit_id: int
    audit_uuid: str
    audit_type: str | None
    state: str | None
    start_time: datetime.datetime | None = None
    end_time: datetime.datetime | None = None

    auth: str = "none"
    """The effective one."""
    secret_hash: str | None = None
    previous_secret_hash: str | None = None
    debounce: int = 0
    filter: str | None = None
    mapping: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Strategy parameter to JMESPath."""
    paused: bool = False

    own_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The parameters of the audit.  These and the schema are read only if there is a mapping."""
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    pending_runs: Sequence[PendingRun] = ()
    """The QUEUED run, and the youngest event in the inbox; all events in the inbox if the rate
    limit is reached and events give parameters."""
    limited_until: datetime.datetime | None = None
    """When the rate limit allows one more recorded event; None if it allows one now."""


def earliest_start(
    received: datetime.datetime, debounce: int, limited_until: datetime.datetime | None
) -> datetime.datetime:
    """The earliest start of the run that an event queues: after the debounce, and not before
    the rate limit allows another recorded event."""
    quiet = received + datetime.timedelta(seconds=debounce)
    return max(quiet, limited_until) if limited_until else quiet
