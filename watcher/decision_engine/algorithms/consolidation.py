# SPDX-License-Identifier: Apache-2.0
"""Emptying hosts by moving their servers to others: arithmetic on arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from watcher.model.compute import MEMORY
from watcher.model.types import Bools, Floats, Ints
from watcher.model.whatif import WhatIf

ROUNDING = 1e-6
"""Measured loads are sums of fractions, so less than this is no overload."""


ATTEMPTS, TRIED = 30, 4_000
"""The number of random orders that are tried after the usual ones, and of servers in all of
them."""

VARIED = 0.5
"""The share by which random orders vary the number of servers of a host."""

AT_FIRST = 100
"""How many hosts are examined first when a server needs a host."""


class Order(NamedTuple):
    """The order in which hosts are emptied and filled."""

    hosts: Ints
    """Indices: the first is emptied first."""
    takers: Ints
    """Indices: the first takes servers first."""
    sizes: Floats
    """[V]: the server of a host with the largest value leaves it first."""


@dataclasses.dataclass(frozen=True)
class Release:
    """Hosts that a plan empties, in this order."""

    hosts: Sequence[int]
    """Indices."""
    waiting: Sequence[int] = ()
    """Indices of hosts that the bounds of the plan did not allow to empty."""
    costly: Sequence[int] = ()
    """Indices of hosts that are not worth the moves of their servers."""


def orders(what_if: WhatIf, loads: Floats, sizes: Floats, *, varied: bool = True) -> list[Order]:
    """The orders to try.  One begins with the host with the least of *loads* [H], its servers by
    *sizes* [V]; one begins with the smallest host; and the same two with hosts that have no servers
    yet.  With bounds, a further order begins with the host whose moves need least of what is
    bounded.  With *varied*, random variations follow."""
    found = [least_first(what_if, loads, sizes), smallest_first(what_if)]
    if (what_if.takers & ~in_use(what_if)).any():
        found.append(smallest_first(what_if, with_empty=True))
    if what_if.bounds.memory_mb < math.inf:
        found.append(least_first(what_if, of_hosts(what_if, what_if.demand[:, MEMORY]), sizes))
    if what_if.bounds.actions is not None:
        found.append(least_first(what_if, of_hosts(what_if), sizes))
    return found + (_varied(what_if) if varied else [])


def _varied(what_if: WhatIf) -> list[Order]:
    """Random orders that begin with a host with few servers.  To find the hosts that can take all
    servers of others is as hard as bin packing, so more trials find more.  Empty for large
    clusters, where a trial takes long."""
    found, servers = [], of_hosts(what_if)
    smallest = smallest_first(what_if)
    for attempt in range(min(ATTEMPTS, TRIED // max(1, len(what_if.placement)))):
        random = np.random.default_rng(attempt)
        spread = VARIED if attempt else 0.0
        order = least_first(
            what_if, servers * random.uniform(1 - spread, 1 + spread, len(servers)), smallest.sizes
        )
        takers = smallest.takers if attempt % 2 else order.takers
        found.append(order._replace(takers=takers))
    return found


def of_hosts(what_if: WhatIf, values: Floats | None = None) -> Floats:
    """float [H]: the sum of *values* [V] of the servers of each host; their number if None."""
    total = np.bincount(what_if.placement, values, minlength=len(what_if.takers))
    return total.astype(np.float64)


def least_first(what_if: WhatIf, loads: Floats, sizes: Floats) -> Order:
    hosts = _candidates(what_if, loads)
    return Order(hosts, hosts[::-1], sizes)


def smallest_first(what_if: WhatIf, *, with_empty: bool = False) -> Order:
    """The order that frees most hosts where they differ in size, the largest servers first.

    An emptied host costs its size: the room for its servers elsewhere, and its own free room.  As
    with first-fit-decreasing into the largest bins, small hosts are left over.  Hosts that cannot
    be emptied take servers before all others.  A size is the host's or server's share of the
    cluster, of its scarcest resource.
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

    Hosts that the scheduler does not use come last, because emptying them releases nothing.
    """
    (hosts,) = np.nonzero(what_if.model.up & (in_use(what_if) | with_empty))
    disabled = ~in_service(what_if)[hosts]
    return hosts[np.lexsort((loads[hosts], disabled))]


def in_service(what_if: WhatIf) -> Bools:
    """bool [H]: the hosts that the scheduler uses, or will use: a host that Watcher disabled
    is enabled again if it keeps servers."""
    return what_if.model.available | (what_if.model.standby & in_use(what_if))


def in_use(what_if: WhatIf) -> Bools:
    """bool [H]: the hosts that have servers after the moves made."""
    return np.bincount(what_if.placement, minlength=len(what_if.takers)) > 0


def release(
    what_if: WhatIf, trials: Iterable[Order], max_failures: float = math.inf, switches: int = 0
) -> Release:
    """Empty hosts of *what_if* by the one of *trials* that frees most.

    Between equal trials the one with fewer moves is taken, then the first.  A host is emptied as a
    whole or not at all.  A host that was emptied takes no servers, and one that took a server is
    not emptied.  A trial ends when more than *max_failures* hosts in a row could not be emptied.

    Emptying a host in service takes *switches* actions beside its moves, and gains the load
    of one host: the host is not emptied if the moves of its servers cost more than that.

    Each trial finds a host once for each server.
    """
    best: tuple[tuple[int, ...], Release, WhatIf] | None = None
    for order in trials:
        trial, takers = what_if.copy(), what_if.takers.copy()
        released = _release(trial, order, max_failures, switches)
        takers[list(released.hosts)] = False
        trial.takers = takers
        gain = _gain(trial)
        if best is None or gain > best[0]:
            best = gain, released, trial
    if best is None:
        return Release(())
    _, released, trial = best
    what_if.become(trial)
    return released


def _gain(what_if: WhatIf) -> tuple[int, ...]:
    """The key by which trials are compared: fewer hosts that the scheduler uses, then fewer hosts
    with servers, then fewer moves."""
    used = in_use(what_if)
    return -int((used & in_service(what_if)).sum()), -int(used.sum()), -len(what_if.moves)


def _release(what_if: WhatIf, order: Order, max_failures: float, switches: int) -> Release:
    servers = np.lexsort((-order.sizes, what_if.placement))
    least = what_if.demand[what_if.leavers].min(axis=0, initial=np.inf)
    first = np.searchsorted(what_if.placement[servers], np.arange(len(what_if.takers) + 1))
    cost = _Cost(what_if, switches)
    released, waiting, costly, failures = [], [], [], 0
    took, takers = set[int](), order.takers
    for host in order.hosts.tolist():
        start = len(what_if.moves)
        leaving = servers[first[host] : first[host + 1]]
        if host in took:
            pass
        elif len(leaving) and not cost.is_worth_it(host):
            costly.append(host)
        elif len(leaving) and not cost.is_within_bounds(host):
            waiting.append(host)
        # Hosts only fill up until they are emptied, so one without room stays without.
        elif _empty(what_if, leaving, takers := _with_room(what_if, takers, least)):
            what_if.takers[host] = False
            took.update(move.destination for move in what_if.moves[start:])
            if len(leaving):
                what_if.other_actions += cost.switches(host)
                released.append(host)
            failures = 0
            continue
        failures += 1
        if failures > max_failures:
            break
    return Release(
        released, *([host for host in left if host not in took] for left in (waiting, costly))
    )


class _Cost:
    """The cost of emptying hosts, and whether it is within the bounds of the plan."""

    def __init__(self, what_if: WhatIf, switches: int) -> None:
        self._what_if = what_if
        self._switches = switches * in_service(what_if)
        self._servers = of_hosts(what_if)
        self._memory = of_hosts(what_if, what_if.demand[:, MEMORY])
        self._price = of_hosts(what_if, what_if.bounds.prices(what_if.model))

    def switches(self, host: int) -> int:
        return int(self._switches[host])

    def is_worth_it(self, host: int) -> bool:
        return bool(self._price[host] <= 1)

    def is_within_bounds(self, host: int) -> bool:
        return self._what_if.affords(
            int(self._servers[host]), float(self._memory[host]), self.switches(host)
        )


def _empty(what_if: WhatIf, servers: Ints, preference: Ints) -> bool:
    """Move all *servers* to the first hosts of *preference* that take them, or move none.  None are
    moved either if that breaks wishes of soft groups, as these count more than a host."""
    start, broken = len(what_if.moves), what_if.broken_wishes
    if not what_if.leavers[servers].all():
        return False
    search = _FirstFit(what_if, servers, preference)
    for number, server in enumerate(servers.tolist()):
        host = search.first(number)
        if host is None:
            what_if.undo(start)
            return False
        what_if.move(server, host)
    if what_if.broken_wishes > broken:
        what_if.undo(start)
        return False
    return True


def _with_room(what_if: WhatIf, hosts: Ints, least: Floats) -> Ints:
    """The *hosts* that take servers and have as much free as the smallest server needs."""
    able = what_if.takers[hosts]
    for resource in np.flatnonzero(least > 0):
        able &= what_if.free[:, resource][hosts] >= least[resource]
    return hosts[able]


class _FirstFit:
    """For each of *servers*, the first host of *preference* that takes it.

    Many servers and hosts are compared at once.  While the servers move, one after the other,
    hosts only fill up: one that was too full stays so, and the others are examined again.
    """

    def __init__(self, what_if: WhatIf, servers: Ints, preference: Ints) -> None:
        self._what_if, self._servers, self._preference = what_if, servers, preference
        self._parts = [(0, 0)] * len(servers)
        """For each server, the part of *preference* that was examined last."""
        self._fits: list[Bools] = [np.zeros(0, dtype=np.bool_)] * len(servers)
        """For each server, which hosts of that part take it."""
        self._any = [False] * len(servers)

    def first(self, number: int) -> int | None:
        """The host that takes server *number* now, after the servers before it."""
        what_if, server = self._what_if, int(self._servers[number])
        if what_if.has_wish(server):
            return self._first_wished(server)
        while True:
            fits, begin = self._fits[number], self._parts[number][0]
            while self._any[number] and fits[best := int(fits.argmax())]:
                host = int(self._preference[begin + best])
                if what_if.still_takes(host, server):
                    return host
                fits[best] = False
            if self._parts[number][1] == len(self._preference):
                return None
            self._examine(number)

    def _examine(self, number: int) -> None:
        """Examine the next part of the hosts, for server *number* and for later servers that
        need the same part."""
        begin = self._parts[number][1]
        end = min(4 * begin or AT_FIRST, len(self._preference))
        numbers = [
            each
            for each in range(number, len(self._servers))
            if each == number or (self._parts[each][1] == begin and not self._any[each])
        ]
        hosts = self._preference[begin:end]
        pairs = self._what_if.possible_pairs(self._servers[numbers], hosts)
        any_host: Bools = np.logical_or.reduce(pairs, axis=1)
        for each, fits, some in zip(numbers, pairs, any_host.tolist(), strict=True):
            self._fits[each], self._parts[each], self._any[each] = fits, (begin, end), some

    def _first_wished(self, server: int) -> int | None:
        """The first host that satisfies the soft group of a server.  All hosts are compared."""
        what_if, hosts = self._what_if, self._preference
        fit = np.zeros(len(what_if.takers), dtype=np.bool_)
        fit[hosts] = what_if.possible_hosts(server)[hosts]
        preferred = hosts[what_if.preferred(server, fit)[hosts]]
        return int(preferred[0]) if len(preferred) else None


def relieve(
    what_if: WhatIf,
    resource: int,
    preference: Ints,
    standby: Sequence[int] = (),
    kept_free: Floats | None = None,
) -> list[int]:
    """Move servers off the hosts that use more of *resource* than they have, as long as that
    helps, to the first of *preference* that take them.

    The host with the largest excess comes first.  The smallest server that is enough leaves it, or
    else the largest.  If no host takes any server, one of *standby* begins to take servers.
    Returns the hosts of *standby* that did.  *kept_free* [H] is what plans leave free on hosts:
    using it is no overload.
    """
    enabled: list[int] = []
    free = what_if.free[:, resource]
    limit = -ROUNDING - (np.zeros(len(free)) if kept_free is None else kept_free)
    worst = np.argsort(free - limit, kind="stable")[: np.count_nonzero(free < limit)]
    for host in worst.tolist():
        while (excess := limit[host] - free[host]) > 0:
            move = _relief(what_if, host, resource, preference, excess)
            for spare in [] if move else [each for each in standby if each not in enabled]:
                if what_if.actions_left() < 2:
                    break
                what_if.takers[spare] = True
                if move := _relief(what_if, host, resource, np.array([spare]), excess):
                    enabled.append(spare)
                    what_if.other_actions += 1
                    preference = np.append(preference, spare)
                    break
                what_if.takers[spare] = False
            if move is None:
                break
            what_if.move(*move)
    return enabled


def _relief(
    what_if: WhatIf, host: int, resource: int, preference: Ints, excess: float
) -> tuple[int, int] | None:
    """(server, destination)"""
    use = what_if.demand[:, resource]
    servers = what_if.leavers_on(host)
    servers = servers[use[servers] > ROUNDING]
    enough = use[servers] >= excess
    smallest_enough = np.lexsort((np.where(enough, use[servers], -use[servers]), ~enough))
    search = _FirstFit(what_if, servers[smallest_enough], preference)
    for number, server in enumerate(servers[smallest_enough].tolist()):
        destination = search.first(number)
        if destination is not None:
            return server, destination
    return None
