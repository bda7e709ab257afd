# SPDX-License-Identifier: Apache-2.0
"""The execution of one claimed run: inputs, strategy, solution, planner, rows."""

import dataclasses
import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.cloud.compute import Server
from watcher.common import schedule
from watcher.common.errors import (
    Conflict,
    Invalid,
    LostClaim,
    WatcherError,
    sentence_of,
    traceback_of,
)
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import action_plans, claims, lookup, moves, reviews, runs
from watcher.db.action_plans import PlannedAction
from watcher.db.models import ActionPlan, Audit, AuditRun, new_uuid
from watcher.db.models.base import cut
from watcher.db.session import Database
from watcher.decision_engine import candidates, efficacy, inputs, plan_limits, proof, retries, sight
from watcher.decision_engine.feedback.promises import Promise
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.solution import Solution, with_owner
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone
from watcher.model.undone import Undone
from watcher.notifications import Notifications
from watcher.rpc.doorbell import Doorbell

LOG = log.getLogger(__name__)

_DISTRUSTED = (
    "Not started automatically: the last plans of the audit kept less than half of what they "
    "promised; set its auto_trigger again after a look."
)

_REPLACED = {
    AuditType.CONTINUOUS: PlanState.CANCELLED,
    AuditType.EVENT: PlanState.SUPERSEDED,
}
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
    beyond: str = ""
    """How the plan exceeds the bounds of the run; empty if it does not."""
    promise: Promise | None = None
    plans_ended: int = 0
    """How many plans had ended before the run read the cloud."""
    seen: str | None = None
    """If there is nothing to do: see ``sight``."""


@dataclasses.dataclass(frozen=True)
class Written:
    """The rows that a run has written: its plan, and the ids of the plans that it replaces."""

    plan: ActionPlan
    replaced: Sequence[int]


