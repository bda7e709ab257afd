# SPDX-License-Identifier: Apache-2.0
"""Executes the steps of a plan in the order of its graph, and reverts those of one that failed."""

import graphlib
import queue
from collections import Counter
from collections.abc import Sequence
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
"""Execution rules.  ALWAYS: a step starts when its parents have ended, in whatever state.  ANY: it
is left out if its first parent has succeeded or was left out."""

ROLLED_BACK = "The effects of its actions were reverted; the actions say whether that succeeded."

_NOT_NEEDED = "not needed"
"""In place of an end, for a step that the rule ANY leaves out; its action stays PENDING."""


class Workflow:
    """Carries out the steps of a plan that have not ended yet."""

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
        self._steps = {step.uuid: step for step in plan.steps}
        self._ends: dict[str, str | None] = {}
        self._reports: queue.SimpleQueue[tuple[HeldAction, str | None, Exception | None]]
        self._reports = queue.SimpleQueue()

    def run(self) -> None:
        """Return when every step has ended, or was left because of an interrupt.

        Invalid if the steps wait for each other.  Raises what a step raises, after the other
        steps have been stopped.
        """
        order = self._order()
        with ThreadPoolExecutor(max_workers=self._max_workers) as pool:
            while order.is_active():
                for uuid in order.get_ready():
                    step = self._steps[uuid]
                    if self._is_not_needed(step):
                        self._reports.put((step, _NOT_NEEDED, None))
                    else:
                        pool.submit(self._work, step)
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

    def _is_not_needed(self, step: HeldAction) -> bool:
        if self._rule != ANY or not step.parents:
            return False
        return self._ends.get(step.parents[0]) in (ActionState.SUCCEEDED, _NOT_NEEDED)

    def _work(self, step: HeldAction) -> None:
        try:
            self._reports.put(
                (step, self._executor.carry_out(self._plan, step, self._interrupts), None)
            )
        except Exception as error:  # for the thread that waits for the report
            self._reports.put((step, None, error))

    def _next_end(self) -> str:
        step, end, error = self._reports.get()
        if error is not None:
            self._interrupts.stop()
            raise error
        self._ends[step.uuid] = end
        return step.uuid


def graph(plan: HeldPlan) -> "graphlib.TopologicalSorter[str]":
    """The uuids of the steps, parents before children."""
    known = {step.uuid for step in plan.steps}
    return graphlib.TopologicalSorter(
        {step.uuid: [parent for parent in step.parents if parent in known] for step in plan.steps}
    )


def roll_back(plan: HeldPlan, executor: ActionExecutor, interrupts: Interrupts) -> Sequence[str]:
    """Revert the actions of a plan that failed, children before their parents, until an interrupt.

    What is left to revert is in the database, so that an applier that takes the plan over goes on
    with the rest.  The result is a sentence for the plan's users if there was anything to revert.
    """
    if not executor.keeps_origins or interrupts.present:
        return ()
    with executor.database.reader() as session:
        origins = plan_execution.origins(session, plan.id)
    steps = {step.uuid: step for step in plan.steps}
    for uuid in reversed(list(graph(plan).static_order())):
        step = steps[uuid]
        if interrupts.present:
            break
        if step.id in origins:
            executor.revert(plan, step, origins[step.id], interrupts)
    return (ROLLED_BACK,) if origins else ()
