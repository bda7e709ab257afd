# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from watcher.cloud.compute import MAINTAINING, Host
from watcher.common.errors import Invalid, NotFound
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.whatif import WhatIf

_MIGRATABLE = (undone.NO_HOST, undone.NO_GAIN)
"""Reasons that a what-if gives for servers that may leave their host."""
_FORBIDDEN = "not to be migrated, by the parameters of the audit"


class HostMaintenance(Strategy):
    """Takes one host out of service and its servers off it."""

    name = "host_maintenance"
    display_name = "Host Maintenance Strategy"
    goal = "cluster_maintaining"
    optimizes = False
    schema = {
        "properties": {
            "maintenance_node": parameters.text("Hostname of the host that goes into maintenance."),
            "backup_node": parameters.text("Hostname of the host that takes its servers."),
            "disable_live_migration": parameters.flag("Migrate no server live."),
            "disable_cold_migration": parameters.flag("Migrate no server cold."),
        },
        "required": ["maintenance_node"],
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.model.whatif import WhatIf

        model, parameters = inputs.compute_model(), inputs.parameters
        host, backup = _host(model, parameters, "maintenance_node"), None
        if "backup_node" in parameters:
            backup = _host(model, parameters, "backup_node")
        if host == backup:
            raise Invalid("backup_node: it must be another host than maintenance_node.")
        what_if, solution = WhatIf(model.free_to_leave_zones), SolutionBuilder()
        steps = _steps(what_if, host, backup, parameters)
        stuck, woken, choices = _without_host(inputs.cloud(), model, host, steps)
        steps = [step for step in steps if step.server not in stuck]
        _propose_states(solution, model, host, steps, woken)
        # The scheduler does not keep a host free for a server that has no other choice.
        for step in sorted(steps, key=lambda step: choices.get(step.server, 0)):
            _propose(solution, model, step, backup)
        _summarize(solution, model, host, steps)
        _say_who_stays(solution, what_if, host, steps, stuck)
        return solution.build()


class _Step(NamedTuple):
    """The way in which a server leaves its host; numbers are indices of the model."""

    server: int
    way: str
    """``live``, ``cold`` or ``stop``"""
    destination: int | None


def _host(model: ComputeModel, parameters: Mapping[str, Any], name: str) -> int:
    hostname = parameters[name]
    if hostname not in model.host_index:
        raise NotFound(f"{name}: there is no compute host '{hostname}' in the audit's scope.")
    return model.host_index[hostname]


def _steps(
    what_if: WhatIf, host: int, backup: int | None, parameters: Mapping[str, Any]
) -> list[_Step]:
    """The largest server first."""
    model, steps = what_if.model, []
    if not parameters["disable_cold_migration"]:
        what_if.release(undone.NOT_LIVE)
    what_if.takers[:] = False
    if backup is not None:
        what_if.takers[backup] = _usable(model.hosts[backup])
    servers = model.servers_on(host).tolist()
    for index in sorted(servers, key=lambda index: (-model.demand[index]).tolist()):
        way, destination = _way(what_if, index, parameters), None
        if way is None:
            continue
        if way != "stop" and backup is not None and what_if.hosts_for(index)[backup]:
            what_if.move(index, backup)
            destination = backup
        steps.append(_Step(index, way, destination))
    return steps


def _without_host(
    cloud: ComputeModel, model: ComputeModel, host: int, steps: Sequence[_Step]
) -> tuple[dict[int, str], list[int], dict[int, int]]:
    """The servers for which the scheduler finds no host, and why; the hosts that Watcher disabled
    for want of work and that are to be enabled for others; and how many hosts may take each server
    for which the scheduler picks one."""
    from watcher.decision_engine.algorithms.scheduler import Scheduler

    scheduler, found = Scheduler(cloud), {}
    standby = {model.hosts[n].hostname: n for n in model.standby.nonzero()[0].tolist() if n != host}
    for server, _, destination in steps:
        if destination is not None:
            hostname = model.hosts[destination].hostname
            scheduler.enable_host(hostname)
            scheduler.place_server(model.servers[server].uuid, hostname)
            standby.pop(hostname, None)
    woken = []
    picked = [step.server for step in steps if step.way != "stop" and step.destination is None]
    for server in picked:
        uuid = model.servers[server].uuid
        if why := scheduler.pick(uuid):
            opened = scheduler.enable_one_for(uuid, standby)
            if opened is None:
                found[server] = why
            else:
                woken.append(standby.pop(opened))
    return found, woken, {each: scheduler.choices(model.servers[each].uuid) for each in picked}


def _usable(backup: Host) -> bool:
    """Whether servers may move to the backup host.  It may be disabled, because the user names
    it."""
    return backup.state == "up" and backup.disabled_as != MAINTAINING


def _way(what_if: WhatIf, index: int, parameters: Mapping[str, Any]) -> str | None:
    """``live``, ``cold`` or ``stop``; None if the server has to stay as it is."""
    model = what_if.model
    server, leaves = model.servers[index], bool(what_if.leavers[index])
    if leaves and server.migration == "live" and not parameters["disable_live_migration"]:
        return "live"
    can_move_cold = leaves and server.state in ("active", "stopped")
    if can_move_cold and not parameters["disable_cold_migration"]:
        return "cold"
    up = model.hosts[model.placement[index]].state == "up"
    none = parameters["disable_live_migration"] and parameters["disable_cold_migration"]
    return "stop" if none and up and server.migratable and model.movable[index] else None


def _propose_states(
    solution: SolutionBuilder,
    model: ComputeModel,
    index: int,
    steps: Sequence[_Step],
    woken: Sequence[int],
) -> None:
    host = model.hosts[index]
    for number in woken:
        solution.enable(model.hosts[number], f"No other host takes all servers of {host.hostname}")
    for backup in {step.destination for step in steps}:
        if backup is not None and not model.available[backup]:
            solution.enable(model.hosts[backup], f"Takes the servers of {host.hostname}")
    if host.disabled_as != MAINTAINING:
        solution.disable(host, MAINTAINING, f"{host.hostname} goes into maintenance")


def _propose(
    solution: SolutionBuilder, model: ComputeModel, step: _Step, backup: int | None
) -> None:
    server, why = model.servers[step.server], "goes into maintenance"
    if step.way == "stop":
        why = f"{server.host} {why}, and migrations are disabled"
        solution.add("stop", server.uuid, why)
        return
    destination = None if step.destination is None else model.hosts[step.destination]
    if destination:
        where = f"{destination.hostname} has room"
    elif backup is None:
        where = "the scheduler picks the host"
    else:
        where = f"{model.hosts[backup].hostname} cannot take it, so the scheduler picks the host"
    solution.migrate(server, destination, f"{server.host} {why}; {where}", cold=step.way == "cold")


def _summarize(
    solution: SolutionBuilder, model: ComputeModel, host: int, steps: Sequence[_Step]
) -> None:
    servers = [model.servers[index] for index in model.servers_on(host).tolist()]
    active = sum(server.state == "active" for server in servers)
    left = sum(step.way != "stop" for step in steps)
    ended = sum(model.servers[step.server].state == "active" for step in steps)
    solution.figure("servers on the host", len(servers), len(servers) - left)
    solution.figure("active servers on the host", active, active - ended)


def _say_who_stays(
    solution: SolutionBuilder,
    what_if: WhatIf,
    host: int,
    steps: Sequence[_Step],
    stuck: Mapping[int, str],
) -> None:
    model, leaving = what_if.model, {step.server for step in steps if step.way != "stop"}
    staying = [index for index in model.servers_on(host).tolist() if index not in leaving]
    if staying:
        stopped = {step.server for step in steps} - leaving
        reasons = {index: _why(what_if, index) for index in staying if index not in stopped}
        verb = "do" if len(staying) > 1 else "does"
        unmet = f"{len(staying)} of the servers on {model.hosts[host].hostname} {verb} not leave it"
        solution.leave(
            unmet,
            undone.grouped(
                (model.servers[index].name, reason)
                for index, reason in {**reasons, **stuck}.items()
            ),
        )


def _why(what_if: WhatIf, server: int) -> str:
    reason = what_if.why_not(server)
    return _FORBIDDEN if reason in _MIGRATABLE else reason