class Runner:
    """Executes claimed runs.  Any number of threads may call ``run`` at once."""

    def __init__(
        self, sources: Sources, database: Database, applier: Doorbell, notifications: Notifications
    ) -> None:
        self._sources, self._conf, self._database = sources, sources.conf, database
        self._applier, self._notifications = applier, notifications

    def run(self, run: AuditRun) -> None:
        """Execute a run and write how it ended. Only database errors are raised."""
        context = f"run {run.uuid} of audit {run.audit.uuid}"
        if run.state != RunState.ONGOING:  # the claim has ended the run and the audit already
            LOG.info("Did not begin %s", context)
            self._notifications.send("audit.update", run.audit_id, old_state=run.audit.state)
            return
        LOG.info("Begin %s, attempt %d", context, run.attempt)
        began = time.monotonic()
        try:
            try:
                self._check_deaths(run)
                if sight.put_off(self._database, run, lambda: self._inputs(run)):
                    LOG.info("Put off %s: it would see what the last one has seen", context)
                    return
                result = self._compute(run)
                self._succeed(run, result, context, time.monotonic() - began)
            except (LostClaim, DBError):
                raise
            except Exception as error:
                self._fail(run, error, context)
        except LostClaim as lost:
            LOG.warning("%s", lost)

    def time_out(self, run: AuditRun) -> None:
        """End a run that takes too long, while its thread continues.  LostClaim, database
        errors."""
        now = timeutils.utcnow()
        seconds = self._conf.watcher_decision_engine.max_run_seconds
        message = f"The run took longer than max_run_seconds, {seconds} s."
        LOG.error("Failed run %s of audit %s: %s", run.uuid, run.audit.uuid, message)
        if self._database.write(lambda session: _write_failure(session, run, now, message)):
            self._notifications.send("audit.update", run.audit_id, old_state=AuditState.ONGOING)

    def _check_deaths(self, run: AuditRun) -> None:
        """Conflict for a run that was taken over too often, as it is likely to kill its engines."""
        if run.deaths >= self._conf.watcher_decision_engine.max_attempts:
            raise Conflict(f"The engine that ran the audit died, {run.deaths} times in a row.")

    def _compute(self, run: AuditRun) -> RunResult:
        audit, catalog = run.audit, self._sources.catalog
        if audit.state != AuditState.ONGOING:  # its state before the claim
            self._notifications.send("audit.update", audit.id, old_state=audit.state)
        strategy = self._strategy(audit)
        with self._database.reader() as session:
            plans_ended = action_plans.ended(session)
        with self._notifications.phase("audit.strategy", audit.id):
            given = self._inputs(run)
            solution = candidates.solve(strategy, given, self._has_candidate)
            global_efficacy, indicators = efficacy.compute(
                catalog.goals[audit.goal.name], solution.indicators, solution.gain
            )
        with self._notifications.phase("audit.planner", audit.id):
            actions = proof.plan(strategy, solution, given, catalog.planner(strategy.planner))
        unproven = proof.unproven(strategy, actions)
        kinds = [*given.remarks, *solution.undone, *proof.broken_wishes(strategy, solution, given)]
        left_undone = undone.sentence(solution.unmet, kinds)
        return RunResult(
            strategy_name=strategy.name,
            actions=actions,
            global_efficacy=global_efficacy,
            indicators=indicators,
            summary=_summary(solution, unproven, left_undone, kinds, given.failed_moves),
            gain=solution.gain,
            left_undone=left_undone,
            beyond=_beyond(given, solution) if strategy.optimizes and audit.auto_trigger else "",
            promise=solution.promise,
            plans_ended=plans_ended,
            seen=None if actions or audit.audit_type != AuditType.EVENT else sight.seen(given),
        )

    def _strategy(self, audit: Audit) -> type[Strategy]:
        name = audit.strategy.name if audit.strategy else None
        return self._sources.catalog.strategy_for(audit.goal.name, name)

    def _inputs(self, run: AuditRun) -> Inputs:
        audit = run.audit
        return inputs.make(
            self._strategy(audit),
            run,
            timeutils.utcnow(),
            self._sources,
            lambda: self._earlier(audit),
        )

    def _has_candidate(self, server: Server, hostname: str) -> bool:
        return self._sources.cloud.compute.has_candidate(server, hostname)

    def _earlier(self, audit: Audit) -> inputs.Earlier:
        from watcher.decision_engine.feedback import restraints

        oldest = timeutils.utcnow() - restraints.horizon(self._conf)
        with self._database.reader() as session:
            return inputs.Earlier(
                moves.since(session, oldest), plan_limits.max_actions(session, audit.id)
            )

    def _succeed(self, run: AuditRun, result: RunResult, context: str, seconds: float) -> None:
        now = timeutils.utcnow()
        conf = self._conf
        written = self._database.write(lambda session: _write(session, run, result, conf, now))
        if written is None:
            LOG.info("Nothing of %s was kept", context)
            return
        plan = written.plan
        LOG.info(
            "End %s: action plan %s, %d actions, %.3f s",
            context,
            plan.uuid,
            len(result.actions),
            seconds,
        )
        if plan.status_message:
            LOG.warning("Action plan %s of %s: %s", plan.uuid, context, plan.status_message)
        self._notify(run.audit, written)
        if plan.state == PlanState.PENDING:
            self._applier.ring(plan.uuid or "")

    def _notify(self, audit: Audit, written: Written) -> None:
        """Send the notifications of what a run has written."""
        notifications = self._notifications
        notifications.send("action_plan.update", *written.replaced, old_state=PlanState.RECOMMENDED)
        notifications.plan_created(written.plan.id)
        goes_on = audit.audit_type == AuditType.CONTINUOUS
        notifications.send(
            "audit.update", audit.id, old_state=None if goes_on else AuditState.ONGOING
        )

    def _fail(self, run: AuditRun, error: Exception, context: str) -> None:
        now = timeutils.utcnow()
        message = sentence_of(error)
        LOG.error("Failed %s: %s", context, error, exc_info=traceback_of(error))
        passing = isinstance(error, WatcherError) and error.passing
        if passing and retries.may_retry(run, now, self._conf):
            later = now + retries.pause(run, self._conf)
            if self._database.write(
                lambda session: _write_retry(session, run, now, later, message)
            ):
                self._notifications.send("audit.update", run.audit_id)
        elif self._database.write(lambda session: _write_failure(session, run, now, message)):
            self._notifications.send("audit.update", run.audit_id, old_state=AuditState.ONGOING)


