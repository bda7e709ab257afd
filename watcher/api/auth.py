# SPDX-License-Identifier: Apache-2.0
"""Authentication by keystone, the routes without it, and the request context."""

import re
from collections.abc import Iterable
from typing import Final

from oslo_config import cfg
from oslo_context.context import RequestContext

from watcher.api import webhook_auth
from watcher.api.wsgi import Application, Environ, StartResponse

_ENVIRON: Final = "watcher.context"
_WEBHOOK: Final = re.compile(r"/v1/webhooks/[^/]+/?")


def context(environ: Environ) -> RequestContext:
    """The context of a request that has passed the middleware of this module."""
    return environ[_ENVIRON]


def is_alarm(environ: Environ) -> bool:
    """Whether this posts an alarm message; other requests below ``/v1/webhooks`` do not."""
    return environ["REQUEST_METHOD"] == "POST" and bool(_WEBHOOK.fullmatch(environ["PATH_INFO"]))


class Authenticated:
    """Authentication by keystone for all but the public routes.

    A webhook checks its own credential, if any, when its settings are known (WebhookAuth).
    Identity headers of requests to public routes are ignored.  Without
    ``enable_authentication`` the identity headers of the caller count, and a caller without
    roles is an operator, except at webhooks with ``auth`` keystone; so the service runs on one
    machine without keystone.
    """

    def __init__(self, application: Application, conf: cfg.ConfigOpts) -> None:
        def identified(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            environ[_ENVIRON] = caller = RequestContext.from_environ(environ)
            if not conf.enable_authentication and "HTTP_X_ROLES" not in environ:
                caller.roles = ["admin"]
            return application(environ, start_response)

        self._application = application
        self._identified: Application = identified
        if conf.enable_authentication:
            # Imported here, because it is large and an API without keystone does not need it.
            from watcher.api import keystone

            self._identified = keystone.checked(
                identified, conf, passed=lambda environ: _ENVIRON in environ
            )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if is_alarm(environ):
            webhook_auth.redact_tokens(environ)
        elif environ["PATH_INFO"] != "/":
            return self._identified(environ, start_response)
        environ[_ENVIRON] = RequestContext(request_id=environ.get("openstack.request_id"))
        return self._application(environ, start_response)
