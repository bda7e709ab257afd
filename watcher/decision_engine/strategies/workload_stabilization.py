# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence

from watcher.cloud.compute import Host, Server
from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

CPU, MEMORY = "instance_cpu_usage", "instance_ram_usage"

_AGGREGATES = ["mean", "min", "max", "count"]


class WorkloadStabilization(Strategy):
    """Evens out the load of hosts with live migrations, as few as possible.

    The load of a host is a fraction: CPU use of its vCPUs, memory use of its memory.
    When the standard deviation of the loads over all hosts is above the threshold of
    a metric, servers move, the one that helps most first, until all metrics are below
    their thresholds or nothing helps any more.  No host is ever filled beyond what the
    scheduler would allow.

    ``host_choice`` and ``retry_count`` are accepted for the sake of audits that have
    them: every way of choosing looks at all hosts now, since that costs nothing.
    """

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
            "thresholds": {
                "description": "Standard deviation of the hosts' loads, from 0 to 1, above which "
                "servers are moved.",
                "type": "object",
                "properties": {
                    CPU: {"type": "number", "minimum": 0, "maximum": 1, "default": 0.1},
                    MEMORY: {"type": "number", "minimum": 0, "maximum": 1, "default": 0.1},
                },
                "default": {CPU: 0.1, MEMORY: 0.1},
            },
            "weights": {
                "description": "How much each metric counts in the weighted sum of deviations.",
                "type": "object",
                "properties": {
                    f"{CPU}_weight": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "default": 1.0,
                    },
                    f"{MEMORY}_weight": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 1,
                        "default": 1.0,
                    },
                },
                "default": {f"{CPU}_weight": 1.0, f"{MEMORY}_weight": 1.0},
            },
            "instance_metrics": {
                "description": "The metric of hosts for each metric of servers.",
                "type": "object",
                "properties": {
                    CPU: {"type": "string", "default": "host_cpu_usage"},
                    MEMORY: {"type": "string", "default": "host_ram_usage"},
                },
                "default": {CPU: "host_cpu_usage", MEMORY: "host_ram_usage"},
            },
            "host_choice": {
                "description": "Has no effect any more: all hosts are looked at.",
                "type": "string",
                "enum": ["cycle", "retry", "fullsearch"],
                "default": "retry",
            },
            "retry_count": {
                "description": "Has no effect any more: all hosts are looked at.",
                "type": "number",
                "minimum": 1,
                "default": 1,
            },
            "periods": {
                "description": "Seconds over which the metrics of servers and hosts are "
                "aggregated. 'node' is the former name of 'compute_node', and wins unless 0.",
                "type": "object",
                "properties": {
                    "instance": {"type": "integer", "minimum": 0, "default": 720},
                    "compute_node": {"type": "integer", "minimum": 0, "default": 600},
                    "node": {"type": "integer", "minimum": 0, "default": 0},
                },
                "default": {"instance": 720, "compute_node": 600, "node": 0},
            },
            "aggregation_method": {
                "description": "How the metrics of servers and hosts are aggregated: "
                f"{', '.join(_AGGREGATES)}. 'node' is the former name of 'compute_node', and "
                "wins unless empty.",
                "type": "object",
                "properties": {
                    "instance": {"type": "string", "default": "mean"},
                    "compute_node": {"type": "string", "default": "mean"},
                    "node": {"type": "string", "default": ""},
                },
                "default": {"instance": "mean", "compute_node": "mean", "node": ""},
            },
            "granularity": {
                "description": "Seconds between two measures of a metric.",
                "type": "number",
                "minimum": 0,
                "default": 300,
            },
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        # NumPy comes with it: only engines that run such audits pay for that.
        from watcher.decision_engine.balance import Balance

        parameters, model = inputs.parameters, inputs.compute_model()
        metrics = list(dict.fromkeys(parameters["metrics"]))
        balance = Balance(
            model,
            use=[_host_use(inputs, metric, model.hosts) for metric in metrics],
            size=[[_size(metric, host) for host in model.hosts] for metric in metrics],
            thresholds=[parameters["thresholds"][metric] for metric in metrics],
            weights=[parameters["weights"][f"{metric}_weight"] for metric in metrics],
        )
        if not len(balance.hosts) and model.available.any():
            raise MetricsUnavailable(f"There are no values of {', '.join(metrics)} of any host.")
        before, exceeded = balance.deviations(), balance.exceeded()
        solution, moves = SolutionBuilder(), []
        if exceeded.any():
            candidates = balance.candidates()
            servers = [model.servers[index] for index in candidates]
            moves = balance.run(
                candidates, use=[_server_use(inputs, metric, servers) for metric in metrics]
            )
        for move in moves:
            solution.migrate_live(model.servers[move.server], model.hosts[move.destination])
        # Deviations are reported of one metric: the first one that gave a reason to act.
        shown = exceeded.argmax()
        return solution.build(
            instance_migrations_count=len(moves),
            instances_count=len(model.servers),
            standard_deviation_before_audit=float(before[shown]),
            standard_deviation_after_audit=float(balance.deviations()[shown]),
        )


def _size(metric: str, host: Host) -> int:
    """What a load of 1 is on *host*: its vCPUs, or its memory in MiB."""
    return host.vcpus if metric == CPU else host.memory_mb


def _host_use(inputs: Inputs, metric: str, hosts: Sequence[Host]) -> list[float | None]:
    """Busy vCPUs, or MiB in use, of each host; None where nothing was measured."""
    parameters = inputs.parameters
    measured = inputs.host_metric(
        parameters["instance_metrics"][metric],
        hosts,
        period=parameters["periods"]["node"] or parameters["periods"]["compute_node"],
        aggregate=parameters["aggregation_method"]["node"]
        or parameters["aggregation_method"]["compute_node"],
        granularity=parameters["granularity"],
    )
    # Per cent of the vCPUs, or KiB.
    return [
        None
        if (value := measured.get(host.uuid)) is None
        else value / 100 * host.vcpus
        if metric == CPU
        else value / 1024
        for host in hosts
    ]


def _server_use(inputs: Inputs, metric: str, servers: Sequence[Server]) -> list[float | None]:
    """Busy vCPUs, or MiB in use, of each server; None where nothing was measured."""
    measured = inputs.server_metric(
        metric,
        servers,
        period=inputs.parameters["periods"]["instance"],
        aggregate=inputs.parameters["aggregation_method"]["instance"],
        granularity=inputs.parameters["granularity"],
    )
    # Per cent of the vCPUs, or MiB.
    return [
        None
        if (value := measured.get(server.uuid)) is None
        else value / 100 * server.vcpus
        if metric == CPU
        else value
        for server in servers
    ]
