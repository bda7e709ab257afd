# SPDX-License-Identifier: Apache-2.0
"""Who may post to a webhook: redaction and check of credentials.

Credentials are removed from a request before anything can log them.  The environment of the
request keeps them under names that only this module reads.
"""

import re
import threading
from typing import Any, Final, NoReturn

import webob
from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_log import log
from oslo_policy.policy import Enforcer

from watcher.common.alarms import WebhookFacts
from watcher.common.errors import Forbidden, Unauthorized
from watcher.policies import target
from watcher.webhooks import credentials

LOG = log.getLogger(__name__)

RULE: Final = "webhook:trigger"

SECRETS: Final = "watcher.webhook_secrets"
_TOKENS: Final = "watcher.webhook_tokens"
_TOKEN_HEADERS: Final = ("HTTP_X_AUTH_TOKEN", "HTTP_X_SERVICE_TOKEN")
_TOKEN: Final = re.compile("[!-~]+")
_WHOLE_URLS: Final = ("REQUEST_URI", "RAW_URI")
"""Variables in which servers keep the URL unchanged; some write it to their access log."""


def redact_secrets(environ: dict[str, Any]) -> None:
    """Remove secrets from a request to a webhook, also from the environment that the server keeps.

    Every path that contains ``webhooks`` counts, because paths are not normalized yet.
    """
    if "webhooks" not in environ.get("PATH_INFO", ""):
        return
    query, secrets = credentials.from_query(environ.get("QUERY_STRING", ""))
    secrets += credentials.from_authorization(environ.pop("HTTP_AUTHORIZATION", ""))
    environ["QUERY_STRING"] = query
    for name in _WHOLE_URLS:
        if name in environ:
            path = environ[name].partition("?")[0]
            environ[name] = f"{path}?{query}" if query else path
    environ[SECRETS] = secrets


def redact_tokens(environ: dict[str, Any]) -> None:
    """Remove keystone's tokens as well, from a request that is known to be an alarm."""
    environ[_TOKENS] = {name: environ.pop(name) for name in _TOKEN_HEADERS if name in environ}


class WebhookAuth:
    """Checks the credential that a webhook requires."""

    def __init__(self, conf: cfg.ConfigOpts, policy: Enforcer) -> None:
        self._conf, self._policy = conf, policy
        self._keystone: Any = None
        self._building = threading.Lock()

    def check(self, request: webob.Request, facts: WebhookFacts) -> None:
        """Raise unless the sender may post.

        Unauthorized, always with the same sentence, for a missing or wrong credential; Unavailable
        if keystone does not answer; Forbidden if the policy denies it to the owner of the token.
        """
        if facts.auth != credentials.KEYSTONE:
            if not self.permits_at_once(request, facts):
                self._refuse(request, 'Bearer realm="watcher", Basic realm="watcher"')
        else:
            identity = self._identity(request)
            if identity is None:
                self._refuse(request, self._keystone_challenge())
            if not self._policy.authorize(RULE, target(identity), identity):
                LOG.warning("%s: refused, the policy %s forbids it", request.path_info, RULE)
                raise Forbidden(f"The policy {RULE} does not allow this to the owner of the token.")

    def permits_at_once(self, request: webob.Request, facts: WebhookFacts) -> bool:
        """Whether the request is accepted without asking keystone."""
        if facts.auth == credentials.SECRET:
            presented = request.environ.get(SECRETS, ())
            return credentials.matches(presented, facts.secret_hash, facts.previous_secret_hash)
        return facts.auth == credentials.NONE

    def _refuse(self, request: webob.Request, challenge: str) -> NoReturn:
        LOG.warning("%s: refused, the credential is missing or not valid", request.path_info)
        raise Unauthorized("The credential is missing or not valid.", challenge)

    def _identity(self, request: webob.Request) -> RequestContext | None:
        tokens = request.environ.get(_TOKENS, {})
        if not all(map(_TOKEN.fullmatch, tokens.values())):
            return None
        environ = {**request.environ, **tokens}
        if self._conf.enable_authentication:
            return self._ask_keystone(environ)
        # Identity headers count, but a caller without roles is not an operator here, so that a
        # webhook with auth keystone is not open to everyone.
        if not environ.get("HTTP_X_ROLES"):
            return None
        return RequestContext.from_environ(environ)

    def _ask_keystone(self, environ: dict[str, Any]) -> RequestContext | None:
        """The caller, if keystone knows the token.  Touches *environ*."""
        with self._building:
            if self._keystone is None:
                # Imported here, because it is large and open webhooks do not need it.
                from watcher.api import keystone

                self._keystone = keystone.checked(_ACCEPTED, self._conf, lambda environ: False)
        response = webob.Request(environ).get_response(self._keystone)
        return RequestContext.from_environ(environ) if response.status_int == 204 else None

    def _keystone_challenge(self) -> str:
        uri = self._keystone and self._conf.keystone_authtoken.www_authenticate_uri
        return f'Keystone uri="{uri}"' if uri else "Keystone"


_ACCEPTED: Final = webob.Response(status=204)
"""The answer to a request whose token keystone knows."""
