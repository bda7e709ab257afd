# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: the controllers and the middleware around them."""

from collections.abc import Callable, Iterable
from typing import Any

import pecan
import webob
from oslo_config import cfg
from oslo_context.context import generate_request_id
from oslo_middleware import (
    CORS,
    Healthcheck,
    HTTPProxyToWSGI,
    RequestId,
    cors,
    http_proxy_to_wsgi,
    request_id,
    sizelimit,
)
from oslo_policy.policy import Enforcer

from watcher import policies
from watcher.api import auth, bodies, microversions, paths, webhook_auth, wsgi
from watcher.api.auth import Authenticated
from watcher.api.controllers.root import Root
from watcher.api.microversions import Versioned
from watcher.api.resource import Collaborators, Request
from watcher.api.unrecorded import UnrecordedEvents
from watcher.api.wsgi import Application, Environ, StartResponse
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.rpc.doorbell import Doorbell
from watcher.rpc.engine_client import EngineClient


def build(
    conf: cfg.ConfigOpts,
    database: Database,
    decision_engine: Doorbell,
    applier: Doorbell,
    notifications: Notifications,
    engine_client: EngineClient,
    unrecorded: UnrecordedEvents,
) -> Any:
    """A WSGI application; there may be several in a process.

    The caller has to stop *unrecorded*, so that its last counts are written.
    """
    _register(conf)
    policy = Enforcer(conf)
    policy.register_defaults(list(policies.list_rules()))
    root = Root(
        Collaborators(
            conf,
            database,
            policy,
            decision_engine,
            applier,
            notifications,
            engine_client,
            unrecorded,
        )
    )
    application = _without_pecan_for_alarms(
        root,
        pecan.Pecan(
            root, request_cls=Request, force_canonical=False, guess_content_type_from_ext=False
        ),
    )
    for middleware in reversed(_middleware(conf)):
        application = middleware(application)
    return application


def _without_pecan_for_alarms(root: Root, application: Application) -> Application:
    """Call the handler of alarms without pecan, which would take longer than the handler does."""

    def route(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not auth.is_alarm(environ):
            return application(environ, start_response)
        request = Request(environ)
        ident = request.path_info.strip("/").rpartition("/")[2]
        return root.webhooks.trigger(request, ident)(environ, start_response)

    return route


def _register(conf: cfg.ConfigOpts) -> None:
    """Register the options of the middleware libraries, with defaults for this API."""
    conf.register_opts(sizelimit.OPTS, group="oslo_middleware")
    conf.register_opts(http_proxy_to_wsgi.OPTS, group="oslo_middleware")
    conf.register_opts(cors.OPTS, group="cors")
    conf.set_default("allow_methods", ["GET", "PUT", "POST", "DELETE", "PATCH"], group="cors")
    headers = ["X-Auth-Token", "X-Subject-Token", "X-Service-Token", "X-OpenStack-Request-ID"]
    versions = [
        microversions.HEADER,
        "OpenStack-API-Minimum-Version",
        "OpenStack-API-Maximum-Version",
    ]
    conf.set_default("expose_headers", [*headers, *versions], group="cors")
    conf.set_default("allow_headers", [*headers, microversions.HEADER], group="cors")


def _middleware(conf: cfg.ConfigOpts) -> list[Callable[[Application], Application]]:
    """The middleware, outermost first."""
    proxied = conf.oslo_middleware.enable_proxy_headers_parsing
    return [
        # Outside of everything that may answer without reading the body.  The limit of its size
        # is an argument of bodies.read, because an alarm may be larger than other requests.
        bodies.DiscardUnreadBody,
        # Outside of everything that may fail or log a secret.
        lambda application: _with_request_id(application, conf),
        # Outside of everything that uses the host, for the links in answers.  Left out without
        # a proxy, because it costs time in each alarm.
        *([lambda application: HTTPProxyToWSGI(application, conf)] if proxied else []),
        # The inner layers decide by the path, so it has to be normalized before them.  The
        # health check is outside of them, because a load balancer has no token and no version.
        lambda application: paths.Paths(application, Healthcheck(application, conf)),
        # Outside of everything that raises.
        Versioned,
        # Outside of everything that reads a body.
        lambda application: bodies.LargeBodyLimit(application, conf.api.threads),
        # Innermost: controllers use the identity that it finds.
        lambda application: Authenticated(application, conf),
    ]


def _with_request_id(application: Application, conf: cfg.ConfigOpts) -> Application:
    """Remove secrets, set the request id, and answer CORS requests.

    Outside of authentication: preflight requests have no token, and browsers need the CORS
    headers on errors, too.
    """
    request_ids, cross_origin = RequestId(application, conf), CORS(application, conf)

    def handle(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        webhook_auth.redact_secrets(environ)
        if "HTTP_X_OPENSTACK_REQUEST_ID" in environ:
            request_ids.set_global_req_id(webob.Request(environ))
        environ[request_id.ENV_REQUEST_ID] = new_id = generate_request_id()
        header = (request_id.HTTP_RESP_HEADER_REQUEST_ID, new_id)
        is_cors = "HTTP_ORIGIN" in environ or environ["REQUEST_METHOD"] == "OPTIONS"
        inner = cross_origin if is_cors else application
        return inner(environ, wsgi.adding(start_response, [header]))

    return handle
