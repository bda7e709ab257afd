# SPDX-License-Identifier: Apache-2.0
"""Executes one action of any type.

It checks the parameters and writes the state before and after each phase.  From an error of an
action it makes the state and the sentence that users read.
"""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.applier.actions.base import Action, ActionFailed, ActionTools, Skip
from watcher.applier.concurrency import ConcurrencyLimits
from watcher.applier.interrupts import Interrupted, Interrupts, Stopped
from watcher.cloud import Cloud
from watcher.common import entry_points
from watcher.common.errors import sentence_of, traceback_of
from watcher.common.states import ActionState
from watcher.db import plan_execution
from watcher.db.plan_execution import HeldAction, HeldPlan
from watcher.db.session import Database
from watcher.notifications import Notifications

LOG = log.getLogger(__name__)

CHECK, EXECUTE, VERIFY, ABORT = ActionState.CHECK, "execute", "post_condition", "abort"
"""The phases of an action, as messages name them."""

Wait = Callable[[float], None]


class ActionExecutor:
    """Executes actions, for any number of threads at once."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        notifications: Notifications,
        types: Mapping[str, type[Action]] | None = None,
    ) -> None:
        """*types* are the action types by name, by default those of the entry points."""
        self._conf, self.database, self._cloud = conf, database, cloud
        self.notifications = notifications
        self._types = installed() if types is None else types
        options = conf.watcher_applier
        self.limits = ConcurrencyLimits(
            options.max_concurrent_actions, options.max_concurrent_by_type
        )
        for name, action_type in self._types.items():
            conf.register_opts(action_type.options, group=f"watcher_actions.{name}")

    @property
    def keeps_origins(self) -> bool:
        """Whether actions may have to be reverted."""
        return bool(self._conf.watcher_applier.rollback_when_actionplan_failed)

    @property
    def descriptions(self) -> Mapping[str, str]:
        """A sentence for each action type there is."""
        return {name: action_type.description for name, action_type in self._types.items()}

    def execute(self, plan: HeldPlan, action: HeldAction, interrupts: Interrupts) -> str | None:
        """Execute an action to its end; the state that it ends in, None if it was interrupted.

        LostClaim if the plan is no longer held.  Database errors are raised as well.
        """
        with self._place(action, interrupts):
            while action.state not in ActionState.OVER:
                if action.state == ActionState.PENDING and interrupts.present:
                    return None  # the interrupt may have ended the wait for a place
                try:
                    return _Execution(self, plan, action, interrupts).run()
                except Stopped:
                    LOG.info("%s is interrupted", _name(plan, action))
                    return None
                except _StateChanged as changed:
                    action = dataclasses.replace(action, state=changed.state)
            return action.state

    def revert(
        self, plan: HeldPlan, action: HeldAction, origin: Mapping[str, Any], interrupts: Interrupts
    ) -> None:
        """Revert an action that succeeded, and write the result to its row.

        A stop leaves the row as it is.  Raises errors as ``execute`` does.
        """
        with self.limits.extra_place(action.action_type):
            try:
                self.make(action, interrupts.wait_despite_cancel).revert(origin)
                message = "Reverted, because the plan failed."
            except Stopped:
                LOG.info("%s is left to the applier that continues the plan", _name(plan, action))
                return
            except entry_points.FAILURES as error:
                message = f"Not reverted: {sentence_of(error)}"
                _log_failure(f"{_name(plan, action)} was not reverted", error)
        self.database.write(
            lambda session: plan_execution.record_revert(session, plan, action, message)
        )
        LOG.info("%s: %s", _name(plan, action), message)
        self.notifications.send("action.update", action.id, old_state=ActionState.SUCCEEDED)

    def _place(self, action: HeldAction, interrupts: Interrupts) -> AbstractContextManager[Any]:
        """The place of an action: none after its end, and one at once after its begin."""
        if action.state in ActionState.OVER:
            return nullcontext()
        if action.state == ActionState.PENDING:
            return self.limits.place(action.action_type, interrupts)
        return self.limits.extra_place(action.action_type)

    def make(self, action: HeldAction, wait: Wait) -> Action:
        """The plug-in of an action.  ActionFailed if its type or its parameters do not fit."""
        action_type = self._types.get(action.action_type)
        if action_type is None:
            raise ActionFailed(
                f"Action type '{action.action_type}' is unknown; there are "
                f"{', '.join(sorted(self._types))}."
            )
        _validate(action_type.schema, action.parameters)
        return action_type(action.parameters, ActionTools(self._cloud, self._conf, wait))


_NOTIFICATIONS = {
    ActionState.ONGOING: "action.execution.start",
    ActionState.SUCCEEDED: "action.execution.end",
    ActionState.CANCELLING: "action.cancel.start",
    ActionState.CANCELLED: "action.cancel.end",
}
"""The notification of a new state, besides ``action.update``."""


class _StateChanged(Exception):
    """Somebody else has changed the state of the action meanwhile."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class _Execution:
    def __init__(
        self, executor: ActionExecutor, plan: HeldPlan, action: HeldAction, interrupts: Interrupts
    ) -> None:
        self._executor, self._plan, self._action, self._interrupts = (
            executor,
            plan,
            action,
            interrupts,
        )
        self._state = action.state
        self._watch = timeutils.StopWatch().start()

    def run(self) -> str:
        """Execute the action from its present state on.  Returns the state that it ends in."""
        if self._action.state == ActionState.CANCELLING:
            return self._abort()
        if self._action.state == ActionState.PENDING:
            return self._begin()
        if self._interrupts.cancelled:
            # If the request was not sent yet, after a cancel it must not be sent.
            self._move(ActionState.CANCELLING)
            return self._abort()
        return self._execute(self._interrupts.wait, lambda plug_in: plug_in.resume())

    def _begin(self) -> str:
        try:
            origin = self._make(self._interrupts.wait).check()
        except Interrupted:
            raise Stopped from None  # also if Cancelled: a PENDING action has nothing to abort
        except Skip as skip:
            return self._move(ActionState.SKIPPED, f"Action skipped automatically: {skip}")
        except entry_points.FAILURES as error:
            return self._fail(CHECK, error)
        self._move(ActionState.ONGOING, origin=origin if self._executor.keeps_origins else None)
        return self._execute(self._interrupts.wait, lambda plug_in: plug_in.execute())

    def _execute(self, wait: Wait, do: Callable[[Action], None]) -> str:
        phase = EXECUTE
        try:
            plug_in = self._make(wait)
            do(plug_in)
            phase = VERIFY
            plug_in.verify()
        except Stopped:
            raise
        except Interrupted:
            self._move(ActionState.CANCELLING)
            return self._abort()
        except entry_points.FAILURES as error:
            return self._fail(phase, error)
        return self._move(ActionState.SUCCEEDED)

    def _abort(self) -> str:
        wait = self._interrupts.wait_despite_cancel
        try:
            aborted = self._make(wait).abort()
        except Stopped:
            raise
        except entry_points.FAILURES as error:
            return self._fail(ABORT, error)
        if aborted:
            return self._move(ActionState.CANCELLED, "Action aborted: its plan was cancelled.")
        return self._execute(wait, lambda plug_in: plug_in.resume())

    def _make(self, wait: Wait) -> Action:
        return self._executor.make(self._action, wait)

    def _fail(self, phase: str, error: BaseException) -> str:
        _log_failure(f"{self} failed in {phase}", error)
        message = ActionState.FAILED_IN % (self._action.uuid, phase) + sentence_of(error)
        state = self._move(ActionState.FAILED, message)
        event_type = "action.cancel.error" if phase == ABORT else "action.execution.error"
        self._executor.notifications.send(event_type, self._action.id, error=error)
        return state

    def _move(
        self, target: str, message: str | None = None, origin: Mapping[str, Any] | None = None
    ) -> str:
        """Write the action's new state; no other method does."""
        plan, action = self._plan, self._action
        changed = self._executor.database.write(
            lambda session: plan_execution.move_action(
                session, plan, action, target, message, origin
            )
        )
        if changed is not None:
            raise _StateChanged(changed)
        LOG.info("%s is %s after %.3f s", self, target, self._watch.elapsed())
        self._notify(target)
        return target

    def _notify(self, state: str) -> None:
        notifications, action_id = self._executor.notifications, self._action.id
        notifications.send("action.update", action_id, old_state=self._state)
        self._state = state
        if state in _NOTIFICATIONS:
            notifications.send(_NOTIFICATIONS[state], action_id)

    def __str__(self) -> str:
        return _name(self._plan, self._action)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options of all actions; an entry point of oslo.config's sample generator."""
    return [
        (f"watcher_actions.{name}", list(action_type.options))
        for name, action_type in installed().items()
        if action_type.options
    ]


def installed() -> Mapping[str, type[Action]]:
    return entry_points.load("watcher_actions", Action)


def _name(plan: HeldPlan, action: HeldAction) -> str:
    what = " ".join(
        filter(None, (action.action_type, str(action.parameters.get("resource_id", ""))))
    )
    return f"Action {action.uuid} ({what}) of plan {plan.uuid}, audit {plan.audit_uuid}"


def _log_failure(what: str, error: BaseException) -> None:
    LOG.error("%s: %s", what, error, exc_info=traceback_of(error))


def _validate(schema: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    # Imported here: an applier without work stays small.
    from jsonschema import Draft4Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft4Validator(schema).iter_errors(parameters))
    if error is not None:
        where = ".".join(["input_parameters", *map(str, error.absolute_path)])
        raise ActionFailed(f"ValidationError: {where}: {error.message}.")
