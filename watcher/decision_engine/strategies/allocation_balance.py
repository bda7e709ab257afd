# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.undone import INACTIVE

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.loads import Loads

RESOURCES = ("vcpus", "memory")
"""The resources, in the order of the columns of a model's capacity."""


class AllocationBalance(Strategy):
    """Evens out what is allocated on hosts, by flavors alone: no metric is read."""

    name = "allocation_balance"
    display_name = "Allocation balance"
    goal = "workload_balancing"
    planner = "workload_stabilization"
    chosen_by_goal = False
    schema = {
        "properties": {
            "thresholds": parameters.by_name(
                "Standard deviation of the hosts' allocations, from 0 to 1, above which servers "
                "are moved.",
                dict.fromkeys(RESOURCES, 0.1),
                type="number",
                minimum=0,
                maximum=1,
            )
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.balance import Balance
        from watcher.decision_engine.algorithms.balance_report import BalanceReport, Words

        loads, thresholds = _loads(inputs), inputs.parameters["thresholds"]
        balance = Balance(loads, [thresholds[each] for each in RESOURCES], [1.0, 1.0])
        report = BalanceReport(
            loads,
            balance,
            [
                Words("allocated vCPUs", "vCPU allocation"),
                Words("allocated memory", "memory allocation"),
            ],
        )
        if report.exceeded.any():
            balance.run()
        solution = report.solution()
        solution.promise(report.figure, promises.FIGURE_WINDOW)
        return solution.build(**report.indicators())


def _loads(inputs: Inputs) -> Loads:
    from watcher.decision_engine.algorithms.loads import Loads

    model, count = inputs.compute_model(), len(RESOURCES)
    loads = Loads(
        model,
        use=model.used().T[:count].tolist(),
        size=model.capacity.T[:count].tolist(),
        bounds=inputs.bounds(),
    )
    loads.whatif.keep(
        [number for number, server in enumerate(model.servers) if server.migration != "live"],
        INACTIVE,
    )
    loads.measure(model.demand.T[:count].tolist())
    return loads
