# SPDX-License-Identifier: Apache-2.0
"""The tables, and at the same time the objects that the services work with.

``audit_runs``, ``audit_events``, ``webhooks``, ``tallies`` and the tables ``action_plan_*`` and
``action_origins`` are new; the others are those that existing installations have.
"""

from watcher.db.models.action_plans import (
    Action,
    ActionOrigin,
    ActionPlan,
    ActionPlanLease,
    EfficacyIndicator,
    PlanReasons,
    Review,
)
from watcher.db.models.audits import Audit, AuditTemplate, Webhook
from watcher.db.models.base import Base, SoftDeleted, new_uuid
from watcher.db.models.installed import ActionDescription, Goal, ScoringEngine, Strategy
from watcher.db.models.runs import AuditEvent, AuditRun
from watcher.db.models.services import Service
from watcher.db.models.tallies import Tally

__all__ = (
    "Action",
    "ActionDescription",
    "ActionOrigin",
    "ActionPlan",
    "ActionPlanLease",
    "Audit",
    "AuditEvent",
    "AuditRun",
    "AuditTemplate",
    "Base",
    "EfficacyIndicator",
    "Goal",
    "PlanReasons",
    "Review",
    "ScoringEngine",
    "Service",
    "SoftDeleted",
    "Strategy",
    "Tally",
    "Webhook",
    "new_uuid",
)
