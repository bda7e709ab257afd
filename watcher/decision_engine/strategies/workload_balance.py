# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from watcher.cloud.compute import Host, Server
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.decision_engine.usual_loads import HOUR, hour_of
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.loads import Loads
    from watcher.decision_engine.algorithms.relief import Relief
    from watcher.model.compute import ComputeModel
    from watcher.model.types import Floats
    from watcher.model.whatif import Move

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"

HIGHEST = "highest load, %"
ROUNDING = 1e-9
"""Loads are sums of fractions: one that is less than this below the threshold is at it."""

_IDLE = ("stopped", "suspended", "shelved", "error")
"""The states in which a server uses nothing, and is not measured."""


class WorkloadBalance(Strategy):
    """Brings every host below a threshold of its load, with as few live migrations as possible."""

    name = "workload_balance"
    display_name = "Workload Balance Migration Strategy"
    goal = "workload_balancing"
    planner = "workload_stabilization"
    metrics = (CPU, MEMORY)
    optional_metrics = ("host_cpu_usage", "host_ram_usage")
    """With these, a review checks whether the loads of hosts follow the use of their servers."""
    schema = {
        "properties": {
            "metrics": parameters.text(
                "What the load of a host is measured by.", default=CPU, enum=[CPU, MEMORY]
            ),
            "threshold": parameters.number(
                "Per cent of its vCPUs or memory at which a host has too much to do; no host is "
                "brought there.",
                25.0,
            ),
            "period": parameters.period(300),
            "granularity": parameters.granularity(),
        }
    }

    @classmethod
    def foresees(cls, parameters: Mapping[str, Any]) -> Sequence[promises.Reading]:
        return (_reading(parameters),)

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.relief import Relief, excess

        model = inputs.compute_model()
        loads = _loads(inputs, model)
        before, over = _figures(loads), excess(loads)
        relief = Relief(loads)
        moves = relief.run()
        after = _figures(loads)
        solution = _solution(inputs, model, loads, moves)
        solution.figures(before, after)
        solution.improve(over, excess(loads))
        _report_undone(inputs, loads, relief, solution)
        figure, window, promised = _promise(inputs, loads)
        if promised or before[HIGHEST] >= loads.limit:  # what is expected cannot be looked up later
            solution.promise(figure, window, promised)
        return solution.build(
            instance_migrations_count=len(moves),
            instances_count=len(model.servers),
            standard_deviation_before_audit=before["standard deviation"],
            standard_deviation_after_audit=after["standard deviation"],
        )


def _loads(inputs: Inputs, model: ComputeModel) -> Loads:
    """Loads in per cent of the hosts: now, and as expected in each of the coming hours."""
    import numpy as np

    from watcher.decision_engine.algorithms.loads import Loads

    available, use = model.available[model.placement], _used(inputs, model)
    known = np.isfinite(use[0])
    if available.any() and not known.any():
        metric = inputs.parameters["metrics"]
        raise MetricsUnavailable(f"There are no values of {metric} of any server.")
    idle = np.array([server.state in _IDLE for server in model.servers], dtype=np.bool_)
    unknown = np.where(known | idle | ~available, 0.0, _largest_use(inputs, model.servers))

    def of_hosts(values: Floats) -> list[float]:
        return np.bincount(model.placement, values, len(model.hosts)).tolist()

    size = [_size(inputs, host) / 100 for host in model.hosts]
    loads = Loads(
        model,
        use=[of_hosts(np.where(known, each, 0.0)) for each in use],
        size=[size] * len(use),
        limit=inputs.parameters["threshold"] - ROUNDING,
        bounds=inputs.bounds(),
        unknown=[of_hosts(unknown)] * len(use),
    )
    fixed = [number for number, server in enumerate(model.servers) if not server.migratable]
    loads.whatif.keep(fixed, undone.INACTIVE)
    loads.measure(use)
    return loads


