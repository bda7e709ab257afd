# SPDX-License-Identifier: Apache-2.0
"""/v1/webhooks: the door for alarm services."""

import dataclasses
import datetime
import logging
from typing import Any

from oslo_log import log
from oslo_utils import timeutils
from webob import Response

from watcher.api import bodies
from watcher.api.controllers.v1.webhook_history import WebhookHistory
from watcher.api.controllers.v1.webhook_settings import WebhookSettings
from watcher.api.credentials import Doorkeeper
from watcher.api.door import Answered, Door, Knock
from watcher.api.render import naive
from watcher.api.resource import Collaborators, Request, post, reply
from watcher.common import schemas
from watcher.common.errors import BodyTooLarge, Invalid, NotFound
from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.common.webhook import Facts
from watcher.db import events, history, webhook_settings, webhooks
from watcher.db.batches import Admitted
from watcher.db.events import Recorded
from watcher.db.lookup import is_uuid
from watcher.webhooks import admission, credentials, parsers, payloads
from watcher.webhooks.admission import Verdict

LOG = log.getLogger(__name__)

_DEPTH = 100

_GROWTH = 3
"""How much longer JSON may be when it is written again, as a character of two bytes takes six."""

_UNREADABLE = Event(source=parsers.GENERIC)


class Webhooks(WebhookSettings, WebhookHistory):
    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators)
        self._flood = collaborators.flood
        self._doorkeeper = Doorkeeper(collaborators.conf, collaborators.policy)
        self._door = Door(collaborators.conf, collaborators.database)

    # aodh puts parameters for itself into the URL, such as aodh-alarm-ssl-verify, and sends them.
    @post("{audit_ident}", status=202, any_query=True)
    def trigger(self, request: Request, audit_ident: str) -> Response:
        """Answers when the event and its run are committed; the doorbell comes after that."""
        if not (self.conf.webhooks.allow_names or is_uuid(audit_ident)):
            raise NotFound(f"There is no audit {audit_ident}.")
        now = timeutils.utcnow()
        try:
            event = self._event(request)
        except Invalid:
            # What is wrong with a body is told to those who may come in, and counted.
            facts = self._facts(audit_ident, now)
            self._doorkeeper.check(request, facts)
            self._flood.count(facts, _UNREADABLE, Recorded(Decision.REJECTED, "unreadable_body"))
            raise
        answered = self._door.knock(
            Knock(audit_ident, event, now, lambda facts: self._judged(request, facts, event, now))
        )
        facts, verdict = answered.facts, answered.verdict
        if verdict is None:
            self._doorkeeper.check(request, facts)
            verdict = admission.decide(facts, event, now)
        recorded = answered.recorded or self._record(answered, event, verdict, now)
        if recorded.event_uuid is None:
            self._flood.count(facts, event, recorded)
        _log(facts, event, recorded)
        if recorded.decision == Decision.REJECTED:
            raise Invalid(verdict.sentence)
        if recorded.decision == Decision.QUEUED and not recorded.repeated:
            # A run that others only join was rung for when it was queued.
            self.decision_engine.ring(facts.audit_uuid)
        return _accepted(request, facts, recorded)

    @post("{audit_ident}/preview", any_query=True)
    def preview(self, request: Request, audit_ident: str) -> dict[str, Any]:
        """What a message would do: the steps of ``trigger`` up to the one that writes."""
        self.authorize(request, "webhook:preview")
        now = timeutils.utcnow()
        facts = self._facts(audit_ident, now)
        event = self._event(request)
        verdict = admission.decide(facts, event, now)
        admitted = verdict.decision == Decision.QUEUED
        would_join = admitted and facts.waiting_id is not None
        return {
            "decision": Decision.COALESCED if would_join else verdict.decision,
            "reason": verdict.reason,
            "sentence": verdict.sentence,
            "event": _understood(event),
            "parameters": dict(verdict.parameters),
            "repeated": self._was_delivered(facts, event),
            "would_join": would_join,
            "not_before": naive(self._not_before(facts, now)) if admitted else None,
        }

    def _not_before(self, facts: Facts, now: datetime.datetime) -> datetime.datetime | None:
        with self.database.reader() as session:
            audit, webhook = webhook_settings.get(session, facts.audit_uuid)
            not_before, _reason = history.next_run(session, audit, webhook, now)
        if facts.waiting_id is None and not_before is not None:
            return max(not_before, events.due(facts, now))
        return not_before

    def _facts(self, ident: str, now: datetime.datetime) -> Facts:
        auth = credentials.effective_auth(None, self.conf)
        with self.database.reader() as session:
            limit = self.conf.webhooks.max_recorded_per_minute
            return webhooks.facts(session, ident, now, auth, limit)

    def _judged(
        self, request: Request, facts: Facts, event: Event, now: datetime.datetime
    ) -> Verdict | None:
        """The verdict where it takes no time: without keystone, and without expressions."""
        if facts.filter or facts.mapping or not self._doorkeeper.lets_in(request, facts):
            return None
        return admission.decide(facts, event, now)

    def _event(self, request: Request) -> Event:
        try:
            body = bodies.read(request, self.conf.webhooks.max_body_size)
        except BodyTooLarge as error:
            raise Invalid(str(error)) from None
        event = parsers.parse(_decoded(body), request.headers)
        most = self.conf.webhooks.max_stored_payload
        if len(body) * _GROWTH <= most:
            return event
        return dataclasses.replace(event, stored=payloads.kept(event.payload, most))

    def _record(
        self, answered: Answered, event: Event, verdict: Verdict, now: datetime.datetime
    ) -> Recorded:
        facts = answered.facts
        unwritten = _unwritten(facts, verdict)
        if unwritten is not None and not answered.delivered:
            if unwritten.run_id is not None:
                self._flood.count_joined(unwritten.run_id)
            return unwritten
        if verdict.decision == Decision.QUEUED:
            return self._door.accept(Admitted(facts, event, verdict.parameters, now))
        return self.database.write(
            lambda session: events.refuse(
                session, facts, event, verdict.decision, verdict.reason, now
            )
        )

    def _was_delivered(self, facts: Facts, event: Event) -> bool:
        with self.database.reader() as session:
            return events.repeated(session, facts, event) is not None


