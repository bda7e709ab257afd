# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from itertools import compress
from typing import TYPE_CHECKING

from watcher.cloud.compute import Host, Server
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.loads import Loads
    from watcher.decision_engine.algorithms.relief import Relief
    from watcher.model.compute import ComputeModel
    from watcher.model.whatif import Move

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"

_IDLE = ("stopped", "suspended", "shelved", "error")
"""In these states a server uses nothing, and is not measured."""


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
            "metrics": {
                "description": "What the load of a host is measured by.",
                "type": "string",
                "enum": [CPU, MEMORY],
                "default": CPU,
            },
            "threshold": parameters.number(
                "Per cent of its vCPUs or memory at which a host has too much to do; no host is "
                "brought there.",
                25.0,
            ),
            "period": parameters.period(300),
            "granularity": parameters.granularity(),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.relief import Relief, excess

        model = inputs.compute_model()
        loads = _loads(inputs, model)
        before, over = _figures(loads), excess(loads)
        relief = Relief(loads)
        moves = relief.run()
        after = _figures(loads)
        solution = _solution(inputs, model, loads, moves)
        for name in before:
            solution.figure(name, before[name], after[name])
        solution.improve(over, excess(loads))
        _leave(inputs, loads, relief, solution)
        solution.promise(*_promise(inputs, loads))
        return solution.build(
            instance_migrations_count=len(moves),
            instances_count=len(model.servers),
            standard_deviation_before_audit=before["standard deviation"],
            standard_deviation_after_audit=after["standard deviation"],
        )


def _loads(inputs: Inputs, model: ComputeModel) -> Loads:
    """Loads in per cent of the hosts."""
    from watcher.decision_engine.algorithms.loads import Loads

    servers = list(compress(model.servers, model.available[model.placement]))
    used = _used(inputs, servers)
    if servers and not used:
        metric = inputs.parameters["metrics"]
        raise MetricsUnavailable(f"There are no values of {metric} of any server.")
    total = dict.fromkeys((host.hostname for host in model.hosts), 0.0)
    unknown = dict(total)
    for server in servers:
        if server.uuid in used:
            total[server.host] += used[server.uuid]
        elif server.state not in _IDLE:
            unknown[server.host] += _whole(inputs, server)
    loads = Loads(
        model,
        use=[[total[host.hostname] for host in model.hosts]],
        size=[[_size(inputs, host) / 100 for host in model.hosts]],
        limit=inputs.parameters["threshold"],
        bounds=inputs.bounds(),
        unknown=[[unknown[host.hostname] for host in model.hosts]],
    )
    idle = [number for number, server in enumerate(model.servers) if not server.migratable]
    loads.whatif.keep(idle, undone.INACTIVE)
    loads.measure([[used.get(server.uuid) for server in model.servers]])
    return loads


def _promise(inputs: Inputs, loads: Loads) -> tuple[str, int, promises.PromisedLoads | None]:
    """The figure that the plan improves, seconds until it can be read again, and the loads of
    the hosts if they are measured themselves."""
    figure, memory = "highest load, %", inputs.parameters["metrics"] == MEMORY
    hosts, of_servers = loads.whatif.model.hosts, _reading(inputs)
    name = "host_ram_usage" if memory else "host_cpu_usage"
    of_hosts = dataclasses.replace(of_servers, name=name)
    if not loads.whatif.moves:
        return figure, of_hosts.window, None
    try:
        measured = of_hosts.ask(inputs.host_metric, hosts)
    except MetricsUnavailable:  # only the review of the plan needs them
        measured = {}
    promised = promises.of_loads(loads, 0, 100.0, of_hosts, of_servers, memory)
    found = promises.percents(hosts, measured, memory)
    known = {host: found[host] for host in promised.hosts if host in found}
    return (figure, of_hosts.window, dataclasses.replace(promised, hosts=known) if known else None)


def _reading(inputs: Inputs) -> promises.Reading:
    parameters = inputs.parameters
    return promises.Reading(
        parameters["metrics"], int(parameters["period"]), int(parameters["granularity"])
    )


def _used(inputs: Inputs, servers: list[Server]) -> Mapping[str, float]:
    """Busy vCPUs, or MiB in use, by uuid; servers without measured values are left out."""
    reading = _reading(inputs)
    measured = reading.ask(inputs.server_metric, servers)
    # Per cent of the vCPUs, or MiB, are measured.
    return {
        server.uuid: measured[server.uuid] * (server.vcpus / 100 if reading.name == CPU else 1)
        for server in servers
        if math.isfinite(measured.get(server.uuid, math.nan))
    }


def _size(inputs: Inputs, host: Host) -> int:
    return host.cpus if inputs.parameters["metrics"] == CPU else host.memory_mb


def _whole(inputs: Inputs, server: Server) -> int:
    """The most that a server can use."""
    return server.vcpus if inputs.parameters["metrics"] == CPU else server.memory_mb


def _figures(loads: Loads) -> dict[str, float]:
    load = loads.load[0, loads.hosts]
    return {
        "hosts at the threshold or above": int((load >= loads.limit).sum()),
        "highest load, %": float(load.max(initial=0)),
        "standard deviation": float(load.std() / 100) if len(load) else 0.0,
    }


def _leave(inputs: Inputs, loads: Loads, relief: Relief, solution: SolutionBuilder) -> None:
    """Report which hosts are still above the threshold, and why."""
    load = loads.load[0, loads.hosts]
    over, unmet = int((load >= loads.limit).sum()), ""
    left: list[undone.Undone] = []
    if over:
        what = "CPU" if inputs.parameters["metrics"] == CPU else "memory"
        unmet = f"{undone.hosts_stay(over, len(load))} at {loads.limit:g} % {what} or above"
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
        high, low = loads.load[0, pair]
        loads.move(move.server, move.destination)
        then_high, then_low = loads.load[0, pair]
        solution.migrate(
            model.servers[move.server],
            destination,
            f"{source.hostname} at {high:.1f}% {what}, threshold {loads.limit:g}%: goes to "
            f"{then_high:.1f}%, {destination.hostname} from {low:.1f}% to {then_low:.1f}%",
        )
    return solution
