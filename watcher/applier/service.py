# SPDX-License-Identifier: Apache-2.0
"""The applier: heartbeat, dispatcher, doorbell server, and ``execute_plan``."""

import datetime
import time
from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_db.exception import DBConnectionError, DBDeadlock
from oslo_log import log
from oslo_utils import timeutils

from watcher.applier.enabling import PERIOD, Enabling
from watcher.applier.executor import ActionExecutor
from watcher.applier.interrupts import Interrupts
from watcher.applier.plan_dispatcher import PlanDispatcher
from watcher.applier.recheck import recheck
from watcher.applier.workflow import ALWAYS, Workflow, roll_back
from watcher.cloud import Cloud
from watcher.common.errors import Conflict, LostClaim, sentence_of, traceback_of
from watcher.common.periodic import Ticker
from watcher.common.states import ActionState, PlanState
from watcher.db import action_plans, plan_claims, plan_execution, services
from watcher.db.errors import Unwritable, WrongSchema
from watcher.db.leases import Holder
from watcher.db.plan_execution import HeldPlan, PlanEnd
from watcher.db.session import Database
from watcher.notifications import Notifications, ServiceMonitor
from watcher.rpc.doorbell import Doorbell
from watcher.rpc.message_server import RpcServer

LOG = log.getLogger(__name__)

NAME = "watcher-applier"

_DATABASE_ERRORS = DBConnectionError, DBDeadlock, Unwritable, WrongSchema
"""Errors of the database itself: another attempt at the plan may succeed."""


