# SPDX-License-Identifier: Apache-2.0
"""/v1/actions: the actions of all plans."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session
from wsme.types import Base

from watcher.api import bodies, fields
from watcher.api import patch as json_patch
from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import record, uuid_of
from watcher.api.patch import Operation
from watcher.api.resource import Request, patch
from watcher.api.types import Text
from watcher.common.errors import Conflict, Invalid
from watcher.common.states import ActionState
from watcher.db import actions
from watcher.db.models import Action
from watcher.db.paging import Page

_CHANGEABLE: Final = ("state", "status_message")


class ActionChanges(Base):
    """The fields that a PATCH may change."""

    state = Text(20)
    status_message = Text(255)


class Actions(ReadResource):
    singular, plural = "action", "actions"
    columns = "uuid state action_type parents"
    filters = {
        "action_plan_uuid": functools.partial(fields.require_uuid, field="action_plan_uuid"),
        "audit_uuid": str,
    }

    def one(self, session: Session, ident: str) -> Action:
        return actions.get(session, _uuid(ident))

    def page(self, session: Session, page: Page, **filters: str) -> list[Action]:
        if len(filters) > 1:
            raise Invalid("action_plan_uuid, audit_uuid: only one of them may be given.")
        return actions.list_page(session, page, **fields.of_audit(session, filters))

    def short(self, request: Request, row: Action) -> dict[str, Any]:
        return {**super().short(request, row), "action_plan_uuid": uuid_of(row.action_plan)}

    def more(self, request: Request, row: Action) -> dict[str, Any]:
        body = {**record(row), "input_parameters": row.input_parameters}
        if request.version >= (1, 5):
            body["status_message"] = row.status_message
        return body

    def full(
        self, request: Request, session: Session, rows: Sequence[Action]
    ) -> list[dict[str, Any]]:
        descriptions, reasons = actions.descriptions(session), actions.reasons(session, rows)
        return [
            {
                **self.whole(request, row),
                "description": descriptions.get(row.action_type, ""),
                "reason": reasons.get(row.uuid),
            }
            for row in rows
        ]

    @patch("{uuid}", body=functools.partial(json_patch.parse, writable=_CHANGEABLE))
    def update(self, request: Request, uuid: str, body: list[Operation]) -> dict[str, Any]:
        if request.version < (1, 5):
            raise Invalid("Changing an action needs version 1.5 of the API, or later.")
        self.authorize(request, "action:update")
        wanted = _wanted(body)

        def write(session: Session) -> tuple[Action, str | None, list[dict[str, Any]]]:
            action = actions.get(session, _uuid(uuid))
            old_state = action.state
            _change(session, action, wanted)
            action = actions.get(session, _uuid(uuid))
            return action, old_state, self.full(request, session, [action])

        action, old_state, (shown,) = self.database.write(write)
        if wanted:
            moved = action.state != old_state
            self.notifications.send(
                "action.update", action.id, old_state=old_state if moved else None
            )
        return shown


def _uuid(text: str) -> str:
    return fields.require_uuid(text, "action")


def _wanted(operations: list[Operation]) -> dict[str, Any]:
    """The values of a patch, by field; of several for one field the last counts."""
    wanted: dict[str, Any] = {}
    for operation in operations:
        if operation.op == "remove" or operation.path != f"/{operation.field}":
            raise Invalid(f"{operation.path[:80]}: can be replaced as a whole, and that is all.")
        wanted[operation.field] = operation.value
    bodies.typed(ActionChanges, wanted)
    state = wanted.get("state")
    if state is not None and state not in ActionState.ALL:
        raise Invalid(f"state: must be one of {', '.join(ActionState.ALL)}.")
    return wanted


def _change(session: Session, action: Action, wanted: Mapping[str, Any]) -> None:
    reason = wanted.get("status_message")
    state = wanted.get("state", action.state)
    if "state" in wanted and state == ActionState.SKIPPED:
        actions.skip(session, action, reason)
    elif state != action.state:
        raise Conflict(f"state: a user can give an action only the state {ActionState.SKIPPED}.")
    elif "status_message" in wanted:
        actions.explain(session, action, reason)
