# SPDX-License-Identifier: Apache-2.0
"""The notifications that Watcher sends: event type, payload, priority."""

from typing import Final, NamedTuple

PRIORITIES: Final = ("debug", "info", "warning", "error", "critical")

STATE_UPDATE: Final = "state_update"
FAULT: Final = "fault"
REVIEW: Final = "review"


class EventType(NamedTuple):
    payload: str
    """Name of the versioned object."""
    extra: str = ""
    """The field of the payload beside those of its row."""
    priority: str = "info"


def _phases(of: str, payload: str) -> dict[str, EventType]:
    return {
        f"{of}.start": EventType(payload, FAULT),
        f"{of}.end": EventType(payload, FAULT),
        f"{of}.error": EventType(payload, FAULT, "error"),
    }


EVENT_TYPES: Final = {
    "audit.create": EventType("AuditCreatePayload"),
    "audit.update": EventType("AuditUpdatePayload", STATE_UPDATE),
    "audit.delete": EventType("AuditDeletePayload"),
    **_phases("audit.strategy", "AuditActionPayload"),
    **_phases("audit.planner", "AuditActionPayload"),
    "action_plan.create": EventType("ActionPlanCreatePayload"),
    "action_plan.update": EventType("ActionPlanUpdatePayload", STATE_UPDATE),
    "action_plan.delete": EventType("ActionPlanDeletePayload"),
    "action_plan.review": EventType("ActionPlanReviewPayload", REVIEW),
    **_phases("action_plan.execution", "ActionPlanActionPayload"),
    **_phases("action_plan.cancel", "ActionPlanCancelPayload"),
    "action.create": EventType("ActionCreatePayload"),
    "action.update": EventType("ActionUpdatePayload", STATE_UPDATE),
    "action.delete": EventType("ActionDeletePayload"),
    **_phases("action.execution", "ActionExecutionPayload"),
    **_phases("action.cancel", "ActionCancelPayload"),
    "service.update": EventType("ServiceUpdatePayload"),
}
"""``service.update`` has the priority warning when the service is FAILED."""
