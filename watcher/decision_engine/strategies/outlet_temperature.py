# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.undone import hosts_stay

METRIC = "host_outlet_temp"
FIGURE = "hot hosts not relieved"


class OutletTemperature(Strategy):
    """Moves one server away from each host whose outlet air is too warm."""

    name = "outlet_temperature"
    display_name = "Outlet temperature based strategy"
    goal = "thermal_optimization"
    metrics = (METRIC,)
    schema = {
        "properties": {
            "threshold": parameters.number(
                "Outlet temperature in degrees Celsius at which a host is too warm.", 35.0
            ),
            "period": parameters.period(30),
            "granularity": parameters.granularity(),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms import spreading

        model, threshold = inputs.compute_model(), inputs.parameters["threshold"]
        heat = spreading.measured(inputs, METRIC)
        coolest = sorted(heat, key=lambda host: (heat[host], host))
        hot = [host for host in reversed(coolest) if heat[host] >= threshold]
        spread = spreading.Spreading(model, coolest[: len(coolest) - len(hot)], inputs.bounds())
        solution, left = SolutionBuilder(), []
        for host in hot:
            source = spread.active(host)
            moves = spread.relieve(source)
            left += [] if moves else [source]
            for move in moves:
                destination = model.hosts[move.destination]
                solution.migrate(
                    model.servers[move.server],
                    destination,
                    f"{model.hosts[host].hostname} at {heat[host]:.1f} °C, threshold "
                    f"{threshold:g} °C; {destination.hostname} at {heat[move.destination]:.1f} °C",
                )
        solution.improve(len(hot), len(left))
        solution.leave(
            f"{hosts_stay(len(left), len(heat))} at {threshold:g} °C or above" if left else "",
            [*spread.undone(left), *spreading.unmeasured(model, heat, METRIC)],
        )
        solution.figure(FIGURE, len(hot), len(left))
        solution.promise(FIGURE, inputs.parameters["period"] + inputs.parameters["granularity"])
        return solution.build()
