# SPDX-License-Identifier: Apache-2.0
"""/v1/webhooks: alarm messages."""

import dataclasses
import datetime
import json
from typing import Any

from oslo_utils import timeutils
from webob import Response

from watcher.api import bodies
from watcher.api.controllers.v1.webhook_history import WebhookHistory
from watcher.api.controllers.v1.webhook_settings import WebhookSettings
from watcher.api.fields import aware
from watcher.api.intake import Delivery, Intake, IntakeResult
from watcher.api.resource import Collaborators, Request, post, reply
from watcher.api.webhook_auth import WebhookAuth
from watcher.api.wsgi import Environ
from watcher.common import schemas
from watcher.common.alarms import AlarmMessage, WebhookFacts, earliest_start
from watcher.common.errors import BodyTooLarge, Invalid, NotFound
from watcher.common.states import Decision
from watcher.db import events, history, webhook_facts, webhook_settings
from watcher.db.lookup import is_uuid
from watcher.db.models import AuditEvent
from watcher.webhooks import admission, credentials, parsers, truncation

_DEPTH = 100

_GROWTH = 3
"""How many times longer JSON may get when it is encoded again: two bytes of UTF-8 become six."""


class Webhooks(WebhookSettings, WebhookHistory):
    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators)
        self._webhook_auth = WebhookAuth(collaborators.conf, collaborators.policy)
        self._unrecorded = collaborators.unrecorded
        self._intake = Intake(collaborators.conf, collaborators.database, collaborators.unrecorded)

    # aodh puts parameters for itself into the URL, such as aodh-alarm-ssl-verify, and sends them.
    @post("{audit_ident}", status=202, any_query=True)
    def trigger(self, request: Request, audit_ident: str) -> Response:
        """Commit the event, ring the doorbell, and answer."""
        if not (self.conf.webhooks.allow_names or is_uuid(audit_ident)):
            raise NotFound(f"There is no audit {audit_ident}.")
        now = timeutils.utcnow()
        try:
            message = self._message(request)
        except Invalid:
            # Only senders that pass the check see the error and are counted.
            facts = self._facts(audit_ident, now)
            self._webhook_auth.check(request, facts)
            self._unrecorded.count(
                facts.audit_uuid, parsers.GENERIC, Decision.REJECTED, "unreadable_body"
            )
            raise
        auth = self._webhook_auth
        result = self._intake.receive(
            Delivery(audit_ident, message, now, lambda facts: auth.permits_at_once(request, facts)),
            lambda facts: auth.check(request, facts),
        )
        return self._respond(request, result)

    @post("{audit_ident}/events/{event_uuid}/replay", status=202)
    def replay(self, request: Request, audit_ident: str, event_uuid: str) -> Response:
        """Handle the message of an event again, with the present settings, as a new event.

        The sender was checked when the message arrived, so only the policy of this call counts.
        """
        self.authorize(request, "webhook:replay")
        now = timeutils.utcnow()
        with self.database.reader() as session:
            audit, _webhook = webhook_settings.get(session, audit_ident)
            message = _replay(history.EVENTS.get(session, event_uuid, audit_id=audit.id), request)
        delivery = Delivery(audit.uuid or "", message, now, lambda facts: True)
        return self._respond(request, self._intake.receive(delivery, lambda facts: None))

    @post("{audit_ident}/preview", any_query=True)
    def preview(self, request: Request, audit_ident: str) -> dict[str, Any]:
        """What ``trigger`` would do with a message, without writing anything."""
        self.authorize(request, "webhook:preview")
        now = timeutils.utcnow()
        facts = self._facts(audit_ident, now)
        message = self._message(request)
        verdict = admission.decide(facts, message, now)
        admitted = verdict.decision == Decision.ACCEPTED
        would_join = admitted and any(
            events.same(run.parameters, verdict.parameters) for run in facts.pending_runs
        )
        expected = Decision.COALESCED if would_join else Decision.QUEUED
        return {
            "decision": expected if admitted else verdict.decision,
            "reason": verdict.reason,
            "sentence": verdict.sentence,
            "event": _shown(message),
            "parameters": dict(verdict.parameters),
            "repeated": self._was_delivered(facts, message),
            "would_join": would_join,
            "not_before": aware(self._not_before(facts, now)) if admitted else None,
        }

    def _respond(self, request: Request, result: IntakeResult) -> Response:
        if result.decision == Decision.REJECTED:
            raise Invalid(result.sentence)
        if result.needs_doorbell:
            self.decision_engine.ring(result.facts.audit_uuid)
        return _accepted(request, result)

    def _not_before(self, facts: WebhookFacts, now: datetime.datetime) -> datetime.datetime | None:
        with self.database.reader() as session:
            audit, webhook = webhook_settings.get(session, facts.audit_uuid)
            not_before, _reason = history.next_run(session, audit, webhook, now)
        if not facts.pending_runs and not_before is not None:
            return max(not_before, earliest_start(now, facts.debounce, facts.limited_until))
        return not_before

    def _facts(self, ident: str, now: datetime.datetime) -> WebhookFacts:
        auth = credentials.effective_auth(None, self.conf)
        with self.database.reader() as session:
            limit = self.conf.webhooks.max_recorded_per_minute
            return webhook_facts.read(session, ident, now, auth, limit)

    def _message(self, request: Request) -> AlarmMessage:
        try:
            body = bodies.read(request, self.conf.webhooks.max_body_size)
        except BodyTooLarge as error:
            raise Invalid(str(error)) from None
        message = parsers.parse(_decoded(body), _headers(request.environ))
        limit = self.conf.webhooks.max_stored_payload
        if len(body) * _GROWTH <= limit:
            return message
        return dataclasses.replace(message, stored=truncation.truncated(message.payload, limit))

    def _was_delivered(self, facts: WebhookFacts, message: AlarmMessage) -> bool:
        key = events.delivery_key(facts, message)
        with self.database.connection() as connection:
            return bool(events.known(connection, {key} if key else ()))


def _shown(message: AlarmMessage) -> dict[str, Any]:
    shown = dataclasses.asdict(message)
    del shown["stored"], shown["replay_of"]
    return shown


def _replay(row: AuditEvent, request: Request) -> AlarmMessage:
    """The stored message of an event.  Invalid if only its beginning was kept.

    Each replay is a new delivery, unless requests have the same ``Idempotency-Key``.
    """
    payload = None if row.payload is None else json.loads(row.payload)
    if isinstance(payload, dict) and truncation.CUT in payload:
        raise Invalid(
            "event: it cannot be replayed, for only the beginning of its message was kept; "
            "[webhooks] max_stored_payload says how much is."
        )
    key = request.headers.get("Idempotency-Key")
    return dataclasses.replace(
        parsers.parse(payload, {}),
        stored=row.payload,
        request_id=row.request_id,
        delivery=f"replay:{row.uuid}:{key}" if key else None,
        replay_of=row.uuid,
    )


def _headers(environ: Environ) -> dict[str, str]:
    """All headers, which webob would look up one by one."""
    return {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return None
    value = bodies.decode(body)
    schemas.bound(value, "body", _DEPTH)
    return value


def _accepted(request: Request, result: IntakeResult) -> Response:
    response = reply(None, 202)
    if result.event_uuid is not None:
        below = f"{result.facts.audit_uuid}/events/{result.event_uuid}"
        response.location = f"{request.application_url}/v1/webhooks/{below}"
    return response
