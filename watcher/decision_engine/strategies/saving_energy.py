# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from watcher.cloud.baremetal import BaremetalNode, hosts_of
from watcher.cloud.compute import DISABLED, MAINTAINING, POWERED_OFF, Host
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel


class SavingEnergy(Strategy):
    """Switches machines off that are not needed, and switches them on when they are."""

    name = "saving_energy"
    display_name = "Saving Energy Strategy"
    goal = "saving_energy"
    schema = {
        "properties": {
            "free_used_percent": parameters.number(
                "Free hosts to keep on, in percent of the hosts that have servers.", 10.0, minimum=0
            ),
            "min_free_hosts_num": parameters.number(
                "Free hosts to keep on at least.", 1, minimum=0
            ),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        pools = _pools(inputs.compute_model(), inputs.baremetal_model())
        parameters = inputs.parameters
        share = len(pools.used) * parameters["free_used_percent"] / 100
        need = int(max(share, parameters["min_free_hosts_num"]))
        steps = _steps(pools, need, random.Random(inputs.seed))
        solution, bound = SolutionBuilder(), inputs.bounds().actions
        made = steps if bound is None else steps[: max(bound, 0)]
        before, after = len(pools.free), len(pools.free)
        for step in made:
            _propose(solution, step, f"{before} free hosts are on, and {need} are to be")
            after += step.frees
        solution.figure("free hosts that are on", before, after)
        solution.promise("free hosts that are on", promises.FIGURE_WINDOW)
        on = len(pools.free) + len(pools.disabled)
        switched = sum({"off": -1, "on": 1}.get(step.state, 0) for step in made)
        solution.improve(max(0, on - need), max(0, on + switched - need))
        waiting = [(step.machine.host.hostname, undone.BOUND) for step in steps[len(made) :]]
        short = f"{after} of {need} free hosts are on" if after < need else ""
        solution.leave(short, undone.grouped(waiting, things="hosts"))
        return solution.build()


class _Machine(NamedTuple):
    node: BaremetalNode
    host: Host

    @property
    def is_ours(self) -> bool:
        """Whether Watcher has disabled its host, because it had no servers or no power."""
        powered_off = self.host.disabled_reason == POWERED_OFF
        return self.host.disabled_as == DISABLED or (self._is_disabled and powered_off)

    @property
    def usable_when_on(self) -> bool:
        """Whether the scheduler uses the host as soon as the machine is on."""
        return not self._is_disabled or self.host.disabled_reason == POWERED_OFF

    @property
    def _is_disabled(self) -> bool:
        return self.host.status != "enabled"


class _Pools(NamedTuple):
    """Machines by their present role."""

    used: list[_Machine]
    """Machines with servers, or with room that is allocated for servers."""
    free: list[_Machine]
    """Machines that are on, for the scheduler to use."""
    disabled: list[_Machine]
    """Machines that are on, with a disabled host."""
    off: list[_Machine]
    """Machines that are off, and whose host the scheduler could use if they were on."""


class _Step(NamedTuple):
    machine: _Machine
    state: str
    """"enabled", "on" or "off"."""
    frees: int
    """The change of the number of free hosts that are on, by the action."""


def _pools(compute: ComputeModel, baremetal: BaremetalModel) -> _Pools:
    hosts = hosts_of(baremetal.nodes, compute.hosts)
    # A server that is migrating to a host, or whose move from it is not confirmed, is on another
    # host.
    occupied = {compute.hosts[index].uuid for index in compute.placement.tolist()}
    others = compute.others.sum(axis=1).tolist()
    occupied |= {host.uuid for host, held in zip(compute.hosts, others, strict=True) if held}
    pools = _Pools([], [], [], [])
    for node in baremetal.nodes:
        host = hosts.get(node.uuid)
        # If hosts stay up without power, a host that is down is broken.
        if host is None or (baremetal.keeps_hosts_up and host.state != "up"):
            continue
        machine = _Machine(node, host)
        if host.uuid in occupied:
            pools.used.append(machine)
        elif node.maintenance or host.disabled_as == MAINTAINING:
            continue  # an operator works on it
        elif node.power_state == "off" and (machine.usable_when_on or machine.is_ours):
            pools.off.append(machine)
        elif node.power_state == "on" and host.state == "up":  # else it is on its way up
            (pools.free if host.available else pools.disabled).append(machine)
    return pools


def _steps(pools: _Pools, need: int, draw: random.Random) -> Sequence[_Step]:
    """The actions that bring the number of free hosts to what is needed, the most urgent first."""
    lack = need - len(pools.free)
    ours = _drawn([each for each in pools.disabled if each.is_ours], draw)
    others = _drawn([each for each in pools.disabled if not each.is_ours], draw)
    back = ours[: max(lack, 0)]
    sleeping = sorted(_drawn(pools.off, draw), key=lambda machine: not machine.usable_when_on)
    on = sleeping[: max(lack - len(back), 0)]
    surplus = max(0, len(pools.free) + len(pools.disabled) - need)
    disabled = [*ours[len(back) :], *others][:surplus]
    free = _drawn(pools.free, draw)[: max(0, min(-lack, surplus - len(disabled)))]
    return [
        *(_Step(machine, "enabled", 1) for machine in back),
        *(_Step(machine, "on", int(machine.usable_when_on)) for machine in on),
        *(_Step(machine, "off", 0) for machine in disabled),
        *(_Step(machine, "off", -1) for machine in free),
    ]


def _drawn(machines: Sequence[_Machine], draw: random.Random) -> list[_Machine]:
    """*machines* in random order, so that the same ones are not always first."""
    return draw.sample(machines, len(machines))


def _propose(solution: SolutionBuilder, step: _Step, reason: str) -> None:
    if step.state == "enabled":
        solution.enable(step.machine.host, reason)
        return
    solution.add(
        "change_node_power_state",
        step.machine.node.uuid,
        reason,
        state=step.state,
        resource_name=step.machine.host.hostname,
    )