def _promise(inputs: Inputs, loads: Loads) -> tuple[str, int, promises.PromisedLoads | None]:
    """The figure that the plan improves, seconds until it can be read again, and the loads of
    the hosts if they are measured themselves."""
    memory = inputs.parameters["metrics"] == MEMORY
    hosts, of_servers = loads.whatif.model.hosts, _reading(inputs.parameters)
    name = "host_ram_usage" if memory else "host_cpu_usage"
    of_hosts = dataclasses.replace(of_servers, name=name)
    if not loads.whatif.moves:
        return HIGHEST, of_hosts.window, None
    try:
        measured = of_hosts.ask(inputs.host_metric, hosts)
    except MetricsUnavailable:  # only the review of the plan needs them
        measured = {}
    promised = promises.of_loads(loads, 0, 100.0, of_hosts, of_servers, memory)
    found = promises.percents(hosts, measured, memory)
    known = {host: found[host] for host in promised.hosts if host in found}
    return (HIGHEST, of_hosts.window, dataclasses.replace(promised, hosts=known) if known else None)


def _reading(parameters: Mapping[str, Any]) -> promises.Reading:
    return promises.Reading(
        parameters["metrics"], int(parameters["period"]), int(parameters["granularity"])
    )


def _used(inputs: Inputs, model: ComputeModel) -> Floats:
    """float [1 + hours, V]: busy vCPUs, or MiB in use, now and as expected; NaN: not measured."""
    import numpy as np

    reading = _reading(inputs.parameters)
    available = model.available[model.placement]
    measured = reading.ask(inputs.server_metric, list(compress(model.servers, available)))
    uuids = [server.uuid for server in model.servers]
    now = np.array([measured.get(uuid, np.nan) for uuid in uuids], dtype=np.float64)
    now[~available | ~np.isfinite(now)] = np.nan
    values = np.vstack([now, *inputs.expected(reading, uuids, now)])
    whole = _largest_use(inputs, model.servers)
    used: Floats = values * (whole / 100) if reading.name == CPU else values
    used[1:] = np.minimum(used[1:], whole)
    return used


def _size(inputs: Inputs, host: Host) -> int:
    return host.cpus if inputs.parameters["metrics"] == CPU else host.memory_mb


def _largest_use(inputs: Inputs, servers: Sequence[Server]) -> Floats:
    """float [V]: the most that each server can use."""
    import numpy as np

    cpu = inputs.parameters["metrics"] == CPU
    return np.array([each.vcpus if cpu else each.memory_mb for each in servers], dtype=np.float64)


def _figures(loads: Loads) -> dict[str, float]:
    load, *expected = loads.load[:, loads.hosts]
    figures = {
        "hosts at the threshold or above": int((load >= loads.limit).sum()),
        HIGHEST: float(load.max(initial=0)),
        "standard deviation": float(load.std() / 100) if len(load) else 0.0,
    }
    if expected:
        highest = float(max(each.max(initial=0) for each in expected))
        figures["highest load expected in the coming hours, %"] = highest
    return figures


def _report_undone(inputs: Inputs, loads: Loads, relief: Relief, solution: SolutionBuilder) -> None:
    """Report which hosts are still above the threshold, and why."""
    load = loads.peak[loads.hosts]
    over, unmet = int((load >= loads.limit).sum()), ""
    left: list[undone.Undone] = []
    if over:
        what = "CPU" if inputs.parameters["metrics"] == CPU else "memory"
        when = ", now or in the coming hours" if len(loads.load) > 1 else ""
        unmet = f"{undone.hosts_stay(over, len(load))} at {loads.limit:g} % {what} or above{when}"
        left = loads.undone(relief.go_on, relief.stuck)
    solution.leave(unmet, left)


def _solution(
    inputs: Inputs, model: ComputeModel, loads: Loads, moves: list[Move]
) -> SolutionBuilder:
    """Repeats the moves one by one, to report the gain of each."""
    solution = SolutionBuilder()
    what = "CPU" if inputs.parameters["metrics"] == CPU else "memory"
    loads.undo(0)
    for move in moves:
        source, destination = model.hosts[move.source], model.hosts[move.destination]
        pair = [move.source, move.destination]
        hour = int(loads.load[:, move.source].argmax())  # 0 is now
        now, (high, low) = loads.load[0, move.source], loads.load[hour, pair]
        loads.move(move.server, move.destination)
        then_high, then_low = loads.load[hour, pair]
        found = f"{source.hostname} at {now:.1f}% {what}"
        if hour:
            begin = hour_of(inputs.now) + hour * HOUR
            found += f", {high:.1f}% expected in the hour from {begin:%H:%M} UTC on"
        solution.migrate(
            model.servers[move.server],
            destination,
            f"{found}, threshold {loads.limit:g}%: goes to "
            f"{then_high:.1f}%, {destination.hostname} from {low:.1f}% to {then_low:.1f}%",
        )
    return solution
