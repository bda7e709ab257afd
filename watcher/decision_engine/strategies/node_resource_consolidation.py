# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.model.compute import ComputeModel
    from watcher.decision_engine.whatif import WhatIf

DISABLED_REASON = "Watcher node resource consolidation strategy"


class NodeResourceConsolidation(Strategy):
    """Empties the hosts with fewest vCPUs allotted, by what flavors ask for alone.

    From the host with fewest vCPUs allotted on, the servers of a host, those with most
    vCPUs first, go to the host with most vCPUs allotted that has room for them.  A
    second trial goes from the smallest host on, and the one that frees more hosts wins.
    A host is emptied of all its servers or of none.  One from which a migration of the
    same audit has failed before is not tried again.

    With ``host_choice`` ``auto`` the scheduler picks the destinations: the hosts that are
    emptied, and those without servers, are disabled until the servers have moved.

    No metrics are read.  Every server is compared with all hosts twice.
    """

    name = "node_resource_consolidation"
    display_name = "Node Resource Consolidation strategy"
    goal = "server_consolidation"
    planner = "node_resource_consolidation"
    schema = {
        "properties": {
            "host_choice": {
                "description": "'auto': the scheduler picks the hosts that servers go to. "
                "'specify': the strategy does.",
                "type": "string",
                "default": "auto",
            },
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        # NumPy comes with it: only engines that run such audits pay for that.
        from watcher.decision_engine import consolidation
        from watcher.decision_engine.model.compute import VCPU
        from watcher.decision_engine.whatif import WhatIf

        model, solution = inputs.compute_model(), SolutionBuilder()
        what_if = WhatIf(model)
        _keep_failed(inputs, what_if)
        released = consolidation.release(
            what_if,
            [
                consolidation.least_first(what_if, model.used()[:, VCPU], model.demand[:, VCPU]),
                consolidation.smallest_first(what_if),
            ],
        )
        if inputs.parameters["host_choice"] == "auto":
            _propose_scheduled(solution, what_if, released)
        else:
            consolidation.propose_moves(solution, what_if)
        consolidation.summarize(solution, what_if)
        return solution.build(
            compute_nodes_count=len(model.hosts),
            released_compute_nodes_count=len(released),
            instance_migrations_count=len(what_if.moves),
        )


def _keep_failed(inputs: Inputs, what_if: WhatIf) -> None:
    """Keep all servers of the hosts that a server could not leave before."""
    model = what_if.model
    failed = {
        int(model.placement[model.server_index[uuid]])
        for uuid in inputs.failed_servers()
        if uuid in model.server_index
    }
    for host in failed:
        what_if.leavers[model.placement == host] = False


def _propose_scheduled(solution: SolutionBuilder, what_if: WhatIf, released: list[int]) -> None:
    from watcher.decision_engine import consolidation

    model = what_if.model
    closed = _closed(model, released)
    for index in closed:
        hostname = model.hosts[index].hostname
        solution.disable(
            model.hosts[index],
            DISABLED_REASON,
            f"Keeps the scheduler from picking {hostname} while servers move",
        )
    consolidation.propose_moves(solution, what_if, scheduler=True)
    for index in closed:
        solution.enable(
            model.hosts[index],
            f"{model.hosts[index].hostname} was disabled only while servers moved",
        )


def _closed(model: ComputeModel, released: list[int]) -> list[int]:
    """The hosts in service that should take no server: emptied ones, and empty ones."""
    if not released:
        return []
    occupied = set(model.placement.tolist()) - set(released)
    return [
        index for index, host in enumerate(model.hosts) if host.available and index not in occupied
    ]
