# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_utils import strutils

from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.types import Floats
    from watcher.model.whatif import WhatIf

HOST_METRIC, SERVER_METRIC = "host_cpu_usage", "instance_cpu_usage"

FULLY_BUSY = 100.0


class Basic(Strategy):
    """Empties the hosts that have least to do, and takes them out of service."""

    name = "basic"
    display_name = "Basic offline consolidation"
    goal = "server_consolidation"
    metrics = (HOST_METRIC, SERVER_METRIC)
    schema = {
        "properties": {
            "migration_attempts": parameters.number(
                "Hosts in a row that may turn out impossible to empty before the search ends; 0 "
                "goes through all of them.",
                0,
            ),
            "period": parameters.period(7200),
            "granularity": parameters.granularity(),
            "aggregation_method": parameters.aggregation_method(),
            **parameters.CONSOLIDATION,
        }
    }
    options = (
        cfg.BoolOpt(
            "check_optimize_metadata",
            default=False,
            help="Move only servers that have no metadata, or have a true value in the metadata "
            "key 'optimize'.",
        ),
    )

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms import consolidation
        from watcher.decision_engine.algorithms.consolidation_plan import Consolidation
        from watcher.model.whatif import WhatIf

        model, attempts = inputs.compute_model(), inputs.parameters["migration_attempts"]
        what_if, solution = WhatIf(model, bounds=inputs.bounds()), SolutionBuilder()
        _keep(inputs, what_if)
        plan = Consolidation(what_if, inputs.parameters)
        plan.empty(
            # With a limit of failures no further orders are tried: they would find the hosts that
            # it leaves out.
            consolidation.orders(what_if, *_loads(inputs, model), varied=not attempts),
            max_failures=attempts or math.inf,
        )
        plan.propose_enabling(solution)
        plan.propose_moves(solution)
        disabled = plan.propose_disabling(solution)
        plan.conclude(solution)
        return solution.build(
            compute_nodes_count=sum(host.available for host in model.hosts),
            released_compute_nodes_count=disabled,
            instance_migrations_count=len(what_if.moves),
        )


def _keep(inputs: Inputs, what_if: WhatIf) -> None:
    """Let those servers stay that the strategy does not move."""
    import numpy as np

    servers = what_if.model.servers
    what_if.keep(np.array([not each.migratable for each in servers], np.bool_), undone.INACTIVE)
    if inputs.options.check_optimize_metadata:
        opted_out = [
            bool(each.metadata) and not strutils.bool_from_string(each.metadata.get("optimize"))
            for each in servers
        ]
        what_if.keep(np.array(opted_out, np.bool_), undone.OPTED_OUT)


def _loads(inputs: Inputs, model: ComputeModel) -> tuple[Floats, Floats]:
    """Per cent of the CPU that each host [H] and each server [V] uses."""
    import numpy as np

    parameters = inputs.parameters
    aggregates = parameters["aggregation_method"]
    window = parameters["period"], parameters["granularity"]
    host = Reading(HOST_METRIC, *window, aggregates["node"] or aggregates["compute_node"])
    of_hosts = host.ask(inputs.host_metric, model.hosts)
    server = Reading(SERVER_METRIC, *window, aggregates["instance"])
    of_servers = server.ask(inputs.server_metric, model.servers)
    return (
        np.array([of_hosts.get(each.uuid, FULLY_BUSY) for each in model.hosts]),
        np.array([of_servers.get(each.uuid, FULLY_BUSY) for each in model.servers]),
    )
