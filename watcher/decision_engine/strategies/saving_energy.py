# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from watcher.cloud.baremetal import BaremetalNode, hosts_of
from watcher.cloud.compute import Host
from watcher.decision_engine import promises
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.model.baremetal import BaremetalModel
    from watcher.decision_engine.model.compute import ComputeModel


class SavingEnergy(Strategy):
    """Switches machines off that nobody needs, and on again when they are needed.

    Beside the hosts that have servers, as many free ones stay on as a share of those, or
    a fixed number if that is more.  Those above are switched off, disabled ones first,
    otherwise by lot; if there are too few, machines that are off are switched on,
    enabled ones first.  A machine whose host has a server, whatever the server's state,
    is never switched off.  Machines in maintenance, of unknown power, or of no host in
    the scope are left alone and do not count.

    Time grows with the number of machines, hosts and servers.
    """

    name = "saving_energy"
    display_name = "Saving Energy Strategy"
    goal = "saving_energy"
    schema = {
        "properties": {
            "free_used_percent": {
                "description": "Free hosts to keep on, in percent of the hosts that have servers.",
                "type": "number",
                "minimum": 0,
                "default": 10.0,
            },
            "min_free_hosts_num": {
                "description": "Free hosts to keep on at least.",
                "type": "number",
                "minimum": 0,
                "default": 1,
            },
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        pools = _pools(inputs.compute_model(), inputs.baremetal_model())
        parameters = inputs.parameters
        share = len(pools.used) * parameters["free_used_percent"] / 100
        need = int(max(share, parameters["min_free_hosts_num"]))
        draw = random.Random(inputs.seed)
        before = len(pools.on)
        off = _drawn(pools.on, before - need, draw, enabled_first=False)
        on = _drawn(pools.off, need - before, draw, enabled_first=True)
        solution = SolutionBuilder()
        for state, machines in (("off", off), ("on", on)):
            for node, host in machines:
                solution.add(
                    "change_node_power_state",
                    node.uuid,
                    f"{before} free hosts are on, and {need} are to be",
                    state=state,
                    resource_name=host.hostname,
                )
        after = before - len(off) + len(on)
        solution.summary["free hosts that are on"] = {"before": before, "after": after}
        solution.promise("free hosts that are on", promises.SETTLED)
        return solution.build()


class _Machine(NamedTuple):
    node: BaremetalNode
    host: Host


class _Pools(NamedTuple):
    """Machines by what they are for now: with servers; free, and on or off."""

    used: list[_Machine]
    on: list[_Machine]
    off: list[_Machine]


def _pools(compute: ComputeModel, baremetal: BaremetalModel) -> _Pools:
    hosts = hosts_of(baremetal.nodes, compute.hosts)
    occupied = {compute.hosts[index].uuid for index in set(compute.placement.tolist())}
    pools = _Pools([], [], [])
    for node in baremetal.nodes:
        host = hosts.get(node.uuid)
        # Where a host stays up without power, one that is down is broken.
        if host is None or (baremetal.keeps_hosts_up and host.state != "up"):
            continue
        if host.uuid in occupied:
            pools.used.append(_Machine(node, host))
        elif node.power_state in ("on", "off") and not node.maintenance:
            (pools.on if node.power_state == "on" else pools.off).append(_Machine(node, host))
    return pools


def _drawn(
    machines: Sequence[_Machine], number: int, draw: random.Random, enabled_first: bool
) -> Sequence[_Machine]:
    """So many of *machines*, by lot among those that the scheduler uses, or does not."""
    mixed = draw.sample(machines, len(machines))
    mixed.sort(key=lambda machine: (machine.host.status == "enabled") != enabled_first)
    return mixed[: max(number, 0)]
