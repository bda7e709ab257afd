# SPDX-License-Identifier: Apache-2.0
"""The bodies of notifications: from rows to versioned objects.

Consumers know each object by its name and version, so a field that is added,
dropped or changed needs a new version here.  All relations that are read here are loaded already.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from watcher.db.models import Action, ActionPlan, Audit, Review, Service
from watcher.notifications.event_types import EVENT_TYPES, FAULT, REVIEW, STATE_UPDATE

Payload = dict[str, Any]

VERSIONS = {
    "GoalPayload": "1.0",
    "StrategyPayload": "1.0",
    "ExceptionPayload": "1.0",
    "TerseAuditPayload": "1.3",
    "AuditStateUpdatePayload": "1.1",
    "AuditCreatePayload": "1.2",
    "AuditUpdatePayload": "1.2",
    "AuditActionPayload": "1.2",
    "AuditDeletePayload": "1.2",
    "TerseActionPlanPayload": "1.2",
    "ActionPlanStateUpdatePayload": "1.1",
    "ActionPlanCreatePayload": "1.2",
    "ActionPlanUpdatePayload": "1.2",
    "ActionPlanActionPayload": "1.2",
    "ActionPlanCancelPayload": "1.2",
    "ActionPlanDeletePayload": "1.2",
    "ActionPlanReviewPayload": "1.0",
    "ReviewPayload": "1.0",
    "ActionStateUpdatePayload": "1.1",
    "ActionCreatePayload": "1.1",
    "ActionUpdatePayload": "1.1",
    "ActionExecutionPayload": "1.1",
    "ActionCancelPayload": "1.1",
    "ActionDeletePayload": "1.1",
    "ServiceStatusUpdatePayload": "1.0",
    "ServiceUpdatePayload": "1.0",
}


def render(
    event_type: str, row: Any, extra: Mapping[str, Any], plans: dict[int, Payload]
) -> Payload:
    """The object of *event_type* about a row.

    *plans* keeps the objects of action plans by id, for the next action of the same plan.
    """
    name = EVENT_TYPES[event_type].payload
    if isinstance(row, Audit):
        strategy = _strategy(row.strategy) if row.strategy else None
        return _object(name, **_audit(row), goal=_goal(row.goal), strategy=strategy, **extra)
    if isinstance(row, ActionPlan):
        audit = _object("TerseAuditPayload", **_audit(row.audit))
        strategy = _strategy(row.strategy)
        return _object(name, **_action_plan(row), audit=audit, strategy=strategy, **extra)
    if row.action_plan_id not in plans:
        plan = _action_plan(row.action_plan)
        plans[row.action_plan_id] = _object("TerseActionPlanPayload", **plan)
    return _object(name, **_action(row), action_plan=plans[row.action_plan_id], **extra)


def extra(
    session: Session, event_type: str, row: Any, old_state: str | None, error: BaseException | None
) -> dict[str, Any]:
    """The field of an object beside those of its row."""
    payload, field, _priority = EVENT_TYPES[event_type]
    if field == STATE_UPDATE:
        return {field: _state_update(payload.replace("Update", "StateUpdate"), old_state, row)}
    if field == FAULT:
        return {field: _exception(error) if error else None}
    return {field: _review(session.get_one(Review, row.id))} if field == REVIEW else {}


def service_update(row: Service, old_state: str, state: str) -> Payload:
    return _object(
        "ServiceUpdatePayload",
        sevice_host=row.host,  # consumers expect this spelling
        name=row.name,
        last_seen_up=_time(row.last_seen_up),
        status_update=_object("ServiceStatusUpdatePayload", old_state=old_state, state=state),
    )


def _state_update(name: str, old_state: str | None, row: Any) -> Payload:
    """The old and new state, all null if the row was changed in other ways."""
    moved = old_state is not None
    return _object(
        name,
        old_state=old_state,
        state=row.state if moved else None,
        status_message=row.status_message if moved else None,
    )


def _review(row: Review) -> Payload:
    """The review of a plan; ``kept`` in percent, null if it is not known."""
    figure = row.promise["figure"]
    return _object(
        "ReviewPayload",
        **{name: row.promise[name] for name in ("figure", "before", "after")},
        realised=row.realised.get(figure),
        kept=row.percent_kept,
        message=row.message,
        reviewed_at=_time(row.reviewed_at),
    )


def _exception(error: BaseException) -> Payload:
    """The error and the function that raised it."""
    module = function = "unknown"
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "unknown")
        function = traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next
    return _object(
        "ExceptionPayload",
        module_name=module,
        function_name=function,
        exception=type(error).__name__,
        exception_message=str(error),
    )


def _goal(row: Any) -> Payload:
    return _object("GoalPayload", **_fields(row, "name display_name efficacy_specification"))


def _strategy(row: Any) -> Payload:
    return _object("StrategyPayload", **_fields(row, "name display_name parameters_spec"))


def _audit(row: Audit) -> dict[str, Any]:
    return {
        **_fields(
            row, "name audit_type state parameters interval scope auto_trigger status_message"
        ),
        "goal_uuid": row.goal.uuid,
        "strategy_uuid": row.strategy.uuid if row.strategy else None,
        "next_run_time": _time(row.next_run_time),
    }


def _action_plan(row: ActionPlan) -> dict[str, Any]:
    return {
        **_fields(row, "state global_efficacy status_message"),
        "audit_uuid": row.audit.uuid,
        "strategy_uuid": row.strategy.uuid,
    }


def _action(row: Action) -> dict[str, Any]:
    return {
        **_fields(row, "action_type state status_message"),
        "input_parameters": row.input_parameters or {},
        "parents": row.parents or [],
        "action_plan_uuid": row.action_plan.uuid,
    }


def _fields(row: Any, names: str) -> dict[str, Any]:
    """The columns *names* of a row unchanged, its UUID, and when it was written."""
    return {
        **{name: getattr(row, name) for name in ("uuid", *names.split())},
        **{name: _time(getattr(row, name)) for name in ("created_at", "updated_at", "deleted_at")},
    }


def _time(value: datetime.datetime | None) -> str | None:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if value else None


def _object(name: str, /, **data: Any) -> Payload:
    return {
        "watcher_object.name": name,
        "watcher_object.namespace": "watcher",
        "watcher_object.version": VERSIONS[name],
        "watcher_object.data": data,
    }
