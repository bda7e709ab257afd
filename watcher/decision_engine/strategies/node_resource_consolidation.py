# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from watcher.cloud.compute import DISABLED
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.consolidation_plan import Consolidation


class NodeResourceConsolidation(Strategy):
    """Empties the hosts with fewest vCPUs allotted, as computed from flavors only."""

    name = "node_resource_consolidation"
    display_name = "Node Resource Consolidation strategy"
    goal = "server_consolidation"
    planner = "node_resource_consolidation"
    schema = {
        "properties": {
            "host_choice": parameters.text(
                "'auto': the scheduler picks the hosts that servers go to. 'specify': the strategy "
                "does.",
                default="auto",
            ),
            **parameters.CONSOLIDATION,
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms import consolidation
        from watcher.decision_engine.algorithms.consolidation_plan import Consolidation
        from watcher.model.compute import VCPU
        from watcher.model.whatif import WhatIf

        model, solution = inputs.compute_model(), SolutionBuilder()
        what_if = WhatIf(model, bounds=inputs.bounds())
        plan = Consolidation(what_if, inputs.parameters)
        trials = consolidation.orders(what_if, model.used()[:, VCPU], model.demand[:, VCPU])
        scheduled = inputs.parameters["host_choice"] == "auto"
        released: Sequence[int] = ()
        if scheduled:
            # Every host without servers is disabled and enabled again, or the scheduler would
            # pick it.
            spares = 2 * len(_empty_at_end(plan))
            released = plan.empty(trials, disables=False, switches=2, others=spares)
        if not released and (not scheduled or what_if.bounds.actions is not None):
            scheduled = False
            released = plan.empty(trials, disables=False, switches=0)
        if scheduled and released and _suits_scheduler(plan):
            _propose_scheduled(solution, plan)
        else:
            plan.propose_enabling(solution)
            plan.propose_moves(solution)
        plan.conclude(solution)
        return solution.build(
            compute_nodes_count=len(model.hosts),
            released_compute_nodes_count=len(released),
            instance_migrations_count=len(what_if.moves),
        )


def _propose_scheduled(solution: SolutionBuilder, plan: Consolidation) -> None:
    model, empty = plan.what_if.model, _empty_at_end(plan)
    plan.propose_enabling(solution, empty=False)
    for index in empty:
        hostname = model.hosts[index].hostname
        solution.disable(
            model.hosts[index],
            DISABLED,
            f"Keeps the scheduler from picking {hostname} while servers move",
        )
    plan.propose_moves(solution, scheduler=True)
    for index in empty:
        solution.enable(
            model.hosts[index],
            f"{model.hosts[index].hostname} was disabled only while servers moved",
        )
    plan.propose_enabling(solution)


def _suits_scheduler(plan: Consolidation) -> bool:
    """Whether each server finds a host if it moves to the one with most free memory, as
    nova's scheduler chooses by default. The plan itself only shows that there is room on its
    own destinations."""
    from watcher.model.compute import MEMORY
    from watcher.model.whatif import WhatIf

    made = plan.what_if
    trial = WhatIf(made.model)
    trial.takers[:] = made.takers
    trial.takers[_empty_at_end(plan)] = False
    for move in made.moves:
        fit = trial.possible_hosts(move.server)
        if not fit.any():
            return False
        trial.move(move.server, int((trial.free[:, MEMORY] * fit).argmax()))
    return True


def _empty_at_end(plan: Consolidation) -> list[int]:
    """The hosts in service that are empty at the end, and so should take no server meanwhile."""
    from watcher.decision_engine.algorithms import consolidation

    what_if = plan.what_if
    return (what_if.model.available & ~consolidation.in_use(what_if)).nonzero()[0].tolist()
