# SPDX-License-Identifier: Apache-2.0
"""Emptying hosts by moving their servers to others: arithmetic on arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from watcher.cloud.compute import DISABLED
from watcher.decision_engine import promises
from watcher.decision_engine.model.compute import DISK, MEMORY, VCPU
from watcher.decision_engine.model.types import Bools, Floats, Ints
from watcher.decision_engine.solution import SolutionBuilder
from watcher.decision_engine.whatif import WhatIf

ROUNDING = 1e-6
"""Measured loads are sums of fractions: less than this is no overload."""


class Order(NamedTuple):
    """A way to go through a cluster."""

    hosts: Ints
    """Indices: the first is emptied first."""
    takers: Ints
    """Indices: the first takes servers first."""
    sizes: Floats
    """[V]: of the servers of a host, the greatest leaves first."""


def orders(what_if: WhatIf, loads: Floats, sizes: Floats) -> list[Order]:
    """What to try: from the host with the least of *loads* [H] on, its servers by *sizes*
    [V]; from the smallest host on; and so again with hosts that have no servers yet."""
    found = [least_first(what_if, loads, sizes), smallest_first(what_if)]
    if (what_if.takers & ~in_use(what_if)).any():
        found.append(smallest_first(what_if, with_empty=True))
    return found


def least_first(what_if: WhatIf, loads: Floats, sizes: Floats) -> Order:
    hosts = _candidates(what_if, loads)
    return Order(hosts, hosts[::-1], sizes)


def smallest_first(what_if: WhatIf, *, with_empty: bool = False) -> Order:
    """The order that frees most hosts where they differ in size, the largest servers first.

    To empty a host costs what it has free as much as room for what is on it, which is
    its size.  As with first-fit-decreasing into the largest bins, small ones are left over.
    What cannot be emptied anyway takes servers before all others.  Sizes are shares of
    the cluster, of the resource that is scarcest for the host or server.
    """
    used = np.zeros_like(what_if.free)
    np.add.at(used, what_if.placement, what_if.demand)
    whole = np.maximum(what_if.free, 0).sum(axis=0) + used.sum(axis=0)
    scale = np.divide(1, whole, out=np.zeros_like(whole), where=whole > 0)
    sizes = ((what_if.free + used) * scale).max(axis=1)
    ranks = np.lexsort(((used * scale).max(axis=1), sizes)).argsort().astype(np.float64)
    hosts = _candidates(what_if, ranks, with_empty=with_empty)
    stuck = np.bincount(what_if.placement[~what_if.leavers], minlength=len(sizes)) > 0
    takers = hosts[np.argsort(stuck[hosts], kind="stable")][::-1]
    return Order(hosts, takers, (what_if.demand * scale).max(axis=1))


def _candidates(what_if: WhatIf, loads: Floats, *, with_empty: bool = False) -> Ints:
    """int [n]: indices of the hosts that are up and have servers, the least of *loads* first.

    Those that the scheduler does not use anyway come last: to empty them is no release.
    """
    model = what_if.model
    up = np.array([host.state == "up" for host in model.hosts], dtype=np.bool_)
    (hosts,) = np.nonzero(up & (in_use(what_if) | with_empty))
    disabled = ~model.available[hosts]
    return hosts[np.lexsort((loads[hosts], disabled))]


def in_use(what_if: WhatIf) -> Bools:
    """bool [H]: the hosts that have servers after the moves made."""
    used: Bools = np.bincount(what_if.placement, minlength=len(what_if.takers)) > 0
    return used


def release(what_if: WhatIf, trials: Iterable[Order], patience: float = math.inf) -> list[int]:
    """Empty hosts of *what_if* by the one of *trials* that frees most; their indices.

    Between equals, the one with fewer moves wins, then the first.  A host is emptied as
    a whole or not touched, takes nothing after that, and stays if it took a server.  The
    search ends when more than *patience* hosts in a row could not be emptied.

    Each trial costs one question to *what_if* a server.
    """
    start, takers = len(what_if.moves), what_if.takers.copy()
    results = []
    for order in trials:
        released = _release(what_if, order, patience)
        results.append((_gain(what_if), released, what_if.moves[start:]))
        what_if.undo(start)
        what_if.takers[:] = takers
    _, released, moves = max(results, key=lambda result: result[0])
    for move in moves:
        what_if.move(move.server, move.destination)
    what_if.takers[released] = False
    return released


def _gain(what_if: WhatIf) -> tuple[int, ...]:
    """Few hosts that the scheduler uses come first, then few of all, then few moves."""
    used = in_use(what_if)
    return -int((used & what_if.model.available).sum()), -int(used.sum()), -len(what_if.moves)


def _release(what_if: WhatIf, order: Order, patience: float) -> list[int]:
    servers = np.lexsort((-order.sizes, what_if.placement))
    first = np.searchsorted(what_if.placement[servers], np.arange(len(what_if.takers) + 1))
    released, failures = [], 0
    took: set[int] = set()
    for host in order.hosts.tolist():
        start = len(what_if.moves)
        leaving = servers[first[host] : first[host + 1]]
        if host not in took and _empty(what_if, leaving, order.takers):
            what_if.takers[host] = False
            took.update(move.destination for move in what_if.moves[start:])
            released += [host] if len(leaving) else []
            failures = 0
        elif (failures := failures + 1) > patience:
            break
    return released


def _empty(what_if: WhatIf, servers: Ints, preference: Ints) -> bool:
    """Move all *servers* to the first hosts of *preference* that take them, or none."""
    start = len(what_if.moves)
    if not what_if.leavers[servers].all():
        return False
    for server in servers.tolist():
        host = _first(what_if, server, preference)
        if host is None:
            what_if.undo(start)
            return False
        what_if.move(server, host)
    return True


def _first(what_if: WhatIf, server: int, preference: Ints) -> int | None:
    fit = what_if.hosts_for(server)[preference]
    best = int(fit.argmax()) if len(fit) else 0
    return int(preference[best]) if fit[best:].any() else None


def relieve(
    what_if: WhatIf, resource: int, preference: Ints, sleepers: Sequence[int] = ()
) -> list[int]:
    """Move servers off the hosts that have less than nothing free of *resource*, while
    that helps, to the first of *preference* that take them.

    The worst host comes first.  The smallest server that is enough leaves it, or else
    the largest.  Only if no host takes any, one of *sleepers* becomes a taker; which did
    is returned.
    """
    woken: list[int] = []
    free = what_if.free[:, resource]
    for host in np.argsort(free, kind="stable")[: np.count_nonzero(free < -ROUNDING)].tolist():
        while what_if.free[host, resource] < -ROUNDING:
            move = _relief(what_if, host, resource, preference)
            for sleeper in [] if move else [each for each in sleepers if each not in woken]:
                what_if.takers[sleeper] = True
                if move := _relief(what_if, host, resource, np.array([sleeper])):
                    woken.append(sleeper)
                    preference = np.append(preference, sleeper)
                    break
                what_if.takers[sleeper] = False
            if move is None:
                break
            what_if.move(*move)
    return woken


def _relief(what_if: WhatIf, host: int, resource: int, preference: Ints) -> tuple[int, int] | None:
    """(server, destination)"""
    use = what_if.demand[:, resource]
    (servers,) = np.nonzero((what_if.placement == host) & what_if.leavers & (use > ROUNDING))
    enough = use[servers] >= -what_if.free[host, resource] - ROUNDING
    smallest_enough = np.lexsort((np.where(enough, use[servers], -use[servers]), ~enough))
    for server in servers[smallest_enough].tolist():
        destination = _first(what_if, server, preference)
        if destination is not None:
            return server, destination
    return None


def propose_moves(
    solution: SolutionBuilder, what_if: WhatIf, start: int = 0, *, scheduler: bool = False
) -> None:
    """Add the migrations that empty hosts: those of *what_if* from number *start* on.

    With *scheduler* it picks the destinations, and those of *what_if* only show that
    there is room.
    """
    model, left = what_if.model, np.bincount(what_if.model.placement)
    for move in what_if.moves[start:]:
        server, destination = model.servers[move.server], model.hosts[move.destination]
        where = "the scheduler picks the host"
        if not scheduler:
            where = f"{destination.hostname} has room"
        solution.migrate(
            server,
            None if scheduler else destination,
            f"{server.host} can be emptied (servers: {left[move.source]}); {where}",
        )


def propose_disabling(solution: SolutionBuilder, what_if: WhatIf, hosts: Iterable[int]) -> int:
    """Take empty *hosts* out of service, those that are in it.  How many that are."""
    model = what_if.model
    had = np.bincount(model.placement, minlength=len(model.hosts))
    in_service = [host for host in hosts if model.available[host]]
    for index in in_service:
        host = model.hosts[index]
        why = "is empty once its servers have moved" if had[index] else "has no servers"
        solution.disable(host, DISABLED, f"{host.hostname} {why}", only_if_empty=True)
    return len(in_service)


def summarize(solution: SolutionBuilder, what_if: WhatIf) -> None:
    """How many hosts have servers, and how full those are, before the moves and after."""
    model = what_if.model
    for when, placement in (("before", model.placement), ("after", what_if.placement)):
        used = model.used(placement)
        occupied = np.bincount(placement, minlength=len(model.hosts)) > 0
        whole = model.capacity[occupied].sum(axis=0)
        values: dict[str, float] = {"hosts in use": int(occupied.sum())}
        for name, resource in (("vCPU", VCPU), ("memory", MEMORY), ("disk", DISK)):
            share = used[:, resource].sum() / whole[resource] if whole[resource] else 0.0
            values[f"{name} allotted on hosts in use, %"] = round(100 * float(share), 1)
        for name, value in values.items():
            solution.summary.setdefault(name, {})[when] = value
    solution.promise("hosts in use", promises.SETTLED)
