# SPDX-License-Identifier: Apache-2.0
"""/v1/audits."""

import functools
from typing import Any

from oslo_utils import timeutils
from sqlalchemy.orm import Session
from webob import Response

from watcher.api import audit_validation, bodies
from watcher.api import patch as json_patch
from watcher.api.audit_validation import AuditDefinition
from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import naive, record, related
from watcher.api.patch import Operation
from watcher.api.resource import Request, created, delete, patch, post
from watcher.common.states import AuditType
from watcher.db import audits, lookup
from watcher.db.models import Audit


class Audits(ReadResource):
    singular, plural = "audit", "audits"
    filters = {"goal": str, "strategy": str}
    columns = "uuid name audit_type state interval scope auto_trigger"
    one, page = staticmethod(audits.get), staticmethod(audits.list_page)

    def short(self, request: Request, row: Audit) -> dict[str, Any]:
        body = {
            **super().short(request, row),
            **related("goal", row.goal),
            **related("strategy", row.strategy),
            "next_run_time": naive(row.next_run_time),
        }
        body["links"] += _webhook(request, row)
        if request.version >= (1, 2):
            body["force"] = bool(row.force)
        return body

    def more(self, request: Request, row: Audit) -> dict[str, Any]:
        body = {**record(row), "parameters": row.parameters, "hostname": row.hostname}
        if request.version >= (1, 1):
            body["start_time"] = naive(row.start_time)
            body["end_time"] = naive(row.end_time)
        if request.version >= (1, 5):
            body["status_message"] = row.status_message
        return body

    @post(body=functools.partial(bodies.typed, AuditDefinition), status=201)
    def create(self, request: Request, body: AuditDefinition) -> Response:
        self.authorize(request, "audit:create")
        audit_validation.check(body, request.version)
        now = timeutils.utcnow()

        def write(session: Session) -> Audit:
            new = audits.create(session, audit_validation.define(session, body, now), now)
            return audits.get(session, new.uuid or "")

        audit = self.database.write(write)
        self.notifications.send("audit.create", audit.id)
        self.decision_engine.ring(audit.uuid or "")
        return created(request, self.plural, audit.uuid or "", self.whole(request, audit))

    @patch(
        "{ident}", body=functools.partial(json_patch.parse, writable=audit_validation.CHANGEABLE)
    )
    def update(self, request: Request, ident: str, body: list[Operation]) -> dict[str, Any]:
        self.authorize(request, "audit:update")
        now = timeutils.utcnow()

        def write(session: Session) -> tuple[Audit, str | None]:
            if json_patch.touched(body) - {"state"}:
                lookup.lock(session, Audit, ident)
            audit = audits.get(session, ident)
            old_state = audit.state
            audits.change(session, audit, audit_validation.redefine(audit, body), now)
            return audits.get(session, audit.uuid or ""), old_state

        audit, old_state = self.database.write(write)
        if body:
            moved = audit.state != old_state
            self.notifications.send(
                "audit.update", audit.id, old_state=old_state if moved else None
            )
            # A run may be due earlier now, or again.
            self.decision_engine.ring(audit.uuid or "")
        return self.whole(request, audit)

    @delete("{ident}", status=204)
    def delete(self, request: Request, ident: str) -> None:
        self.authorize(request, "audit:delete")
        now = timeutils.utcnow()

        def write(session: Session) -> int:
            audit = audits.get(session, ident)
            audits.delete(session, audit, now)
            return audit.id

        self.notifications.send("audit.delete", self.database.write(write))


def _webhook(request: Request, audit: Audit) -> list[dict[str, str]]:
    """The URL for alarms of an EVENT audit.  A link, because old clients expect certain fields."""
    if audit.audit_type != AuditType.EVENT:
        return []
    return [{"href": f"{request.application_url}/v1/webhooks/{audit.uuid}", "rel": "webhook"}]
