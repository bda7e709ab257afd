# SPDX-License-Identifier: Apache-2.0
"""The execution of one claimed run: inputs, strategy, solution, planner, rows."""

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_db.exception import DBError
from oslo_log import log
from oslo_utils import timeutils

from watcher.common import entry_points
from watcher.common.errors import Conflict, LostClaim, WatcherError, sentence_of, traceback_of
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import action_plans, moves, run_ends
from watcher.db.models import Audit, AuditRun
from watcher.db.session import Database
from watcher.decision_engine import (
    candidates,
    efficacy,
    plan_limits,
    planning,
    retries,
    run_results,
    same_metrics,
)
from watcher.decision_engine.inputs import Earlier, Sources, make
from watcher.decision_engine.run_results import RunResult, Written
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies.base import Inputs
from watcher.model import undone
from watcher.model.undone import Undone
from watcher.notifications import Notifications
from watcher.rpc.doorbell import Doorbell

LOG = log.getLogger(__name__)


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
                with self._database.reader() as session:
                    plans_ended = action_plans.ended(session)
                inputs = self._inputs(run)
                if same_metrics.postpone(self._database, run, inputs):
                    LOG.info("Did not compute %s: same metrics, or audit not active", context)
                    return
                result = self._compute(run, inputs, plans_ended)
                self._succeed(run, result, context, time.monotonic() - began)
            except (LostClaim, DBError):
                raise
            except entry_points.FAILURES as error:
                self._fail(run, error, context)
        except LostClaim as lost:
            LOG.warning("%s", lost)

    def time_out(self, run: AuditRun) -> None:
        """End a run that takes too long, while its thread continues.

        Raises LostClaim and DBError.
        """
        now = timeutils.utcnow()
        seconds = self._conf.watcher_decision_engine.max_run_seconds
        message = f"The run took longer than max_run_seconds, {seconds} s."
        LOG.error("Failed run %s of audit %s: %s", run.uuid, run.audit.uuid, message)
        self._end_as_failed(run, now, message)

    def _check_deaths(self, run: AuditRun) -> None:
        """Conflict for a run that was taken over too often, as it is likely to kill its engines."""
        if run.deaths >= self._conf.watcher_decision_engine.max_attempts:
            raise Conflict(f"The engine that ran the audit died, {run.deaths} times in a row.")

    def _compute(self, run: AuditRun, inputs: Inputs, plans_ended: int) -> RunResult:
        audit, catalog = run.audit, self._sources.catalog
        by_event = audit.audit_type == AuditType.EVENT
        if audit.state != AuditState.ONGOING:  # its state before the claim
            self._notifications.send("audit.update", audit.id, old_state=audit.state)
        strategy = catalog.strategy_of(audit)
        with self._notifications.phase("audit.strategy", audit.id):
            solution = candidates.solve(
                strategy, inputs, lambda *move: self._sources.cloud.compute.has_candidate(*move)
            )
            global_efficacy, indicators = efficacy.compute(
                catalog.goals[audit.goal.name], solution.indicators, solution.gain
            )
        with self._notifications.phase("audit.planner", audit.id):
            actions = planning.plan(strategy, solution, inputs, catalog.planner(strategy.planner))
        unproven = planning.unproven(strategy, actions)
        remarks = inputs.remarks()
        broken_wishes = planning.broken_wishes(strategy, solution, inputs)
        besides = remarks.if_unmet if solution.unmet else ()
        kinds = [*remarks.undone, *solution.undone, *besides, *broken_wishes]
        left_undone = undone.sentence(solution.unmet, kinds)
        exceeded = _exceeded(inputs, solution) if strategy.optimizes and audit.auto_trigger else ""
        return RunResult(
            strategy_name=strategy.name,
            actions=actions,
            global_efficacy=global_efficacy,
            indicators=indicators,
            summary=_summary(solution, unproven, left_undone, kinds, remarks.failed_moves),
            gain=solution.gain,
            left_undone=left_undone,
            exceeded=exceeded,
            promise=solution.promise,
            plans_ended=plans_ended,
            cloud_digest=same_metrics.digest(inputs) if by_event and not actions else None,
        )

    def _inputs(self, run: AuditRun) -> Inputs:
        audit = run.audit
        return make(
            self._sources.catalog.strategy_of(audit),
            run,
            timeutils.utcnow(),
            self._sources,
            lambda: self._earlier(audit),
        )

    def _earlier(self, audit: Audit) -> Earlier:
        from watcher.decision_engine.feedback import restraints

        oldest = timeutils.utcnow() - restraints.horizon(self._conf)
        with self._database.reader() as session:
            return Earlier(moves.since(session, oldest), plan_limits.max_actions(session, audit.id))

    def _succeed(self, run: AuditRun, result: RunResult, context: str, seconds: float) -> None:
        now = timeutils.utcnow()
        conf = self._conf
        written = self._database.write(
            lambda session: run_results.write(session, run, result, conf, now)
        )
        if written is None:
            LOG.info("No plan of %s: it is repeated, or its audit is not active any more", context)
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
        is_continuous = audit.audit_type == AuditType.CONTINUOUS
        notifications.send(
            "audit.update", audit.id, old_state=None if is_continuous else AuditState.ONGOING
        )

    def _fail(self, run: AuditRun, error: BaseException, context: str) -> None:
        now = timeutils.utcnow()
        message = sentence_of(error)
        LOG.error("Failed %s: %s", context, error, exc_info=traceback_of(error))
        passing = isinstance(error, WatcherError) and error.passing
        if passing and retries.may_retry(run, now, self._conf):
            later = now + retries.pause(run, self._conf)
            why = f"Attempt {run.attempt} failed and will be repeated: {message}"
            if self._database.write(
                lambda session: run_ends.retry(session, run, now, later, message, why)
            ):
                self._notifications.send("audit.update", run.audit_id)
        else:
            self._end_as_failed(run, now, message)

    def _end_as_failed(self, run: AuditRun, now: datetime.datetime, message: str) -> None:
        if self._database.write(lambda session: run_ends.fail(session, run, now, message)):
            self._notifications.send("audit.update", run.audit_id, old_state=AuditState.ONGOING)


def _exceeded(inputs: Inputs, solution: Solution) -> str:
    if not any(action.action_type == "migrate" for action in solution.actions):
        return ""
    from watcher.decision_engine.feedback import restraints

    return restraints.exceeded(inputs.bounds(), inputs.compute_model(), solution.actions)


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
