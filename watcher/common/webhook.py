# SPDX-License-Identifier: Apache-2.0
"""The webhook: what stands in the database about the door of an audit when somebody knocks."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any


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

    waiting_id: int | None = None
    """The QUEUED run."""
    waiting_parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    full_until: datetime.datetime | None = None
    """None as long as there are fewer events in the last minute than are recorded."""
