# SPDX-License-Identifier: Apache-2.0
"""/v1/audits: what Watcher is asked to look after."""

import functools
from typing import Any, Final

from oslo_utils import timeutils
from sqlalchemy.orm import Session
from webob import Response

from watcher.api import audit_validation, bodies, paging
from watcher.api import patch as json_patch
from watcher.api.audit_validation import Definition
from watcher.api.patch import Operation
from watcher.api.render import naive, record, related
from watcher.api.resource import Request, Resource, created, delete, get, patch, post
from watcher.common.states import AuditType
from watcher.db import audits, lookup
from watcher.db.models import Audit
from watcher.db.paging import Page

_FILTERS: Final = {"goal": str, "strategy": str}


class Audits(Resource):
    @get(query=_FILTERS, paged=True)
    def get_all(self, request: Request, page: Page, **filters: str) -> dict[str, Any]:
        self.authorize(request, "audit:get_all")
        return self._list(request, page, _short, filters)

    @get("detail", query=_FILTERS, paged=True)
    def detail(self, request: Request, page: Page, **filters: str) -> dict[str, Any]:
        self.authorize(request, "audit:detail")
        return self._list(request, page, _full, filters)

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> dict[str, Any]:
        self.authorize(request, "audit:get")
        with self.database.reader() as session:
            return _full(request, audits.get(session, ident))

    @post(body=functools.partial(bodies.typed, Definition), status=201)
    def create(self, request: Request, body: Definition) -> Response:
        self.authorize(request, "audit:create")
        audit_validation.check(body, request.version)
        now = timeutils.utcnow()

        def write(session: Session) -> Audit:
            new = audits.create(session, audit_validation.define(session, body, now), now)
            return audits.get(session, new.uuid or "")

        audit = self.database.write(write)
        self.notifications.send("audit.create", audit.id)
        self.decision_engine.ring(audit.uuid or "")
        return created(request, "audits", audit.uuid or "", _full(request, audit))

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
        return _full(request, audit)

    @delete("{ident}", status=204)
    def delete(self, request: Request, ident: str) -> None:
        self.authorize(request, "audit:delete")
        now = timeutils.utcnow()

        def write(session: Session) -> int:
            audit = audits.get(session, ident)
            audits.delete(session, audit, now)
            return audit.id

        self.notifications.send("audit.delete", self.database.write(write))

    def _list(
        self, request: Request, page: Page, form: Any, filters: dict[str, str]
    ) -> dict[str, Any]:
        with self.database.reader() as session:
            rows = audits.list_page(session, page, **filters)
            return paging.collection(request, "audits", (form(request, row) for row in rows), page)


def _short(request: Request, audit: Audit) -> dict[str, Any]:
    body = {
        "uuid": audit.uuid,
        "name": audit.name,
        "audit_type": audit.audit_type,
        "state": audit.state,
        **related("goal", audit.goal),
        **related("strategy", audit.strategy),
        "interval": audit.interval,
        "scope": audit.scope,
        "auto_trigger": audit.auto_trigger,
        "next_run_time": naive(audit.next_run_time),
        "links": [*paging.links(request, "audits", audit.uuid), *_webhook(request, audit)],
    }
    if request.version >= (1, 2):
        body["force"] = bool(audit.force)
    return body


def _webhook(request: Request, audit: Audit) -> list[dict[str, str]]:
    """Where alarms for an EVENT audit go.  A link, since clients of old expect certain fields."""
    if audit.audit_type != AuditType.EVENT:
        return []
    return [{"href": f"{request.application_url}/v1/webhooks/{audit.uuid}", "rel": "webhook"}]


def _full(request: Request, audit: Audit) -> dict[str, Any]:
    body = {
        **_short(request, audit),
        **record(audit),
        "parameters": audit.parameters,
        "hostname": audit.hostname,
    }
    if request.version >= (1, 1):
        body["start_time"] = naive(audit.start_time)
        body["end_time"] = naive(audit.end_time)
    if request.version >= (1, 5):
        body["status_message"] = audit.status_message
    return body
