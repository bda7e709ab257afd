# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: the controllers, and what a request passes on its way to them."""

from typing import Any

import pecan
import webob
from oslo_config import cfg
from oslo_middleware import (
    CORS,
    Healthcheck,
    HTTPProxyToWSGI,
    RequestId,
    cors,
    http_proxy_to_wsgi,
    sizelimit,
)
from oslo_policy.policy import Enforcer
from webob import dec

from watcher import policies
from watcher.api import bodies, microversions, paths
from watcher.api.auth import Authenticated
from watcher.api.coalescing import Coalescing
from watcher.api.controllers.root import Root
from watcher.api.credentials import Veiled
from watcher.api.errors import Errors
from watcher.api.microversions import Versioned
from watcher.api.resource import Collaborators, Request
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.rpc.doorbell import Doorbell
from watcher.rpc.questions import Nobody, Questions


def build(
    conf: cfg.ConfigOpts,
    database: Database,
    decision_engine: Doorbell,
    applier: Doorbell,
    notifications: Notifications,
    questions: Questions | None = None,
    coalescing: Coalescing | None = None,
) -> Any:
    """A WSGI application of its own, however many there are in the process.

    Whoever hands in *coalescing* may stop it, so that its last counts are written.
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
            questions or Nobody(),
            coalescing or Coalescing(database),
        )
    )
    application: Any = pecan.Pecan(
        root, request_cls=Request, force_canonical=False, guess_content_type_from_ext=False
    )
    for middleware in reversed(_middleware(conf)):
        application = middleware(application)
    return application


def _register(conf: cfg.ConfigOpts) -> None:
    """The options of the libraries, with defaults that fit this API."""
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


def _middleware(conf: cfg.ConfigOpts) -> list[Any]:
    """From the outside in."""
    proxied = conf.oslo_middleware.enable_proxy_headers_parsing
    return [
        # First, so that nothing further in can write a secret down.
        Veiled,
        # Names the request before anything can go wrong with it.
        lambda application: RequestId(application, conf),
        # Around all that may answer without reading the body.  How large one may be is for
        # those who read it (bodies.read), because an alarm may be larger than a request.
        bodies.Drained,
        # Browsers ask for permission without a token, and need the headers on errors too.
        lambda application: CORS(application, conf),
        # Before everything that looks at the host, for the links in answers.  Without a proxy
        # it does nothing, in time that each alarm would pay for.
        *([lambda application: HTTPProxyToWSGI(application, conf)] if proxied else []),
        # What follows decides by the path, so it must be the one that is routed.
        paths.Paths,
        # A load balancer has no token and needs no version.
        lambda application: _healthcheck(application, conf),
        # Outside of errors, for their answers carry the version too.
        Versioned,
        # Outside of all that raises.
        Errors,
        # Last, right before the controllers that ask who calls.
        lambda application: Authenticated(application, conf),
    ]


def _healthcheck(application: Any, conf: cfg.ConfigOpts) -> Any:
    health = Healthcheck(application, conf)

    @dec.wsgify
    def choose(request: webob.Request) -> Any:
        return health if request.path_info == paths.HEALTHCHECK else application

    return choose
