# SPDX-License-Identifier: Apache-2.0
"""The bodies of notifications: from rows to what stands on the wire.

Consumers know each object by its name and version, so a field that is added,
dropped or changed needs a new version here.  Rows come from ``rows``, with all
that is read of them already loaded.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    Goal,
    Review,
    Service,
    SoftDeleted,
    Strategy,
)

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


def audit(name: str, row: Audit, extra: Mapping[str, Any]) -> Payload:
    """The object *name* about an audit; *extra* are the fields that only this one has."""
    return _object(
        name,
        **_audit(row),
        goal=_goal(row.goal),
        strategy=_strategy(row.strategy) if row.strategy else None,
        **extra,
    )


def action_plan(name: str, row: ActionPlan, extra: Mapping[str, Any]) -> Payload:
    """The object *name* about an action plan."""
    return _object(
        name,
        **_action_plan(row),
        audit=_object("TerseAuditPayload", **_audit(row.audit)),
        strategy=_strategy(row.strategy),
        **extra,
    )


def terse_action_plan(row: ActionPlan) -> Payload:
    """What every notification about an action says of its plan."""
    return _object("TerseActionPlanPayload", **_action_plan(row))


def action(name: str, row: Action, plan: Payload, extra: Mapping[str, Any]) -> Payload:
    """The object *name* about an action of the plan *plan* (see ``terse_action_plan``)."""
    return _object(
        name,
        uuid=row.uuid,
        action_type=row.action_type,
        input_parameters=row.input_parameters or {},
        state=row.state,
        parents=row.parents or [],
        action_plan_uuid=row.action_plan.uuid,
        action_plan=plan,
        status_message=row.status_message,
        **_times(row),
        **extra,
    )


def service_update(row: Service, old_state: str, state: str) -> Payload:
    return _object(
        "ServiceUpdatePayload",
        sevice_host=row.host,  # spelled so by every consumer there is
        name=row.name,
        last_seen_up=_time(row.last_seen_up),
        status_update=_object("ServiceStatusUpdatePayload", old_state=old_state, state=state),
    )


def state_update(name: str, old_state: str | None, row: Audit | ActionPlan | Action) -> Payload:
    """From which state to which, all null if the row was changed in other ways."""
    moved = old_state is not None
    return _object(
        name,
        old_state=old_state,
        state=row.state if moved else None,
        status_message=row.status_message if moved else None,
    )


def review(row: Review) -> Payload:
    """What a plan promised and what it did; ``kept`` in percent, null if it cannot be told."""
    return _object(
        "ReviewPayload",
        figure=row.promise["figure"],
        before=row.promise["before"],
        after=row.promise["after"],
        realised=row.realised.get(row.promise["figure"]),
        kept=row.percent_kept,
        message=row.message,
        reviewed_at=_time(row.reviewed_at),
    )


def exception(error: BaseException) -> Payload:
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


def _goal(row: Goal) -> Payload:
    return _object(
        "GoalPayload",
        uuid=row.uuid,
        name=row.name,
        display_name=row.display_name,
        efficacy_specification=row.efficacy_specification,
        **_times(row),
    )


def _strategy(row: Strategy) -> Payload:
    return _object(
        "StrategyPayload",
        uuid=row.uuid,
        name=row.name,
        display_name=row.display_name,
        parameters_spec=row.parameters_spec,
        **_times(row),
    )


def _audit(row: Audit) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "name": row.name,
        "audit_type": row.audit_type,
        "state": row.state,
        "parameters": row.parameters,
        "interval": row.interval,
        "scope": row.scope,
        "goal_uuid": row.goal.uuid,
        "strategy_uuid": row.strategy.uuid if row.strategy else None,
        "auto_trigger": row.auto_trigger,
        "next_run_time": _time(row.next_run_time),
        "status_message": row.status_message,
        **_times(row),
    }


def _action_plan(row: ActionPlan) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "state": row.state,
        "global_efficacy": row.global_efficacy,
        "audit_uuid": row.audit.uuid,
        "strategy_uuid": row.strategy.uuid,
        "status_message": row.status_message,
        **_times(row),
    }


def _times(row: SoftDeleted) -> dict[str, str | None]:
    return {
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "deleted_at": _time(row.deleted_at),
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
