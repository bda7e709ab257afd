# SPDX-License-Identifier: Apache-2.0
"""The webhook: what stands in the database about an audit and its queue when an event comes."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any


def due(
    received: datetime.datetime, debounce: int, full_until: datetime.datetime | None
) -> datetime.datetime:
    """Before when a run that an event queues does not begin.

    *full_until* is when there is room for one more event in the minute, if there is none.
    """
    quiet = received + datetime.timedelta(seconds=debounce)
    return max(quiet, full_until) if full_until else quiet


@dataclasses.dataclass(frozen=True)
class Hint:
    """A run that waits, or an event that is to get one: either begins after whoever sees it."""

    parameters: Mapping[str, Any]
    run_id: int | None = None
    event_id: int | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """One audit, the settings of its webhook and its queue, as one transaction saw them."""

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
    """Those of the audit itself; read only where there is a mapping, like the schema."""
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    hints: Sequence[Hint] = ()
    """The run that waits, and the youngest event that waits for one; where it is full and events
    give parameters, all of these."""
    full_until: datetime.datetime | None = None
    """None as long as there are fewer events in the last minute than are recorded."""
