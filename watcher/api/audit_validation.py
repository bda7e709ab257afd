# SPDX-License-Identifier: Apache-2.0
"""Validation of audits: from request bodies to columns."""

import datetime
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.orm import Session
from wsme import types as wtypes

from watcher.api import bodies, patch
from watcher.api.fields import naive
from watcher.api.microversions import Version
from watcher.api.patch import Operation
from watcher.api.types import Boolean, List, Object, Text, Time
from watcher.common import schedule, schemas
from watcher.common.errors import Invalid, NotAcceptable, NotFound
from watcher.common.states import AuditType
from watcher.db import audit_templates, installed
from watcher.db.lookup import is_uuid
from watcher.db.models import Audit, AuditTemplate, Strategy

_NAME_LENGTH: Final = 63
_TIMES: Final = ("start_time", "end_time")


class AuditDefinition(wtypes.Base):
    """The body of a POST."""

    audit_type = wtypes.wsattr(Text(20), mandatory=True)
    audit_template_uuid = Text(_NAME_LENGTH)
    goal = Text(_NAME_LENGTH)
    strategy = Text(_NAME_LENGTH)
    name = Text(1024)
    parameters = Object
    interval = Text(schedule.MAX_LENGTH)
    auto_trigger = Boolean
    start_time = Time
    end_time = Time
    force = Boolean
    state = wtypes.wsattr(Text(20), readonly=True)
    scope = wtypes.wsattr(List, readonly=True)
    hostname = wtypes.wsattr(Text(255), readonly=True)


class AuditChanges(wtypes.Base):
    """The fields after a PATCH."""

    name = Text(_NAME_LENGTH)
    state = Text(20)
    parameters = Object
    scope = List
    interval = Text(schedule.MAX_LENGTH)
    auto_trigger = Boolean
    start_time = Time
    end_time = Time
    force = Boolean


CHANGEABLE: Final = tuple(attribute.name for attribute in wtypes.list_attributes(AuditChanges))
_WHEN_REMOVED: Final = {"auto_trigger": False, "force": False, "parameters": {}, "scope": []}
_NEVER_NULL: Final = frozenset({"name", "state", *_WHEN_REMOVED})


def check(definition: AuditDefinition, version: Version) -> None:
    """Invalid or NotAcceptable for errors that do not depend on the database."""
    audit_type = definition.audit_type
    if audit_type not in AuditType.ALL:
        raise Invalid(f"audit_type: must be one of {', '.join(AuditType.ALL)}.")
    if bool(definition.goal) == bool(definition.audit_template_uuid):
        raise Invalid("goal, audit_template_uuid: exactly one of them must be given.")
    interval = definition.interval
    if interval is None and audit_type == AuditType.CONTINUOUS:
        raise Invalid("interval: is required for a CONTINUOUS audit.")
    if interval is not None and audit_type == AuditType.ONESHOT:
        raise Invalid("interval: a ONESHOT audit has none.")
    if interval is not None:
        schedule.validate(interval)
    for name in _TIMES:
        if getattr(definition, name) is None:
            continue
        if audit_type == AuditType.ONESHOT:
            raise Invalid(f"{name}: a ONESHOT audit has none.")
        if version < (1, 1):
            raise NotAcceptable(f"{name}: needs version 1.1 of the API, or later.")


def define(session: Session, definition: AuditDefinition, now: datetime.datetime) -> Audit:
    """A new audit, not in the session yet.

    Invalid for an unknown template or what does not fit, NotFound for an unknown goal or strategy.
    """
    template = _template(session, definition.audit_template_uuid)
    goal = template.goal if template else installed.goal(session, definition.goal)
    strategy = template.strategy if template else None
    if definition.strategy:
        strategy = installed.strategy(session, definition.strategy)
    if strategy is not None and strategy.goal_id != goal.id:
        raise Invalid(f"strategy: {strategy.name} does not serve the goal {goal.name}.")
    parameters = dict(template.default_parameters or {}) if template else {}
    parameters.update(definition.parameters or {})
    base = strategy or template or goal
    return Audit(
        name=(definition.name or _name(base.name or "", now))[:_NAME_LENGTH],
        audit_type=definition.audit_type,
        goal_id=goal.id,
        strategy_id=strategy.id if strategy else None,
        parameters=schemas.parameters(_schema(strategy), parameters),
        scope=list(template.scope or []) if template else [],
        interval=definition.interval,
        auto_trigger=bool(definition.auto_trigger),
        force=bool(definition.force),
        start_time=definition.start_time,
        end_time=definition.end_time,
    )


def redefine(audit: Audit, operations: Sequence[Operation]) -> dict[str, Any]:
    """The columns that a patch of *audit* changes, checked.  Invalid names the field."""
    touched = patch.touched(operations)
    patched = patch.apply(_document(audit), operations)
    after = {name: patched.get(name, _WHEN_REMOVED.get(name)) for name in touched}
    for name in _NEVER_NULL & after.keys():
        if after[name] is None:
            raise Invalid(f"{name}: cannot be null or removed.")
    changes = bodies.typed(AuditChanges, after)
    values: dict[str, Any] = {name: getattr(changes, name) for name in touched}
    if "scope" in values:
        values["scope"] = schemas.scope(values["scope"])
    if "parameters" in values:
        values["parameters"] = schemas.parameters(_schema(audit.strategy), values["parameters"])
    if values.get("interval") is not None:
        schedule.validate(values["interval"])
    elif "interval" in values and audit.audit_type == AuditType.CONTINUOUS:
        raise Invalid("interval: a CONTINUOUS audit cannot do without.")
    return values


def _document(audit: Audit) -> dict[str, Any]:
    """The JSON document that a patch applies to."""
    document = {name: getattr(audit, name) for name in CHANGEABLE}
    return document | {name: naive(document[name]) for name in _TIMES}


def _template(session: Session, uuid: str | None) -> AuditTemplate | None:
    if uuid is None:
        return None
    if not is_uuid(uuid):
        raise Invalid("audit_template_uuid: must be a uuid.")
    try:
        return audit_templates.get(session, uuid)
    except NotFound as error:
        raise Invalid(f"audit_template_uuid: {error}") from None


def _schema(strategy: Strategy | None) -> schemas.Schema:
    return (strategy.parameters_spec or {}) if strategy is not None else {}


def _name(base: str, now: datetime.datetime) -> str:
    """A name that shows the purpose of the audit, and is not taken yet."""
    moment = now.isoformat(timespec="microseconds")
    return f"{base[: _NAME_LENGTH - len(moment) - 1]}-{moment}"