def _write(
    session: Session,
    run: AuditRun,
    result: RunResult,
    conf: cfg.ConfigOpts,
    now: datetime.datetime,
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
        active = claims.move_audit(session, run, AuditState.SUCCEEDED, now)
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
    message = cut(" ".join(filter(None, (why_not_started, result.left_undone)))) or None
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
    claims.finish(
        session,
        run,
        RunState.SUCCEEDED,
        now,
        status_message=message,
        action_plan_id=plan.id,
        auto_started=plan.state == PlanState.PENDING,
        seen=result.seen,
    )
    return plan


def _beyond(given: Inputs, solution: Solution) -> str:
    if not any(action.action_type == "migrate" for action in solution.actions):
        return ""
    from watcher.decision_engine.feedback import restraints

    return restraints.beyond(given.bounds(), given.compute_model(), solution.actions)


def _summary(
    solution: Solution,
    unproven: int,
    left_undone: str,
    kinds: Sequence[Undone],
    failed_moves: Sequence[Mapping[str, Any]],
) -> Mapping[str, Any]:
    """The explanation of a plan for users: figures, gain, and what was left undone."""
    summary = dict(solution.summary)
    if failed_moves:
        summary["failed_moves"] = list(failed_moves)
    if solution.gain is not None:
        summary["gain"] = {"percent": solution.gain}
    if unproven:
        summary["unproven"] = {"actions": unproven}
    if left_undone:
        summary["undone"] = {"sentence": left_undone, "kinds": [each.as_json() for each in kinds]}
    return summary


def _why_not_started(
    session: Session,
    audit: Audit,
    result: RunResult,
    conf: cfg.ConfigOpts,
    now: datetime.datetime,
) -> str | None:
    """Why a plan is left to a person although its audit has auto_trigger, or had it until reviews
    switched it off (then the audit gets the message of that again); None otherwise."""
    if reviews.repeat_distrust(session, audit.id):
        return _DISTRUSTED if result.actions else None
    if not (result.actions and audit.auto_trigger):
        return None
    if result.beyond:
        return f"Not started automatically: {result.beyond}."
    if audit.audit_type != AuditType.EVENT:
        return None
    return plan_limits.of_plan(session, audit.id, len(result.actions), result.gain, conf, now)


def _first_state(audit: Audit, result: RunResult, why_not_started: str | None) -> str:
    if not result.actions:
        return PlanState.SUCCEEDED
    return (
        PlanState.PENDING if audit.auto_trigger and not why_not_started else PlanState.RECOMMENDED
    )


def _schedule_next(session: Session, run: AuditRun, now: datetime.datetime) -> bool:
    """Queue the next run of a CONTINUOUS audit, by its present interval; False if it has ended."""
    audit = session.get_one(Audit, run.audit_id, populate_existing=True)
    try:
        next_run_time = schedule.next_run(audit.interval or "", now)
    except Invalid:  # its cron expression has no further time
        return claims.move_audit(session, run, AuditState.SUCCEEDED, now)
    if not claims.move_audit(session, run, AuditState.ONGOING, now, next_run_time=next_run_time):
        return False
    if audit.end_time is not None:
        next_run_time = min(next_run_time, audit.end_time)
    if runs.waiting(session, audit.id) is None:
        runs.enqueue(session, audit.id, now, not_before=next_run_time)
    return True


def _write_retry(
    session: Session,
    run: AuditRun,
    now: datetime.datetime,
    not_before: datetime.datetime,
    message: str,
) -> bool:
    """Let the run wait for its next attempt. False if its audit is not active any more."""
    error = message
    message = cut(f"Attempt {run.attempt} failed and will be repeated: {message}")
    if not claims.move_audit(session, run, AuditState.ONGOING, now, status_message=message):
        return False
    claims.put_back(session, run, now, not_before, message, error=error)
    return True


def _write_failure(session: Session, run: AuditRun, now: datetime.datetime, message: str) -> bool:
    """Write that the run failed. False if its audit is not active any more."""
    if not claims.move_audit(session, run, AuditState.FAILED, now, status_message=cut(message)):
        return False
    claims.finish(session, run, RunState.FAILED, now, status_message=cut(message), error=message)
    return True
