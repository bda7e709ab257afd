# SPDX-License-Identifier: Apache-2.0
"""The rows that a run writes at its end: its plan, its own end, the state of its audit."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import cfg
from sqlalchemy.orm import Session

from watcher.common import schedule
from watcher.common.errors import Invalid
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import action_plans, lookup, reviews, run_ends, runs
from watcher.db.action_plans import PlannedAction
from watcher.db.models import ActionPlan, Audit, AuditRun, new_uuid
from watcher.db.models.base import shortened
from watcher.decision_engine import plan_limits, retries
from watcher.decision_engine.feedback.promises import Promise
from watcher.decision_engine.solution import with_owner

_DISTRUSTED = (
    "Not started automatically: the last plans of the audit kept less than half of what they "
    "promised; set its auto_trigger again after a look."
)

_REPLACED = {AuditType.CONTINUOUS: PlanState.CANCELLED, AuditType.EVENT: PlanState.SUPERSEDED}
"""The state of plans that a younger one of the same audit replaces."""


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a run, ready to be written."""

    strategy_name: str
    actions: Sequence[PlannedAction]
    global_efficacy: list[dict[str, Any]]
    indicators: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any]
    gain: float | None = None
    left_undone: str = ""
    """A sentence on what was left undone; empty if nothing was."""
    exceeded: str = ""
    """How the plan exceeds the bounds of the run; empty if it does not."""
    promise: Promise | None = None
    plans_ended: int = 0
    """How many plans had ended before the run read the cloud."""
    cloud_digest: str | None = None
    """See ``same_metrics``; None if it does not apply, or there is something to do."""


@dataclasses.dataclass(frozen=True)
class Written:
    """The rows that a run has written: its plan, and the ids of the plans that it replaces."""

    plan: ActionPlan
    replaced: Sequence[int]


def write(
    session: Session, run: AuditRun, result: RunResult, conf: cfg.ConfigOpts, now: datetime.datetime
) -> Written | None:
    """Write the plan, the run's end and the audit's state.  None, without a plan, if the audit is
    not active any more, or if the run begins again."""
    audit, other_plan = run.audit, None
    if result.actions and audit.auto_trigger and not audit.force:
        other_plan = action_plans.conflicting_plan(session, result.plans_ended)
    if other_plan and retries.repeat(session, run, other_plan, now, conf):
        return None
    if audit.audit_type == AuditType.CONTINUOUS:
        active = _schedule_next(session, run, now)
    else:
        active = run_ends.move_audit(session, run, AuditState.SUCCEEDED, now)
    if not active:
        return None
    replaced: Sequence[int] = ()
    if audit.audit_type in _REPLACED:
        state = _REPLACED[audit.audit_type]
        replaced = action_plans.replace_recommended(session, audit.id, state, now)
    why_not_started = _why_not_started(session, audit, result, conf, now)
    if other_plan:
        changed = f"action plan {other_plan} changes the cloud that it was made for"
        why_not_started = f"Not started automatically: {changed}."
    return Written(_add_plan(session, run, result, why_not_started, now), replaced)


def _add_plan(
    session: Session,
    run: AuditRun,
    result: RunResult,
    why_not_started: str | None,
    now: datetime.datetime,
) -> ActionPlan:
    """Write the plan of a run, and end the run with it."""
    audit, plan_uuid = run.audit, new_uuid()
    message = shortened(" ".join(filter(None, (why_not_started, result.left_undone)))) or None
    plan = action_plans.create(
        session,
        uuid=plan_uuid,
        audit_id=audit.id,
        strategy_id=audit.strategy_id or lookup.strategy_id(session, result.strategy_name),
        state=_first_state(audit, result, why_not_started),
        status_message=message,
        global_efficacy=result.global_efficacy,
        indicators=result.indicators,
        actions=with_owner(result.actions, plan_uuid),
        now=now,
        summary=result.summary,
    )
    if result.promise:
        reviews.add(session, plan.id, result.promise.as_json(), result.promise.window)
    run_ends.finish(
        session,
        run,
        RunState.SUCCEEDED,
        now,
        status_message=message,
        action_plan_id=plan.id,
        auto_started=plan.state == PlanState.PENDING,
        cloud_digest=result.cloud_digest,
    )
    return plan


def _why_not_started(
    session: Session, audit: Audit, result: RunResult, conf: cfg.ConfigOpts, now: datetime.datetime
) -> str | None:
    """Why an automatic plan is left to a person; None if it starts.  If reviews have switched
    auto_trigger off, their message is written to the audit again."""
    if reviews.repeat_distrust(session, audit.id):
        return _DISTRUSTED if result.actions else None
    if not (result.actions and audit.auto_trigger):
        return None
    if result.exceeded:
        return f"Not started automatically: {result.exceeded}."
    if audit.audit_type != AuditType.EVENT:
        return None
    return plan_limits.why_not(session, audit.id, len(result.actions), result.gain, conf, now)


def _first_state(audit: Audit, result: RunResult, why_not_started: str | None) -> str:
    if not result.actions:
        return PlanState.SUCCEEDED
    return (
        PlanState.PENDING if audit.auto_trigger and not why_not_started else PlanState.RECOMMENDED
    )


def _schedule_next(session: Session, run: AuditRun, now: datetime.datetime) -> bool:
    """Queue the next run of a CONTINUOUS audit, or end the audit if its cron expression has no
    further time.  False if the audit is not active any more."""
    audit = session.get_one(Audit, run.audit_id, populate_existing=True)
    try:
        next_run_time = schedule.next_run(audit.interval or "", now)
    except Invalid:  # no further time
        return run_ends.move_audit(session, run, AuditState.SUCCEEDED, now)
    if not run_ends.move_audit(session, run, AuditState.ONGOING, now, next_run_time=next_run_time):
        return False
    if audit.end_time is not None:
        next_run_time = min(next_run_time, audit.end_time)
    if runs.waiting(session, audit.id) is None:
        runs.enqueue(session, audit.id, now, not_before=next_run_time)
    return True