def _understood(event: Event) -> dict[str, Any]:
    shown = dataclasses.asdict(event)
    del shown["stored"]
    return shown


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return None
    value = bodies.decode(body)
    schemas.bound(value, "body", _DEPTH)
    return value


def _unwritten(facts: Facts, verdict: Verdict) -> Recorded | None:
    """What becomes of an event that leaves no row; None if it is to be written."""
    if facts.full_until is None:
        return None
    if verdict.decision != Decision.QUEUED:
        return Recorded(verdict.decision, verdict.reason)
    if events.covered(facts, verdict.parameters):
        return Recorded(Decision.COALESCED, run_id=facts.waiting_id)
    return None


def _accepted(request: Request, facts: Facts, recorded: Recorded) -> Response:
    response = reply(None, 202)
    if recorded.event_uuid is not None:
        response.location = (
            f"{request.application_url}/v1/webhooks/{facts.audit_uuid}/events/{recorded.event_uuid}"
        )
    return response


def _log(facts: Facts, event: Event, recorded: Recorded) -> None:
    # Those without a row are told with their number, by who counts them.
    LOG.log(
        logging.DEBUG if recorded.event_uuid is None else logging.INFO,
        "Event %s: %s%s%s, run id %s, audit %s, source %s, request %s",
        recorded.event_uuid or "(not recorded)",
        recorded.decision,
        f" ({recorded.reason})" if recorded.reason else "",
        ", delivered again" if recorded.repeated else "",
        recorded.run_id,
        facts.audit_uuid,
        event.source,
        event.request_id,
    )
