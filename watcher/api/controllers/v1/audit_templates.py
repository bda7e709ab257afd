# SPDX-License-Identifier: Apache-2.0
"""/v1/audit_templates."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from oslo_utils import timeutils
from sqlalchemy.orm import Session
from webob import Response
from wsme.types import Base, list_attributes, wsattr

from watcher.api import bodies
from watcher.api import patch as json_patch
from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import record, related
from watcher.api.microversions import Version
from watcher.api.patch import Operation
from watcher.api.resource import Request, created, delete, patch, post
from watcher.api.types import List, Object, Text
from watcher.common import schemas
from watcher.common.errors import Conflict, Invalid, NotAcceptable, NotFound
from watcher.db import audit_templates, installed, lookup
from watcher.db.lookup import is_uuid
from watcher.db.models import AuditTemplate, Goal, Strategy

_WITH_PARAMETERS: Final = (1, 7)


class TemplateDefinition(Base):
    """The body of a POST, and the fields after a PATCH."""

    name = wsattr(Text(63), mandatory=True)
    goal = wsattr(Text(63), mandatory=True)
    strategy = Text(63)
    description = Text(255)
    scope: Any = List
    default_parameters = Object


_CHANGEABLE: Final = tuple(attribute.name for attribute in list_attributes(TemplateDefinition))


class AuditTemplates(ReadResource):
    singular, plural = "audit_template", "audit_templates"
    filters = {"goal": str, "strategy": str}
    columns = "uuid name"
    one, page = staticmethod(audit_templates.get), staticmethod(audit_templates.list_page)

    def short(self, request: Request, row: AuditTemplate) -> dict[str, Any]:
        return {
            **super().short(request, row),
            **related("goal", row.goal),
            **related("strategy", row.strategy),
            "scope": row.scope or [],
        }

    def more(self, request: Request, row: AuditTemplate) -> dict[str, Any]:
        body: dict[str, Any] = {"description": row.description, **record(row)}
        if request.version >= _WITH_PARAMETERS:
            body["default_parameters"] = row.default_parameters or {}
        return body

    @post(body=lambda body: _checked(bodies.typed(TemplateDefinition, body)))
    def create(self, request: Request, body: TemplateDefinition) -> Response:
        self.authorize(request, "audit_template:create")
        if body.default_parameters:
            _require_parameters(request.version)

        def write(session: Session) -> dict[str, Any]:
            template = AuditTemplate()
            _define(session, template, body, _CHANGEABLE)
            audit_templates.save(session, template)
            return self.whole(request, template)

        shown = self.database.write(write)
        return created(request, self.plural, shown["uuid"], shown)

    @patch("{ident}", body=lambda body: json_patch.parse(body, _CHANGEABLE))
    def update(self, request: Request, ident: str, body: list[Operation]) -> dict[str, Any]:
        self.authorize(request, "audit_template:update")
        if "default_parameters" in json_patch.touched(body):
            _require_parameters(request.version)

        def write(session: Session) -> dict[str, Any]:
            lookup.lock(session, AuditTemplate, ident)
            template = audit_templates.get(session, ident)
            _change(session, template, body)
            audit_templates.save(session, template)
            return self.whole(request, template)

        return self.database.write(write)

    @delete("{ident}", status=204)
    def remove(self, request: Request, ident: str) -> None:
        self.authorize(request, "audit_template:delete")
        now = timeutils.utcnow()

        def write(session: Session) -> None:
            lookup.lock(session, AuditTemplate, ident)
            audit_templates.delete(session, audit_templates.get(session, ident), now)

        self.database.write(write)


def _require_parameters(version: Version) -> None:
    if version < _WITH_PARAMETERS:
        raise NotAcceptable("default_parameters: needs version 1.7 of the API or later.")


def _checked(definition: TemplateDefinition) -> TemplateDefinition:
    for field in ("name", "goal"):
        if getattr(definition, field) is None:
            raise Invalid(f"{field}: must be a string; it cannot be null or removed.")
    definition.scope = schemas.scope(definition.scope or [])
    return definition


def _change(session: Session, template: AuditTemplate, operations: Sequence[Operation]) -> None:
    touched = json_patch.touched(operations)
    if (
        template.default_parameters
        and touched & {"goal", "strategy"}
        and "default_parameters" not in touched
    ):
        raise Conflict(
            "default_parameters: were made for the present goal and strategy; replace or remove "
            "them in the same request."
        )
    document = {
        "name": template.name,
        "goal": template.goal.uuid,
        "strategy": template.strategy and template.strategy.uuid,
        "description": template.description,
        "scope": template.scope or [],
        "default_parameters": template.default_parameters or {},
    }
    after = bodies.typed(TemplateDefinition, json_patch.apply(document, operations))
    _define(session, template, _checked(after), touched)


def _define(
    session: Session, template: AuditTemplate, body: TemplateDefinition, fields: Collection[str]
) -> None:
    """Write *fields* of a checked body into a row.  Invalid if they do not fit each other."""
    for field in ("name", "description", "scope"):
        if field in fields:
            setattr(template, field, getattr(body, field))
    if "goal" in fields:
        template.goal = _goal(session, body.goal)
    if "strategy" in fields:
        template.strategy = _strategy(session, body.strategy)
    if template.strategy is not None and template.strategy.goal_id != template.goal.id:
        raise Invalid(
            f"strategy: {template.strategy.name} does not serve the goal {template.goal.name}."
        )
    if "default_parameters" in fields:
        template.default_parameters = body.default_parameters or {}
        schema = template.strategy and template.strategy.parameters_spec
        schemas.default_parameters(schema or {}, template.default_parameters)


def _goal(session: Session, ident: str) -> Goal:
    try:
        goal = installed.goal(session, ident)
    except NotFound:
        goal = None
    # Only GET ignores the case of names.
    if goal is None or (goal.name != ident and not is_uuid(ident)):
        raise Invalid(f"goal: there is no goal {ident}.")
    return goal


def _strategy(session: Session, ident: str | None) -> Strategy | None:
    try:
        return installed.strategy(session, ident) if ident is not None else None
    except NotFound as error:
        raise Invalid(f"strategy: there is no strategy {ident}.") from error
