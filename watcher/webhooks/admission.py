# SPDX-License-Identifier: Apache-2.0
"""What becomes of an event at the door: one decision, with its reason, from facts alone."""

import dataclasses
import datetime
from typing import Final

from watcher.common.states import AuditState, AuditType, Decision

WRONG_TYPE: Final = "wrong_type"
AUDIT_CANCELLED: Final = "audit_cancelled"
AUDIT_SUSPENDED: Final = "audit_suspended"
OUTSIDE_WINDOW: Final = "outside_window"

_CLOSED: Final = {
    AuditState.CANCELLED: AUDIT_CANCELLED,
    AuditState.SUSPENDED: AUDIT_SUSPENDED,
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """QUEUED means let in: whether the event queues a run or joins one, the queue says."""

    decision: str
    reason: str | None = None
    sentence: str = ""


ADMITTED: Final = Verdict(Decision.QUEUED)


def decide(
    audit_type: str | None,
    state: str | None,
    start_time: datetime.datetime | None,
    end_time: datetime.datetime | None,
    now: datetime.datetime,
) -> Verdict:
    """Whether an audit takes an event *now*, and if not, why."""
    if audit_type != AuditType.EVENT:
        return _rejected(
            WRONG_TYPE, f"Only audits of the type EVENT can be triggered; this one is {audit_type}."
        )
    if state not in AuditState.TRIGGERABLE:
        return _rejected(
            _CLOSED.get(state or "", AUDIT_CANCELLED),
            f"An audit that is {state} cannot be triggered.",
        )
    if (start_time and now < start_time) or (end_time and now >= end_time):
        return Verdict(Decision.IGNORED, OUTSIDE_WINDOW)
    return ADMITTED


def _rejected(reason: str, sentence: str) -> Verdict:
    return Verdict(Decision.REJECTED, reason, sentence)
