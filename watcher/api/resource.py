# SPDX-License-Identifier: Apache-2.0
"""The base of all controllers: routes, requests, answers.

A handler is a method of a ``Resource``.  Its decorator names the HTTP method, the path below the
resource, the query parameters and how the body is read::

    @get("{ident}")
    def get_one(self, request: Request, ident: str) -> Any:
        self.authorize(request, "goal:get")
        ...

By the time the handler runs, the types of everything in the request have been checked.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar

import pecan
import webob
from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_policy.policy import Enforcer
from webob import Response

from watcher.api import auth, bodies, microversions, paging
from watcher.api.errors import MethodNotAllowed
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.errors import Forbidden, Invalid, NotAcceptable, NotFound, UnsupportedMediaType
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.policies import target
from watcher.rpc.doorbell import Doorbell
from watcher.rpc.engine_client import EngineClient

F = TypeVar("F", bound=Callable[..., Any])

_ROUTES: Final = "_watcher_routes"
_JSON: Final = "application/json"
_EMPTY: Final = frozenset({202, 204})


@dataclasses.dataclass(frozen=True)
class Collaborators:
    """Everything that controllers use."""

    conf: cfg.ConfigOpts
    database: Database
    policy: Enforcer
    decision_engine: Doorbell
    applier: Doorbell
    notifications: Notifications
    engine_client: EngineClient
    unrecorded: UnrecordedEvents


class Request(webob.Request):
    """A request whose body pecan does not turn into arguments."""

    @property
    def params(self) -> Any:
        return self.GET

    @property
    def json(self) -> Any:
        return {}

    @property
    def identity(self) -> RequestContext:
        return auth.context(self.environ)

    @property
    def version(self) -> microversions.Version:
        """The version of the answer, which ``Versioned`` has found."""
        return self.environ[microversions.ENVIRON]


@dataclasses.dataclass(frozen=True)
class Route:
    """One method on one form of path, below its resource."""

    method: str
    path: tuple[str, ...]
    """``{}`` segments are passed to the handler as text."""
    handler: Callable[..., Any]
    query: Mapping[str, Callable[[str], Any]] = dataclasses.field(default_factory=dict)
    """Parameters to functions that read them; the handler gets the results as arguments."""
    paged: bool = False
    """Whether the handler gets a ``page`` as well."""
    order: paging.Order = paging.OLDEST_FIRST
    """The order of pages, unless the query names another one."""
    body: Callable[[Any], Any] | None = None
    """Reads the decoded body into the argument ``body``."""
    status: int = 200
    """Answers with 202 or 204 have no body."""
    any_query: bool = False
    """Whether other parameters are ignored rather than refused."""

    def matches(self, segments: list[str]) -> bool:
        return len(segments) == len(self.path) and all(
            _is_variable(part) or part == segment
            for part, segment in zip(self.path, segments, strict=True)
        )


def _route(method: str, path: str = "", **options: Any) -> Callable[[F], F]:
    """Make a method the handler of a ``Route`` with these *options*."""

    def decorate(handler: F) -> F:
        route = Route(method, tuple(filter(None, path.split("/"))), handler, **options)
        setattr(handler, _ROUTES, [*getattr(handler, _ROUTES, []), route])
        return handler

    return decorate


get = functools.partial(_route, "GET")
post = functools.partial(_route, "POST")
patch = functools.partial(_route, "PATCH")
delete = functools.partial(_route, "DELETE")


class Resource:
    children: Mapping[str, "Resource"] = {}
    routes: ClassVar[tuple[Route, ...]] = ()
    marker: Callable[[str], str] = staticmethod(paging.uuid_marker)
    """Reads the marker of a list."""

    def __init__(self, collaborators: Collaborators) -> None:
        self.conf = collaborators.conf
        self.database = collaborators.database
        self.decision_engine = collaborators.decision_engine
        self.applier = collaborators.applier
        self.notifications = collaborators.notifications
        self.engine_client = collaborators.engine_client
        self._policy = collaborators.policy

    def __init_subclass__(cls) -> None:
        cls.routes = tuple(
            route
            for part in cls.__mro__  # some resources are in several files
            for value in vars(part).values()
            for route in getattr(value, _ROUTES, ())
        )

    def authorize(self, request: Request, rule: str) -> None:
        """Forbidden unless the caller satisfies the policy *rule*."""
        if not self._policy.authorize(rule, target(request.identity), request.identity):
            raise Forbidden(f"Policy does not allow {rule} to this user.")

    @pecan.expose()
    def _route(self, remainder: list[str], request: Request) -> tuple[Any, list[str]]:
        segments = [segment for segment in remainder if segment]
        if segments and segments[0] in self.children:
            return self.children[segments[0]]._route(segments[1:], request)  # noqa: SLF001
        request.pecan.update(
            route=self._find(request, segments), segments=segments, content_type=_JSON
        )
        return self._answer, []

    def _find(self, request: Request, segments: list[str]) -> Route:
        found = [route for route in self.routes if route.matches(segments)]
        if not found:
            raise NotFound(f"There is nothing at {request.path_info}.")
        # "detail" is a path of its own, not the name of an object.
        plain = [route for route in found if not any(map(_is_variable, route.path))]
        by_method = {route.method: route for route in plain or found}
        if request.method not in by_method:
            allowed = ", ".join(sorted(by_method))
            raise MethodNotAllowed(
                f"{request.method} is not offered at {request.path_info}; allowed: {allowed}.",
                by_method,
            )
        return by_method[request.method]

    @pecan.expose(content_type=_JSON)
    def _answer(self) -> Response:
        request: Request = pecan.request
        route, segments = request.pecan["route"], request.pecan["segments"]
        if route.status not in _EMPTY and not request.accept.acceptable_offers([_JSON]):
            raise NotAcceptable(f"Accept: answers are {_JSON} and nothing else.")
        arguments = self._arguments(request, route)
        if route.body is not None:
            arguments["body"] = route.body(self._decoded(request))
        variables = [
            segment
            for part, segment in zip(route.path, segments, strict=True)
            if _is_variable(part)
        ]
        answer = route.handler(self, request, *variables, **arguments)
        return answer if isinstance(answer, Response) else reply(answer, route.status)

    def _arguments(self, request: Request, route: Route) -> dict[str, Any]:
        if route.any_query:
            return {}
        given = _query(request, [*route.query, *(paging.PARAMETERS if route.paged else ())])
        arguments = {name: read(given[name]) for name, read in route.query.items() if name in given}
        if route.paged:
            arguments["page"] = paging.page(
                given, self.conf.api.max_limit, self.marker, route.order
            )
        return arguments

    def _decoded(self, request: Request) -> Any:
        body = bodies.read(request, self.conf.oslo_middleware.max_request_body_size)
        if not body:
            raise Invalid("The body is empty; it must be JSON.")
        if request.content_type.lower() != _JSON:
            raise UnsupportedMediaType(f"Content-Type: the body must be {_JSON}.")
        return bodies.decode(body)


def reply(body: Any, status: int = 200, **headers: str) -> Response:
    """A response with *body* as JSON, or without a body for status 202 and 204."""
    if status in _EMPTY:
        return Response(status=status, headerlist=[])
    response = Response(json.dumps(body), status=status, content_type=_JSON, charset="UTF-8")
    response.headers.update(headers)
    return response


def created(request: Request, resource: str, uuid: str, body: Any) -> Response:
    """201, with the URL of the new object."""
    return reply(body, 201, Location=f"{request.application_url}/v1/{resource}/{uuid}")


def _query(request: Request, allowed: list[str]) -> dict[str, str]:
    """The query parameters.  Invalid for others than *allowed*, and for one given twice."""
    given: dict[str, str] = {}
    for name, value in request.GET.items():
        if name not in allowed:
            what = f"allowed are {', '.join(allowed)}" if allowed else "none is allowed here"
            raise Invalid(f"{name[:63]}: no such query parameter; {what}.")
        if name in given:
            raise Invalid(f"{name}: this query parameter is given more than once.")
        given[name] = value
    return given


def _is_variable(part: str) -> bool:
    return part.startswith("{")