class Applier:
    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        decision_engine: Doorbell,
        notifications: Notifications,
        transport: oslo_messaging.Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conf, self._database, self._cloud = conf, database, cloud
        self._decision_engine, self._notifications = decision_engine, notifications
        self._monitor = ServiceMonitor(conf, database, NAME, notifications)
        self._holder = Holder.this_process(conf)
        self._executor = ActionExecutor(conf, database, cloud, notifications)
        self.enabling = Enabling(database, cloud)
        self._sweep = Ticker("sweep", self._clean_up, lambda: PERIOD)
        self.dispatcher = PlanDispatcher(
            conf, database, self._holder, self.execute_plan, notifications, clock
        )
        self._heartbeat = Ticker("heartbeat", self._beat, lambda: conf.lease_duration / 3)
        self._server = transport and RpcServer(
            transport, conf.watcher_applier.conductor_topic, conf.host, _Endpoint(self.dispatcher)
        )

    def start(self) -> None:
        descriptions = self._executor.descriptions
        self._database.write(
            lambda session: plan_execution.sync_descriptions(session, descriptions)
        )
        self._cancel_overdue()
        self._heartbeat.start()
        self.dispatcher.start()
        self._sweep.start()
        if self._server:
            self._server.start()
        LOG.info("Applier %s is ready", self._holder.engine)

    def stop(self) -> None:
        """Release the plans under way.  Appliers that claim them look at the cloud first."""
        if self._server:
            self._server.stop()
        self.dispatcher.stop()
        self._sweep.stop()
        self._heartbeat.stop()
        LOG.info("Applier %s has stopped", self._holder.engine)

    def _clean_up(self) -> None:
        self._cancel_overdue()
        self.enabling.sweep_if_due()

    def _cancel_overdue(self) -> None:
        """Cancel the plans that were PENDING for longer than ``max_pending_hours``."""
        hours = self._conf.watcher_applier.max_pending_hours
        if not hours:
            return
        now = timeutils.utcnow()
        before = now - datetime.timedelta(hours=hours)
        cancelled = self._database.write(
            lambda session: action_plans.cancel_overdue(session, before, now)
        )
        for plan_id, uuid in cancelled.items():
            LOG.warning("Action plan %s is CANCELLED: it was PENDING for too long", uuid)
            self._notifications.send("action_plan.update", plan_id, old_state=PlanState.PENDING)

    def execute_plan(self, plan_id: int, interrupts: Interrupts) -> None:
        """Execute a claimed plan, to its end or to an interrupt.

        Errors of the database itself are raised.  The plan is then released; after an error in
        ``load``, or if the database does not answer that either, the lease lapses.
        """
        with self._database.reader() as session:
            plan = plan_execution.load(session, plan_id, self._holder.engine)
        LOG.info("Begin action plan %s, %d actions, %s", plan.uuid, len(plan.actions), plan.state)
        self._notify_of_begin(plan)
        if plan.state == PlanState.CANCELLING and interrupts.cancel():
            self._notifications.send("action_plan.cancel.start", plan.id)
        try:
            self._check_deaths(plan)
            ended = self._run(self._rechecked(plan), interrupts)
        except LostClaim as lost:
            LOG.warning("%s", lost)
        except _DATABASE_ERRORS:
            self._release(plan)
            raise
        except Exception as error:
            self._fail(plan, error)
        else:
            if not ended:
                self._release(plan)

    def _check_deaths(self, plan: HeldPlan) -> None:
        """Conflict for a plan that was taken over too often: it is likely to be the cause of the
        deaths."""
        if plan.attempt > self._conf.watcher_applier.max_attempts:
            raise Conflict(
                "The applier that executed the plan died, "
                f"{plan.attempt - 1} times in a row without the end of an action."
            )

    def _rechecked(self, plan: HeldPlan) -> HeldPlan:
        compute = self._cloud.compute_service
        if compute is None or plan.state != PlanState.ONGOING:
            return plan
        return recheck(plan, compute, self._database, self._notifications)

    def _run(self, plan: HeldPlan, interrupts: Interrupts) -> bool:
        """Whether the plan has ended; if not, this process stops or has lost the claim."""
        options = self._conf["watcher_workflow_engines.taskflow"]
        rule = options.action_execution_rule.get(plan.strategy, ALWAYS)
        Workflow(plan, self._executor, interrupts, options.max_workers, rule).run()
        reverted = roll_back(plan, self._executor, interrupts)
        if interrupts.stopped:
            return False
        # Before the end is written, so that clients that see it see hosts enabled.
        remarks = [reverted, *self.enabling.enable_hosts_of(plan)]
        now = timeutils.utcnow()
        end = self._database.write(
            lambda session: plan_execution.finish(session, plan, now, *remarks)
        )
        self._notify_of_end(plan, end)
        return True

    def _fail(self, plan: HeldPlan, error: Exception) -> None:
        LOG.error("Action plan %s failed: %s", plan.uuid, error, exc_info=traceback_of(error))
        why = sentence_of(error)
        try:
            remarks, now = self.enabling.enable_hosts_of(plan), timeutils.utcnow()
            end = self._database.write(
                lambda session: plan_execution.fail(session, plan, now, why, *remarks)
            )
        except LostClaim as lost:
            LOG.warning("%s", lost)
        else:
            self._notify_of_end(plan, end, error)

    def _release(self, plan: HeldPlan) -> None:
        self._database.write(lambda session: plan_claims.release(session, plan.id, plan.engine))
        LOG.info("Action plan %s is released", plan.uuid)

    def _notify_of_begin(self, plan: HeldPlan) -> None:
        """Send the notifications of the begin, unless actions have begun."""
        untouched = {ActionState.PENDING, ActionState.SKIPPED}
        if plan.state == PlanState.ONGOING and untouched.issuperset(
            action.state for action in plan.actions
        ):
            self._notifications.send("action_plan.update", plan.id, old_state=PlanState.PENDING)
            self._notifications.send("action_plan.execution.start", plan.id)

    def _notify_of_end(self, plan: HeldPlan, end: PlanEnd, error: Exception | None = None) -> None:
        LOG.info("End action plan %s: %s", plan.uuid, end.state)
        notifications = self._notifications
        self._notify_of_actions(end, error)
        notifications.send("action_plan.update", plan.id, old_state=end.old_state)
        if end.state == PlanState.SUCCEEDED:
            notifications.send("action_plan.execution.end", plan.id)
        elif end.state == PlanState.CANCELLED:
            notifications.send("action_plan.cancel.end", plan.id)
        elif end.old_state == PlanState.CANCELLING:
            notifications.send("action_plan.cancel.error", plan.id, error=error)
        else:
            notifications.send("action_plan.execution.error", plan.id, error=error)
        # Runs of this or another audit may wait for the end of the plan.
        self._decision_engine.ring(plan.audit_uuid)

    def _notify_of_actions(self, end: PlanEnd, error: Exception | None) -> None:
        """Send the notifications of the actions that ended with their plan."""
        notifications = self._notifications
        for old_state, action_ids in end.actions.items():
            if old_state == ActionState.PENDING:
                notifications.send("action.cancel.start", *action_ids)
                notifications.send("action.update", *action_ids, old_state=old_state)
                notifications.send("action.cancel.end", *action_ids)
            else:
                notifications.send("action.update", *action_ids, old_state=old_state)
                notifications.send("action.execution.error", *action_ids, error=error)

    def _beat(self) -> None:
        now = timeutils.utcnow()
        self.dispatcher.beat(now)  # before anything that may be slow, or fail
        self._database.write(lambda session: services.beat(session, NAME, self._conf.host, now))
        self._monitor.look(now)


class _Endpoint:
    """The methods of an applier on the message bus."""

    def __init__(self, dispatcher: PlanDispatcher) -> None:
        self._dispatcher = dispatcher

    def launch_action_plan(self, context: Any, action_plan_uuid: str) -> str:
        """A doorbell, by the name that the former service gave it."""
        self._dispatcher.wake()
        return action_plan_uuid
