# SPDX-License-Identifier: Apache-2.0
"""/v1/webhooks/{audit}: the settings of a webhook, and its secret."""

import functools
import secrets
from typing import Any

from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session
from webob import Response

from watcher.api import paging, webhook_validation
from watcher.api import patch as json_patch
from watcher.api.fields import aware, columns, times, uuid_of
from watcher.api.patch import Operation
from watcher.api.resource import Request, Resource, delete, get, patch, post, reply
from watcher.db import history, webhook_settings
from watcher.db.models import Audit, AuditRun, Webhook
from watcher.db.paging import Page
from watcher.webhooks import credentials

LOG = log.getLogger(__name__)


class WebhookSettings(Resource):
    @get(paged=True)
    def get_all(self, request: Request, page: Page) -> dict[str, Any]:
        self.authorize(request, "webhook:get_all")
        with self.database.reader() as session:
            found = webhook_settings.list_page(session, page)
            items = [self._settings(request, audit, webhook) for audit, webhook in found]
        return paging.collection(request, "webhooks", items, page, key="audit_uuid")

    @get("{audit_ident}")
    def get_one(self, request: Request, audit_ident: str) -> dict[str, Any]:
        self.authorize(request, "webhook:get")
        with self.database.reader() as session:
            return self._shown(request, session, *webhook_settings.get(session, audit_ident))

    @patch(
        "{audit_ident}",
        body=functools.partial(json_patch.parse, writable=webhook_validation.CHANGEABLE),
    )
    def update(self, request: Request, audit_ident: str, body: list[Operation]) -> dict[str, Any]:
        """Change settings.  Runs that are QUEUED already stay as they are."""
        self.authorize(request, "webhook:update")

        def write(session: Session) -> dict[str, Any]:
            audit, webhook = webhook_settings.get_locked(session, audit_ident)
            changes = webhook_validation.redefine(webhook, audit.strategy, body, self.conf)
            for column, value in changes.items():
                setattr(webhook, column, value)
            session.flush()
            return self._shown(request, session, audit, webhook)

        return self.database.write(write)

    @post("{audit_ident}/secret", status=201)
    def make_secret(self, request: Request, audit_ident: str) -> Response:
        """Make a secret, which only this answer shows.  The previous secret stays valid, too."""
        self.authorize(request, "webhook:update")
        secret = secrets.token_urlsafe(32)

        def write(session: Session) -> str | None:
            audit, webhook = webhook_settings.get_locked(session, audit_ident)
            webhook.previous_secret_hash = webhook.secret_hash
            webhook.secret_hash = credentials.digest(secret)
            return audit.uuid

        LOG.info("Webhook of audit %s: has a new secret", self.database.write(write))
        return reply({"secret": secret}, 201, **{"Cache-Control": "no-store"})

    @delete("{audit_ident}/secret", status=204)
    def end_rotation(self, request: Request, audit_ident: str) -> None:
        """Make the newest secret the only valid one."""
        self.authorize(request, "webhook:update")

        def write(session: Session) -> str | None:
            audit, webhook = webhook_settings.get_locked(session, audit_ident)
            webhook.previous_secret_hash = None
            return audit.uuid

        LOG.info("Webhook of audit %s: has no previous secret", self.database.write(write))

    def _shown(
        self, request: Request, session: Session, audit: Audit, webhook: Webhook
    ) -> dict[str, Any]:
        not_before, reason = history.next_run(session, audit, webhook, timeutils.utcnow())
        return {
            **self._settings(request, audit, webhook),
            "counts": history.counts(session, audit.id),
            "next_run_not_before": aware(not_before),
            "wait_reason": reason,
            "last_run": _last_run(history.last_run(session, audit.id)),
        }

    def _settings(self, request: Request, audit: Audit, webhook: Webhook) -> dict[str, Any]:
        return {
            "audit_uuid": audit.uuid,
            "audit_name": audit.name,
            "url": f"{request.application_url}/v1/webhooks/{audit.uuid}",
            **webhook_validation.document(webhook),
            "auth": credentials.effective_auth(webhook.auth, self.conf),
            "auth_is_default": webhook.auth is None,
            "secret": {
                "set": webhook.secret_hash is not None,
                "rotating": webhook.previous_secret_hash is not None,
            },
            **times(webhook, "created_at", "updated_at"),
            "links": paging.links(request, "webhooks", audit.uuid),
        }


def _last_run(run: AuditRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        **columns(run, "uuid state status_message"),
        **times(run, "started_at", "finished_at"),
        "action_plan_uuid": uuid_of(run.action_plan),
    }
