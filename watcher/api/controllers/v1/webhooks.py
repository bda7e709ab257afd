# SPDX-License-Identifier: Apache-2.0
"""/v1/webhooks: the door for alarm services."""

from typing import Any

from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.api import bodies
from watcher.api.credentials import Doorkeeper
from watcher.api.resource import Collaborators, Request, Resource, post
from watcher.common import schemas
from watcher.common.errors import BodyTooLarge, Invalid, NotFound
from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.db import audits, events
from watcher.db.lookup import is_uuid
from watcher.db.models import Audit, AuditEvent, Webhook
from watcher.webhooks import admission, parsers

LOG = log.getLogger(__name__)

_DEPTH = 100


class Webhooks(Resource):
    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators)
        self._doorkeeper = Doorkeeper(collaborators.conf, collaborators.policy)

    # aodh puts parameters for itself into the URL, such as aodh-alarm-ssl-verify, and sends them.
    @post("{audit_ident}", status=202, any_query=True)
    def trigger(self, request: Request, audit_ident: str) -> None:
        """Answers when the event and its run are committed; the doorbell comes after that."""
        self._check_credential(request, audit_ident)
        event = self._event(request)
        audit, row = self.database.write(lambda session: _admit(session, audit_ident, event))
        LOG.info(
            "Event %s: %s%s, run id %s, audit %s, source %s, request %s",
            row.uuid,
            row.decision,
            f" ({row.decision_reason})" if row.decision_reason else "",
            row.run_id,
            audit.uuid,
            row.source,
            row.request_id,
        )
        if row.decision != Decision.IGNORED:
            self.decision_engine.ring(audit.uuid or "")

    def _check_credential(self, request: Request, audit_ident: str) -> None:
        if not (self.conf.webhooks.allow_names or is_uuid(audit_ident)):
            raise NotFound(f"There is no audit {audit_ident}.")
        with self.database.reader() as session:
            audit = audits.get_bare(session, audit_ident)
            webhook = session.scalars(select(Webhook).where(Webhook.audit_id == audit.id)).first()
        self._doorkeeper.check(request, webhook)

    def _event(self, request: Request) -> Event:
        try:
            body = bodies.read(request, self.conf.webhooks.max_body_size)
        except BodyTooLarge as error:
            raise Invalid(str(error)) from None
        return parsers.parse(_decoded(body), request.headers)


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return None
    value = bodies.decode(body)
    schemas.bound(value, "body", _DEPTH)
    return value


def _admit(session: Session, audit_ident: str, event: Event) -> tuple[Audit, AuditEvent]:
    now = timeutils.utcnow()
    audit = audits.get_bare(session, audit_ident)
    verdict = admission.decide(audit.audit_type, audit.state, audit.start_time, audit.end_time, now)
    if verdict.decision == Decision.REJECTED:
        raise Invalid(verdict.sentence)
    if verdict.decision == Decision.IGNORED:
        return audit, events.ignore(session, audit.id, event, now, verdict.reason or "")
    row, _run = events.accept(session, audit.id, event, now)
    return audit, row
