# SPDX-License-Identifier: Apache-2.0
"""What may be told: each event type with the object it carries and its priority."""

from typing import NamedTuple

PRIORITIES = ("debug", "info", "warning", "error", "critical")


class Event(NamedTuple):
    payload: str
    priority: str = "info"


EVENTS = {
    "audit.create": Event("AuditCreatePayload"),
    "audit.update": Event("AuditUpdatePayload"),
    "audit.delete": Event("AuditDeletePayload"),
    "audit.strategy.start": Event("AuditActionPayload"),
    "audit.strategy.end": Event("AuditActionPayload"),
    "audit.strategy.error": Event("AuditActionPayload", "error"),
    "audit.planner.start": Event("AuditActionPayload"),
    "audit.planner.end": Event("AuditActionPayload"),
    "audit.planner.error": Event("AuditActionPayload", "error"),
    "action_plan.create": Event("ActionPlanCreatePayload"),
    "action_plan.update": Event("ActionPlanUpdatePayload"),
    "action_plan.delete": Event("ActionPlanDeletePayload"),
    "action_plan.review": Event("ActionPlanReviewPayload"),
    "action_plan.execution.start": Event("ActionPlanActionPayload"),
    "action_plan.execution.end": Event("ActionPlanActionPayload"),
    "action_plan.execution.error": Event("ActionPlanActionPayload", "error"),
    "action_plan.cancel.start": Event("ActionPlanCancelPayload"),
    "action_plan.cancel.end": Event("ActionPlanCancelPayload"),
    "action_plan.cancel.error": Event("ActionPlanCancelPayload", "error"),
    "action.create": Event("ActionCreatePayload"),
    "action.update": Event("ActionUpdatePayload"),
    "action.delete": Event("ActionDeletePayload"),
    "action.execution.start": Event("ActionExecutionPayload"),
    "action.execution.end": Event("ActionExecutionPayload"),
    "action.execution.error": Event("ActionExecutionPayload", "error"),
    "action.cancel.start": Event("ActionCancelPayload"),
    "action.cancel.end": Event("ActionCancelPayload"),
    "action.cancel.error": Event("ActionCancelPayload", "error"),
    "service.update": Event("ServiceUpdatePayload"),
}
"""``service.update`` has the priority warning when the service is FAILED."""
