# SPDX-License-Identifier: Apache-2.0
"""Executes the actions of a plan in the order of its graph, and reverts them if the plan failed."""

import graphlib
import queue
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from oslo_log import log

from watcher.applier.executor import ActionExecutor
from watcher.applier.interrupts import Interrupts
from watcher.common.errors import Invalid
from watcher.common.states import ActionState
from watcher.db import plan_execution
from watcher.db.plan_execution import HeldAction, HeldPlan

LOG = log.getLogger(__name__)

ALWAYS, ANY = "ALWAYS", "ANY"
"""Execution rules.  ALWAYS: an action starts when its parents have ended, in whatever state.  ANY:
an action is left out if its first parent has succeeded or was left out."""

ROLLED_BACK = "Its actions were reverted as far as possible; the message of each says the result."

_NOT_NEEDED = "not needed"
"""In place of an end, for an action that the rule ANY leaves out; it stays PENDING."""


class Workflow:
    """Executes the actions of a plan that have not ended yet."""

    def __init__(
        self,
        plan: HeldPlan,
        executor: ActionExecutor,
        interrupts: Interrupts,
        max_workers: int,
        rule: str = ALWAYS,
    ) -> None:
        self._plan, self._executor, self._interrupts = plan, executor, interrupts
        self._max_workers, self._rule = max_workers, rule
        self._actions = {action.uuid: action for action in plan.actions}
        self._ends: dict[str, str | None] = {}
        self._reports: queue.SimpleQueue[tuple[HeldAction, str | None, Exception | None]]
        self._reports = queue.SimpleQueue()

    def run(self) -> None:
        """Return when every action has ended, or was left because of an interrupt.

        Invalid if the actions wait for each other.  Raises what an action raises, after the
        other actions have been stopped.
        """
        order = self._order()
        with ThreadPoolExecutor(max_workers=self._max_workers) as pool:
            while order.is_active():
                for uuid in order.get_ready():
                    action = self._actions[uuid]
                    if self._is_not_needed(action):
                        self._reports.put((action, _NOT_NEEDED, None))
                    else:
                        pool.submit(self._work, action)
                order.done(self._next_end())
        LOG.info("Action plan %s: %s", self._plan.uuid, dict(Counter(self._ends.values())))

    def _order(self) -> "graphlib.TopologicalSorter[str]":
        order = graph(self._plan)
        try:
            order.prepare()
        except graphlib.CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise Invalid(f"parents: these actions wait for each other: {cycle}.") from error
        return order

    def _is_not_needed(self, action: HeldAction) -> bool:
        if self._rule != ANY or not action.parents:
            return False
        return self._ends.get(action.parents[0]) in (ActionState.SUCCEEDED, _NOT_NEEDED)

    def _work(self, action: HeldAction) -> None:
        try:
            self._reports.put(
                (action, self._executor.execute(self._plan, action, self._interrupts), None)
            )
        except Exception as error:  # for the thread that waits for the report
            self._reports.put((action, None, error))

    def _next_end(self) -> str:
        action, end, error = self._reports.get()
        if error is not None:
            self._interrupts.stop()
            raise error
        self._ends[action.uuid] = end
        return action.uuid


def graph(plan: HeldPlan) -> "graphlib.TopologicalSorter[str]":
    """The uuids of the actions, parents before children."""
    known = {each.uuid for each in plan.actions}
    return graphlib.TopologicalSorter(
        {each.uuid: [parent for parent in each.parents if parent in known] for each in plan.actions}
    )


def roll_back(plan: HeldPlan, executor: ActionExecutor, interrupts: Interrupts) -> str:
    """Revert the actions of a plan that failed, children before their parents, until an interrupt.

    What is left to revert is in the database, so that an applier that takes the plan over reverts
    the rest.  Returns a sentence for the plan's users, empty if there was nothing to revert.
    """
    if not executor.keeps_origins or interrupts.present:
        return ""
    with executor.database.reader() as session:
        origins = plan_execution.origins(session, plan.id)
    actions = {action.uuid: action for action in plan.actions}
    for uuid in reversed(list(graph(plan).static_order())):
        action = actions[uuid]
        if interrupts.present:
            break
        if action.id in origins:
            executor.revert(plan, action, origins[action.id], interrupts)
    return ROLLED_BACK if origins else ""
