# SPDX-License-Identifier: Apache-2.0
"""/v1/action_plans: what runs of audits recommend."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.api import bodies, fields
from watcher.api import patch as json_patch
from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import columns, naive, record, related, uuid_of
from watcher.api.patch import Operation
from watcher.api.resource import Request, delete, patch, post
from watcher.common.errors import Invalid
from watcher.common.states import PlanState
from watcher.db import action_plans
from watcher.db.models import ActionPlan, Review
from watcher.db.paging import Page


class ActionPlans(ReadResource):
    singular, plural = "action_plan", "action_plans"
    filters = {"audit_uuid": str, "strategy": str}
    columns = "uuid state"

    def one(self, session: Session, ident: str) -> ActionPlan:
        return action_plans.get(session, _uuid(ident))

    def page(self, session: Session, page: Page, **filters: str) -> list[ActionPlan]:
        return action_plans.list_page(session, page, **fields.of_audit(session, filters))

    def short(self, request: Request, row: ActionPlan) -> dict[str, Any]:
        return {
            **super().short(request, row),
            "audit_uuid": uuid_of(row.audit),
            **related("strategy", row.strategy),
            "efficacy_indicators": [
                {**columns(indicator, "name description unit"), "value": indicator.number}
                for indicator in row.indicators
            ],
            "global_efficacy": _as_list(row.global_efficacy),
            "updated_at": record(row)["updated_at"],
        }

    def more(self, request: Request, row: ActionPlan) -> dict[str, Any]:
        body = {**record(row), "hostname": row.hostname}
        if request.version >= (1, 5):
            body["status_message"] = row.status_message
        return body

    def full(
        self, request: Request, session: Session, rows: Sequence[ActionPlan]
    ) -> list[dict[str, Any]]:
        summaries = action_plans.summaries(session, rows)
        return [
            {**self.whole(request, row), "summary": _summary(*summaries.get(row.id, ({}, None)))}
            for row in rows
        ]

    @patch("{uuid}", body=functools.partial(json_patch.parse, writable=("state",)))
    def update(self, request: Request, uuid: str, body: list[Operation]) -> dict[str, Any]:
        self.authorize(request, "action_plan:update")
        return self._change(request, uuid, _state(body))

    @post("{uuid}/start")
    def start(self, request: Request, uuid: str) -> dict[str, Any]:
        self.authorize(request, "action_plan:start")
        # Clients may send a body; it is ignored.
        bodies.read(request, self.conf.oslo_middleware.max_request_body_size)
        return self._change(request, uuid, PlanState.PENDING)

    @delete("{uuid}", status=204)
    def delete(self, request: Request, uuid: str) -> None:
        self.authorize(request, "action_plan:delete")
        now = timeutils.utcnow()

        def write(session: Session) -> int:
            plan = action_plans.get(session, _uuid(uuid))
            action_plans.delete(session, plan, now)
            return plan.id

        self.notifications.plan_deleted(self.database.write(write))

    def _change(self, request: Request, uuid: str, state: str) -> dict[str, Any]:
        def write(session: Session) -> tuple[ActionPlan, str | None, list[dict[str, Any]]]:
            plan = action_plans.get(session, _uuid(uuid))
            old_state = plan.state
            action_plans.change_state(session, plan, state)
            plan = action_plans.get(session, _uuid(uuid))
            return plan, old_state, self.full(request, session, [plan])

        plan, old_state, (shown,) = self.database.write(write)
        if state == PlanState.CANCELLED:
            self.notifications.actions_cancelled(plan.id)
        self.notifications.send("action_plan.update", plan.id, old_state=old_state)
        if state == PlanState.CANCELLED:
            # A run may have waited for the end of this plan.
            self.decision_engine.ring(plan.audit.uuid or "")
        else:
            self.applier.ring(plan.uuid or "")
        return shown


def _uuid(text: str) -> str:
    return fields.require_uuid(text, "action plan")


def _state(operations: list[Operation]) -> str:
    """The one state that a patch asks for."""
    if len(operations) != 1 or operations[0].op == "remove" or operations[0].path != "/state":
        raise Invalid("/state: a patch of an action plan must be one replacement of its state.")
    if not isinstance(operations[0].value, str):
        raise Invalid(f"state: must be one of {', '.join(PlanState.ALL)}.")
    return operations[0].value


def _summary(promised: Mapping[str, Any], review: Review | None) -> Mapping[str, Any]:
    """The figures that a plan promises, each with the reviewed value once that is known."""
    if review is None:
        return promised
    summary = {
        name: {**figure, "realised": review.realised[name]} if name in review.realised else figure
        for name, figure in promised.items()
    }
    if review.reviewed_at is None:
        return {**summary, "review": {"due_at": naive(review.due_at)}}
    return {
        **summary,
        "review": {
            "reviewed_at": naive(review.reviewed_at),
            "kept": review.percent_kept,
            "message": review.message,
        },
    }


def _as_list(global_efficacy: Any) -> list[Any]:
    """Old plans have an object instead of a list, or an empty one."""
    if isinstance(global_efficacy, dict):
        return [global_efficacy] if global_efficacy else []
    return global_efficacy or []
