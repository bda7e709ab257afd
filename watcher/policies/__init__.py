# SPDX-License-Identifier: Apache-2.0
"""The policy rules: who may do what.  A rule guards an operation of the API, or a few."""

from collections.abc import Iterator

from oslo_context.context import RequestContext
from oslo_policy.policy import DocumentedRuleDefault, RuleDefault

ADMIN = "rule:admin_api"
ADMIN_OR_SERVICE = "rule:admin_or_service_api"

_BASE = (
    RuleDefault("admin_api", "role:admin or role:administrator", "Operators of the cloud."),
    RuleDefault(
        "admin_or_service_api",
        "rule:admin_api or role:service",
        "Operators of the cloud, and its services.",
    ),
    RuleDefault("show_password", "!", "Show secrets in what is logged."),
)

_READ = (
    ("get_all", "GET", "", "List {many}."),
    ("detail", "GET", "/detail", "List {many} with all their fields."),
    ("get", "GET", "/{ident}", "Show one {one}."),
)
_CREATE = ("create", "POST", "", "Create one {one}.")
_UPDATE = ("update", "PATCH", "/{ident}", "Change one {one}.")
_DELETE = ("delete", "DELETE", "/{ident}", "Delete one {one}.")

_OPERATIONS = {
    "action": (*_READ, _UPDATE),
    "action_plan": (
        *_READ,
        _UPDATE,
        _DELETE,
        ("start", "POST", "/{ident}/start", "Start one {one}."),
    ),
    "audit": (*_READ, _CREATE, _UPDATE, _DELETE),
    "audit_template": (*_READ, _CREATE, _UPDATE, _DELETE),
    "data_model": (("get_all", "GET", "", "Show the {one}."),),
    "goal": _READ,
    "scoring_engine": _READ,
    "service": (
        *_READ,
        ("status", "GET", "/status", "Show all {many}, what waits and what is under way."),
    ),
    "strategy": (
        *_READ,
        ("state", "GET", "/{ident}/state", "Show what one {one} needs and whether it is there."),
    ),
    "webhook": (
        ("trigger", "POST", "/{ident}", "Trigger an EVENT audit through its {one}."),
        ("get_all", "GET", "", "List {many} with their settings."),
        ("get", "GET", "/{ident}", "Show one {one}, what came to it and what became of that."),
        _UPDATE,
        ("preview", "POST", "/{ident}/preview", "Show what a message would do, without doing it."),
        (
            "replay",
            "POST",
            "/{ident}/events/{event_uuid}/replay",
            "Let the message of an event trigger its audit once more.",
        ),
    ),
}
_ALSO = {
    "webhook:get": (
        ("GET", "/{ident}/events"),
        ("GET", "/{ident}/events/{event_uuid}"),
        ("GET", "/{ident}/runs"),
        ("GET", "/{ident}/runs/{run_uuid}"),
    ),
    "webhook:update": (("POST", "/{ident}/secret"), ("DELETE", "/{ident}/secret")),
}
"""More operations that a rule guards."""
_PLURALS = {"data_model": "data_model", "strategy": "strategies"}
_CHECKS = {"webhook:trigger": ADMIN_OR_SERVICE}


TARGET = ("project_id", "user_id")
"""Attributes that a rule may compare with, as in ``project_id:%(project_id)s``.  They are those of
the caller, because no row of Watcher belongs to a project."""


def target(caller: RequestContext) -> dict[str, str | None]:
    """The target of all rules for *caller*."""
    return {name: getattr(caller, name) for name in TARGET}


def list_rules() -> Iterator[RuleDefault]:
    """All rules; also the entry point of oslo.policy's generators."""
    yield from _BASE
    for resource, operations in _OPERATIONS.items():
        for verb, method, path, description in operations:
            yield _rule(resource, verb, method, path, description)


def _rule(
    resource: str, verb: str, method: str, path: str, description: str
) -> DocumentedRuleDefault:
    plural = _PLURALS.get(resource, f"{resource}s")
    name = f"{resource}:{verb}"
    return DocumentedRuleDefault(
        name=name,
        check_str=_CHECKS.get(name, ADMIN),
        description=description.format(
            one=resource.replace("_", " "), many=plural.replace("_", " ")
        ),
        operations=[
            {"method": by, "path": f"/v1/{plural}{below}"}
            for by, below in ((method, path), *_ALSO.get(name, ()))
        ],
    )
