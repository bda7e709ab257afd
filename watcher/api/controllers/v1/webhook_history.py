# SPDX-License-Identifier: Apache-2.0
"""/v1/webhooks/{audit}/events and runs."""

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from watcher.api import paging
from watcher.api.fields import columns, times, uuid_of
from watcher.api.resource import Request, Resource, get
from watcher.api.types import Time
from watcher.common.errors import Invalid
from watcher.common.states import Decision
from watcher.db import history, webhook_settings
from watcher.db.models import AuditEvent, AuditRun
from watcher.db.paging import Page


def _decision(text: str) -> str:
    if text not in Decision.ALL:
        raise Invalid(f"decision: must be one of {', '.join(Decision.ALL)}.")
    return text


def _since(text: str) -> datetime.datetime | None:
    try:
        return Time.frombasetype(text)
    except ValueError as error:
        raise Invalid(f"since: {error}") from None


_FILTERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "decision": _decision,
    "source": str,
    "since": _since,
}
_EVENT_COLUMNS: Final = (
    "uuid source alarm_name alarm_id severity previous_state current_state reason request_id "
    "decision decision_reason deliveries replay_of"
)


class WebhookHistory(Resource):
    # The events of an audit have an index by time.
    @get("{audit_ident}/events", query=_FILTERS, paged=True, order=("received_at", "desc"))
    def events(
        self, request: Request, audit_ident: str, page: Page, **filters: Any
    ) -> dict[str, Any]:
        self.authorize(request, "webhook:get")
        with self.database.reader() as session:
            audit, _webhook = webhook_settings.get(session, audit_ident)
            rows = history.EVENTS.list_page(session, page, audit_id=audit.id, **filters)
            below = f"webhooks/{audit.uuid}/"
            items = (_event(request, below, row) for row in rows)
            return paging.collection(request, "events", items, page, below=below)

    @get("{audit_ident}/events/{event_uuid}")
    def event(self, request: Request, audit_ident: str, event_uuid: str) -> dict[str, Any]:
        self.authorize(request, "webhook:get")
        with self.database.reader() as session:
            audit, _webhook = webhook_settings.get(session, audit_ident)
            row = history.EVENTS.get(session, event_uuid, audit_id=audit.id)
            return {
                **_event(request, f"webhooks/{audit.uuid}/", row),
                "payload": None if row.payload is None else json.loads(row.payload),
            }

    @get("{audit_ident}/runs", paged=True, order=("id", "desc"))
    def runs(self, request: Request, audit_ident: str, page: Page) -> dict[str, Any]:
        self.authorize(request, "webhook:get")
        with self.database.reader() as session:
            audit, _webhook = webhook_settings.get(session, audit_ident)
            rows = history.RUNS.list_page(session, page, audit_id=audit.id)
            items = map(_run, rows)
            return paging.collection(request, "runs", items, page, below=f"webhooks/{audit.uuid}/")

    @get("{audit_ident}/runs/{run_uuid}")
    def run(self, request: Request, audit_ident: str, run_uuid: str) -> dict[str, Any]:
        self.authorize(request, "webhook:get")
        with self.database.reader() as session:
            audit, _webhook = webhook_settings.get(session, audit_ident)
            return _run(history.RUNS.get(session, run_uuid, audit_id=audit.id))


def _event(request: Request, below: str, event: AuditEvent) -> dict[str, Any]:
    run = event.run
    return {
        **columns(event, _EVENT_COLUMNS),
        **times(event, "received_at"),
        "parameters": event.parameters or {},
        "run_uuid": run.uuid if run else None,
        "action_plan_uuid": uuid_of(run.action_plan) if run else None,
        "links": paging.links(request, f"{below}events", event.uuid),
    }


def _run(run: AuditRun) -> dict[str, Any]:
    return {
        **columns(run, "uuid state wait_reason attempt coalesced_count status_message"),
        **times(run, "not_before", "created_at", "started_at", "finished_at"),
        "parameters": run.parameters or {},
        # The name of the process is only in the log.
        "engine": run.engine.partition(":")[0] if run.engine else None,
        "action_plan_uuid": uuid_of(run.action_plan),
        "errors": [{**error, "at": f"{error['at']}+00:00"} for error in run.errors or []],
    }
