# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from watcher.cloud.compute import Host, Server
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.undone import INACTIVE

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.balance import Balance
    from watcher.decision_engine.algorithms.loads import Loads
    from watcher.model.compute import ComputeModel

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"
_SHARE: Mapping[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}


class WorkloadStabilization(Strategy):
    """Evens out the load of hosts with as few live migrations as possible."""

    name = "workload_stabilization"
    display_name = "Workload stabilization"
    goal = "workload_balancing"
    planner = "workload_stabilization"
    metrics = ("host_cpu_usage", CPU, MEMORY, "host_ram_usage")
    schema = {
        "properties": {
            "metrics": {
                "description": "Metrics of servers by which the load of hosts is evened out.",
                "type": "array",
                "items": {"type": "string", "enum": [CPU, MEMORY]},
                "minItems": 1,
                "default": [CPU],
            },
            "thresholds": parameters.by_name(
                "Standard deviation of the hosts' loads, from 0 to 1, above which servers are "
                "moved.",
                {CPU: 0.1, MEMORY: 0.1},
                **_SHARE,
            ),
            "weights": parameters.by_name(
                "How much each metric counts in the weighted sum of deviations.",
                {f"{CPU}_weight": 1.0, f"{MEMORY}_weight": 1.0},
                **_SHARE,
            ),
            "instance_metrics": parameters.by_name(
                "The metric of hosts for each metric of servers.",
                {CPU: "host_cpu_usage", MEMORY: "host_ram_usage"},
                type="string",
            ),
            "host_choice": parameters.text(
                "Has no effect any more: all hosts are looked at.",
                default="retry",
                enum=["cycle", "retry", "fullsearch"],
            ),
            "retry_count": parameters.number(
                "Has no effect any more: all hosts are looked at.", 1, minimum=1
            ),
            "periods": parameters.by_name(
                "Seconds over which the metrics of servers and hosts are aggregated. 'node' is the "
                "former name of 'compute_node', and wins unless 0.",
                {"instance": 720, "compute_node": 600, "node": 0},
                type="integer",
                minimum=0,
            ),
            "aggregation_method": parameters.aggregation_method(),
            "granularity": parameters.granularity() | {"minimum": 0},
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.balance_report import BalanceReport, Words

        model, parameters = inputs.compute_model(), inputs.parameters
        metrics = list(dict.fromkeys(parameters["metrics"]))
        loads, balance = _balance(inputs, model, metrics)
        words = [Words(each, "CPU" if each == CPU else "memory") for each in metrics]
        report = BalanceReport(loads, balance, words)
        if report.exceeded.any():
            _measure(inputs, model, metrics, loads)
            balance.run()
        solution = report.solution()
        solution.undone += loads.unmeasured()
        metric = metrics[report.shown]
        of_hosts, of_servers = _readings(inputs, metric)
        promised = promises.of_loads(
            loads, report.shown, 1.0, of_hosts, of_servers, memory=metric == MEMORY
        )
        solution.promise(report.figure, max(of_hosts.window, of_servers.window), promised)
        return solution.build(**report.indicators())


def _balance(inputs: Inputs, model: ComputeModel, metrics: Sequence[str]) -> tuple[Loads, Balance]:
    from watcher.decision_engine.algorithms.balance import Balance
    from watcher.decision_engine.algorithms.loads import Loads

    thresholds, weights = inputs.parameters["thresholds"], inputs.parameters["weights"]
    loads = Loads(
        model,
        use=[_host_use(inputs, metric, model.hosts) for metric in metrics],
        size=[[_size(metric, host) for host in model.hosts] for metric in metrics],
        bounds=inputs.bounds(),
    )
    if not loads.hosts.any() and model.available.any():
        raise MetricsUnavailable(f"There are no values of {', '.join(metrics)} of any host.")
    return loads, Balance(
        loads,
        thresholds=[thresholds[metric] for metric in metrics],
        weights=[weights[f"{metric}_weight"] for metric in metrics],
    )


def _measure(inputs: Inputs, model: ComputeModel, metrics: Sequence[str], loads: Loads) -> None:
    """Measure the loads, and let only servers that migrate live leave their hosts."""
    live = [server.migration == "live" for server in model.servers]
    loads.whatif.keep([number for number, each in enumerate(live) if not each], INACTIVE)
    leavers = list(compress(model.servers, loads.whatif.leavers))
    measured = [_server_use(inputs, metric, leavers) for metric in metrics]
    loads.measure([[use.get(server.uuid) for server in model.servers] for use in measured])


def _readings(inputs: Inputs, metric: str) -> tuple[promises.Reading, promises.Reading]:
    """How the metric of hosts for a *metric* of servers is read, and that itself."""
    parameters = inputs.parameters
    periods, aggregates = parameters["periods"], parameters["aggregation_method"]
    of_hosts = promises.Reading(
        parameters["instance_metrics"][metric],
        periods["node"] or periods["compute_node"],
        parameters["granularity"],
        aggregates["node"] or aggregates["compute_node"],
    )
    of_servers = promises.Reading(
        metric, periods["instance"], parameters["granularity"], aggregates["instance"]
    )
    return of_hosts, of_servers


def _size(metric: str, host: Host) -> int:
    """The amount of a load of 1 on *host*: its vCPUs, or its memory in MiB."""
    return host.cpus if metric == CPU else host.memory_mb


def _host_use(inputs: Inputs, metric: str, hosts: Sequence[Host]) -> list[float]:
    """Busy vCPUs, or MiB in use, of each host; NaN where nothing was measured."""
    of_hosts, _ = _readings(inputs, metric)
    measured = of_hosts.ask(inputs.host_metric, hosts)
    # Per cent of the vCPUs, or KiB, are measured.
    return [
        measured.get(host.uuid, math.nan) * (host.cpus / 100 if metric == CPU else 1 / 1024)
        for host in hosts
    ]


def _server_use(inputs: Inputs, metric: str, servers: Sequence[Server]) -> dict[str, float]:
    """Busy vCPUs, or MiB in use, by uuid; servers without measured values are left out."""
    _, of_servers = _readings(inputs, metric)
    measured = of_servers.ask(inputs.server_metric, servers)
    # Per cent of the vCPUs, or MiB, are measured.
    return {
        server.uuid: measured[server.uuid] * (server.vcpus / 100 if metric == CPU else 1)
        for server in servers
        if server.uuid in measured
    }
