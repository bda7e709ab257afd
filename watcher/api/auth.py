# SPDX-License-Identifier: Apache-2.0
"""Who calls: keystone's word for it, the routes that ask nobody, and the request context."""

import re
from typing import Any, Final

import webob
from oslo_config import cfg
from oslo_context.context import RequestContext
from webob import dec

from watcher.api import credentials

_ENVIRON: Final = "watcher.context"
_WEBHOOK: Final = re.compile(r"/v1/webhooks/[^/]+/?")


def context(environ: dict[str, Any]) -> RequestContext:
    """The context of a request that has passed the middleware of this module."""
    found: RequestContext = environ[_ENVIRON]
    return found


def is_webhook(request: webob.Request) -> bool:
    """Whether this is the message of an alarm service."""
    return request.method == "POST" and bool(_WEBHOOK.fullmatch(request.path_info))


def _identified(request: webob.Request, application: Any) -> Any:
    request.environ[_ENVIRON] = RequestContext.from_environ(request.environ)
    return application


def _taken_at_their_word(request: webob.Request, application: Any) -> Any:
    _identified(request, application)
    if "X-Roles" not in request.headers:
        context(request.environ).roles = ["admin"]
    return application


class Authenticated:
    """Keystone for all but the public routes, whose requests never meet it.

    A webhook asks for its own credential, if any, when its settings are known (Doorkeeper).
    Identity headers of a public request mean nothing, whoever sent them.  Without
    ``enable_authentication`` callers are taken at their word, and one who says nothing of
    roles is the operator: that is how the service runs on one machine without a keystone.
    """

    def __init__(self, application: Any, conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._identified: Any = dec.wsgify(
            _identified if conf.enable_authentication else _taken_at_their_word,
            args=(application,),
        )
        if conf.enable_authentication:
            # Here, because it is large and an API without keystone does without it.
            from keystonemiddleware.auth_token import AuthProtocol

            self._identified = AuthProtocol(self._identified, {"oslo_config_config": conf})

    @dec.wsgify
    def __call__(self, request: webob.Request) -> Any:
        if is_webhook(request):
            credentials.veil_tokens(request.environ)
        elif request.path_info != "/":
            return self._identified
        request.environ[_ENVIRON] = RequestContext(
            request_id=request.environ.get("openstack.request_id")
        )
        return self._application
