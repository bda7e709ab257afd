# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from watcher.cloud.compute import Host
from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.types import Floats
    from watcher.model.whatif import WhatIf

CPU = 4
"""The column of a what-if with the measured use of vCPUs, after the columns of what flavors
ask for."""
FULLY_BUSY = 100.0
TOO_BUSY = "Hosts use more CPU than they have, and no other host has room"


class VmWorkloadConsolidation(Strategy):
    """Moves the servers to as few hosts as their real use allows, without overload."""

    name = "vm_workload_consolidation"
    display_name = "VM Workload Consolidation Strategy"
    goal = "server_consolidation"
    metrics = (
        "instance_ram_allocated",
        "instance_cpu_usage",
        "instance_ram_usage",
        "instance_root_disk_size",
        "host_cpu_usage",
        "host_ram_usage",
    )
    schema = {
        "properties": {
            "period": parameters.period(3600),
            "granularity": parameters.granularity(),
            **parameters.CONSOLIDATION,
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms import consolidation
        from watcher.decision_engine.algorithms.consolidation_plan import Consolidation
        from watcher.model.whatif import WhatIf

        model, solution = inputs.compute_model(), SolutionBuilder()
        what_if = WhatIf(model, *_measured(inputs, model), bounds=inputs.bounds())
        before = what_if.free[:, CPU].copy()
        plan = Consolidation(what_if, inputs.parameters)
        kept_free = _kept_free(inputs, model)
        what_if.free[:, CPU] -= kept_free
        enabled, relief = _relieve(what_if, kept_free), len(what_if.moves)
        empty = (model.available & ~consolidation.in_use(what_if)).nonzero()[0].tolist()
        use = what_if.demand[:, CPU]
        loads = consolidation.of_hosts(what_if, use)
        plan.empty(consolidation.orders(what_if, loads, use), spares=empty)
        for index in enabled:
            solution.enable(model.hosts[index], TOO_BUSY)
        back = plan.propose_enabling(solution)
        _propose_relief(solution, what_if, relief, before)
        plan.propose_moves(solution)
        disabled = plan.propose_disabling(solution)
        plan.conclude(solution)
        solution.figures(_figures(model, before), _figures(model, what_if.free[:, CPU] + kept_free))
        return solution.build(
            compute_nodes_count=int(model.up.sum()),
            released_compute_nodes_count=max(0, disabled - back),
            instance_migrations_count=len(what_if.moves),
        )


def _kept_free(inputs: Inputs, model: ComputeModel) -> Floats:
    """float [H]: vCPUs of each host that the plan does not fill."""
    import numpy as np

    vcpus = np.array([host.cpus for host in model.hosts], dtype=np.float64)
    return (1 - inputs.parameters["target_utilization"]) * vcpus


def _relieve(what_if: WhatIf, kept_free: Floats) -> Sequence[int]:
    """Move servers off hosts that use more CPU than they have.  Returns the hosts to enable
    for it."""
    from watcher.decision_engine.algorithms import consolidation

    model = what_if.model
    keepers = consolidation.smallest_first(what_if, with_empty=True).takers
    unused = model.standby & model.taking & ~consolidation.in_use(what_if)
    standby = unused.nonzero()[0].tolist()
    return consolidation.relieve(what_if, CPU, keepers, standby, kept_free)


def _propose_relief(
    solution: SolutionBuilder, what_if: WhatIf, number: int, before: Floats
) -> None:
    model = what_if.model
    for move in what_if.moves[:number]:
        server, destination = model.servers[move.server], model.hosts[move.destination]
        source = model.hosts[move.source]
        solution.migrate(
            server,
            destination,
            f"{server.host} is at {_percent(source, before[move.source]):.0f} % CPU, this server "
            f"uses {what_if.demand[move.server, CPU]:.1f} of its {source.cpus} vCPUs; "
            f"{destination.hostname} has room",
        )


def _figures(model: ComputeModel, free: Floats) -> dict[str, float]:
    """The figures of the summary, with so many vCPUs *free* [H]."""
    from watcher.decision_engine.algorithms.consolidation import ROUNDING

    loads = [_percent(host, left) for host, left in zip(model.hosts, free, strict=True)]
    return {
        "CPU taken on the busiest host, %": round(max(loads, default=0.0), 1),
        "hosts that use more CPU than they have": int((free < -ROUNDING).sum()),
    }


def _percent(host: Host, free: float) -> float:
    """How much of its vCPUs is used or reserved."""
    return float(100 * (1 - free / host.cpus)) if host.cpus else 0.0


def _measured(inputs: Inputs, model: ComputeModel) -> tuple[Floats, Floats]:
    """The use of servers [V, 3], and the free amounts of hosts [H, 3]: vCPUs, MiB, GB."""
    import numpy as np

    use = _server_use(inputs, model)
    used = np.zeros((len(model.hosts), 3))
    np.add.at(used, model.placement, use)
    whole = _table(
        (host.cpus, host.memory_mb, host.disk_gb * host.disk_ratio) for host in model.hosts
    )
    reserved = _table(
        (host.vcpus_reserved + host.pcpus_reserved, host.memory_mb_reserved, host.disk_gb_reserved)
        for host in model.hosts
    )
    # A host itself needs what is reserved for it, or its measured use beyond that of its servers
    # if that is more.
    own = np.maximum(_host_use(inputs, model) - used, reserved)
    return use, whole - own - used


def _server_use(inputs: Inputs, model: ComputeModel) -> Floats:
    """[V, 3] vCPUs, MiB, GB"""
    cpu, memory, allocated, disk = (
        _reading(inputs, name).ask(inputs.server_metric, model.servers)
        for name in (
            "instance_cpu_usage",
            "instance_ram_usage",
            "instance_ram_allocated",
            "instance_root_disk_size",
        )
    )
    return _table(
        (
            server.vcpus * cpu.get(server.uuid, FULLY_BUSY) / 100,
            memory.get(server.uuid, allocated.get(server.uuid, server.memory_mb)),
            disk.get(server.uuid, server.disk_gb),
        )
        for server in model.servers
    )


def _host_use(inputs: Inputs, model: ComputeModel) -> Floats:
    """[H, 3] vCPUs, MiB, and no disk, because the disk use of a host is not measured."""
    cpu, memory = (
        _reading(inputs, name).ask(inputs.host_metric, model.hosts)
        for name in ("host_cpu_usage", "host_ram_usage")
    )
    return _table(
        (cpu.get(host.uuid, 0) * host.cpus / 100, memory.get(host.uuid, 0) / 1024, 0)
        for host in model.hosts
    )


def _table(rows: Iterable[tuple[float, float, float]]) -> Floats:
    import numpy as np

    return np.array(list(rows), dtype=np.float64).reshape(-1, 3)


def _reading(inputs: Inputs, metric: str) -> Reading:
    return Reading(metric, inputs.parameters["period"], inputs.parameters["granularity"])
