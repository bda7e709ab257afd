# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Mapping

from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.undone import hosts_stay

AIRFLOW, INLET, POWER = "host_airflow", "host_inlet_temp", "host_power"
FIGURE = "hosts with much airflow not relieved"


class UniformAirflow(Strategy):
    """Moves servers away from hosts whose fans have to blow too much air."""

    name = "uniform_airflow"
    display_name = "Uniform airflow migration strategy"
    goal = "airflow_optimization"
    metrics = (AIRFLOW, INLET, POWER)
    schema = {
        "properties": {
            "threshold_airflow": parameters.number(
                "Airflow, in 0.1 CFM, at which servers leave a host.", 400.0
            ),
            "threshold_inlet_t": parameters.number(
                "Inlet temperature in degrees Celsius below which high airflow is not explained "
                "by warm air.",
                28.0,
            ),
            "threshold_power": parameters.number(
                "Power in watts below which high airflow is not explained by load.", 350.0
            ),
            "period": parameters.period(300),
            "granularity": parameters.granularity(),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms import spreading

        model, threshold = inputs.compute_model(), inputs.parameters["threshold_airflow"]
        airflow = spreading.measured(inputs, AIRFLOW)
        calmest = sorted(airflow, key=lambda host: (airflow[host], host))
        loud = [host for host in reversed(calmest) if airflow[host] >= threshold]
        spread = spreading.Spreading(model, calmest[: len(calmest) - len(loud)], inputs.bounds())
        faulty = _faulty(inputs) if loud else {}
        solution, left = SolutionBuilder(), []
        for host in loud:
            source = (spread.whole if host in faulty else spread.active)(host)
            moves = spread.relieve(source)
            if not moves or (source.whole and len(moves) < len(source.candidates)):
                left.append(source)
            for move in moves:
                solution.migrate(
                    model.servers[move.server],
                    model.hosts[move.destination],
                    f"{model.hosts[host].hostname} has an airflow of {airflow[host]:g}, "
                    f"threshold {threshold:g}{faulty.get(host, '')}; "
                    f"{model.hosts[move.destination].hostname} {airflow[move.destination]:g}",
                )
        solution.improve(len(loud), len(left))
        unmet = f"{hosts_stay(len(left), len(airflow))} at an airflow of {threshold:g} or above"
        solution.leave(
            unmet if left else "",
            [*spread.undone(left), *spreading.unmeasured(model, airflow, AIRFLOW)],
        )
        solution.figure(FIGURE, len(loud), len(left))
        solution.promise(FIGURE, inputs.parameters["period"] + inputs.parameters["granularity"])
        return solution.build()


def _faulty(inputs: Inputs) -> Mapping[int, str]:
    """Hosts whose airflow is explained neither by load nor by warm air, with the explanation."""
    from watcher.decision_engine.algorithms.spreading import measured

    parameters = inputs.parameters
    power, inlet = measured(inputs, POWER), measured(inputs, INLET)
    return {
        host: f" with {power[host]:g} W and air of {inlet[host]:g} °C, so it seems faulty"
        for host in power
        if power[host] < parameters["threshold_power"]
        and inlet.get(host, math.inf) < parameters["threshold_inlet_t"]
    }
