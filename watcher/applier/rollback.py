# SPDX-License-Identifier: Apache-2.0
"""Reverts the actions that succeeded in a plan that failed."""

from collections.abc import Sequence

from watcher.applier.executor import ActionExecutor
from watcher.applier.interrupts import Interrupts
from watcher.applier.workflow import graph
from watcher.db import plan_execution
from watcher.db.plan_execution import HeldPlan

ROLLED_BACK = "The effects of its actions were reverted; the actions say whether that succeeded."


class Rollback:
    """Reverts them one by one, children before their parents.

    What is left to revert is in the database, so that an applier that takes the plan over goes
    on with the rest.
    """

    def __init__(self, plan: HeldPlan, executor: ActionExecutor, interrupts: Interrupts) -> None:
        self._plan, self._executor, self._interrupts = plan, executor, interrupts

    def run(self) -> Sequence[str]:
        """Return when everything possible is reverted, or when an interrupt comes.

        The result is a sentence for the plan's users if there was anything to revert.
        """
        if not self._executor.keeps_origins or self._interrupts.present:
            return ()
        with self._executor.database.reader() as session:
            origins = plan_execution.origins(session, self._plan.id)
        steps = {step.uuid: step for step in self._plan.steps}
        for uuid in reversed(list(graph(self._plan).static_order())):
            step = steps[uuid]
            if step.id not in origins:
                continue
            if self._interrupts.present:
                break
            self._executor.revert(self._plan, step, origins[step.id], self._interrupts)
        return (ROLLED_BACK,) if origins else ()
