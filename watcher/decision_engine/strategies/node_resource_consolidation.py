# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.cloud.compute import DISABLED
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.whatif import WhatIf


class NodeResourceConsolidation(Strategy):
    """Empties the hosts with fewest vCPUs allotted, by what flavors ask for alone.

    From the host with fewest vCPUs allotted on, the servers of a host, those with most
    vCPUs first, go to the host with most vCPUs allotted that has room for them.  A
    second trial goes from the smallest host on, and a third also fills hosts without
    servers; the one that leaves fewest hosts in use wins.  A host is emptied of all its
    servers or of none.

    With ``host_choice`` ``auto`` the scheduler picks the destinations: the hosts that are
    emptied, and those without servers, are disabled until the servers have moved.

    No metrics are read.  Every server is compared with all hosts up to three times.
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
        released = consolidation.release(
            what_if,
            consolidation.orders(what_if, model.used()[:, VCPU], model.demand[:, VCPU]),
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


def _propose_scheduled(solution: SolutionBuilder, what_if: WhatIf, released: list[int]) -> None:
    from watcher.decision_engine import consolidation

    model = what_if.model
    closed = _closed(what_if) if released else []
    for index in closed:
        hostname = model.hosts[index].hostname
        solution.disable(
            model.hosts[index],
            DISABLED,
            f"Keeps the scheduler from picking {hostname} while servers move",
        )
    consolidation.propose_moves(solution, what_if, scheduler=True)
    for index in closed:
        solution.enable(
            model.hosts[index],
            f"{model.hosts[index].hostname} was disabled only while servers moved",
        )


def _closed(what_if: WhatIf) -> list[int]:
    """The hosts in service that should take no server: they are empty in the end."""
    from watcher.decision_engine import consolidation

    closed: list[int] = (
        (what_if.model.available & ~consolidation.in_use(what_if)).nonzero()[0].tolist()
    )
    return closed
