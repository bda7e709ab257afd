# SPDX-License-Identifier: Apache-2.0
"""Reverts the actions that succeeded in a plan that failed."""

from collections.abc import Sequence

from watcher.applier.executor import ActionExecutor
from watcher.applier.interrupts import Interrupts
from watcher.applier.workflow import graph
from watcher.db import plan_execution
from watcher.db.plan_execution import HeldPlan

ROLLED_BACK = "The effects of its actions were reverted; the actions say whether that succeeded."


def roll_back(plan: HeldPlan, executor: ActionExecutor, interrupts: Interrupts) -> Sequence[str]:
    """Revert them one by one, children before their parents, until an interrupt comes.

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
