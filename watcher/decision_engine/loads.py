# SPDX-License-Identifier: Apache-2.0
"""What hosts have to do, while servers move between them."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Bools, Floats
from watcher.decision_engine.whatif import Move, WhatIf

Values = Sequence[Sequence[float | None]]

SMALL = 5000.0
"""In how many ways servers may be spread over hosts for all of them to be looked at."""

Distance = Callable[[], tuple[float, float]]
"""How far the loads are from where they should be (0: there), and which of two plans of
one length and distance is better: the one with less of this."""


class Loads:
    """The loads of a cluster's hosts, by M metrics, on top of a what-if.

    For each metric the *use* and *size* of every host of *model* are given, in one unit
    ([M, H], None where unknown).  Hosts that are not available, or that lack a value,
    take no part.  No move may bring a host to *limit* or beyond.

    ``whatif``  what is possible still, and the moves made
    ``hosts``   bool [H], those that take part
    ``load``    float [M, H], use / size; 0 for hosts that take no part
    ``share``   float [M, V], each server's part of the load of the host it began on
    ``use``     float [M, V]
    """

    def __init__(
        self, model: ComputeModel, use: Values, size: Values, limit: float = math.inf
    ) -> None:
        self.whatif = WhatIf(model)
        with np.errstate(divide="ignore", invalid="ignore"):
            load = _array(use) / _array(size)
        self.hosts: Bools = model.available & np.isfinite(load).all(axis=0)
        self.load: Floats = np.where(self.hosts, load, 0.0)
        self.size: Floats = np.where(self.hosts, _array(size), 1.0)
        self.whatif.takers &= self.hosts
        self.whatif.leavers &= self.hosts[model.placement]
        self.use: Floats = np.zeros((len(load), len(model.servers)))
        self.share = self.use
        self.limit = limit
        self._before: list[tuple[list[int], Floats]] = []

    def measure(self, use: Values) -> None:
        """Say what servers take, [M, V], in the unit of the sizes.

        A server of which a value is unknown stays where it is.
        """
        values = _array(use)
        known = np.isfinite(values)
        self.whatif.leavers &= known.all(axis=0)
        self.use = np.where(known, values, 0.0)
        self.share = self.use / self.size[:, self.whatif.placement]

    def hosts_for(self, server: int) -> Bools:
        """bool [H]: the hosts that could take *server* now."""
        after = self.load + self.use[:, server, None] / self.size
        fit: Bools = self.whatif.hosts_for(server) & (after < self.limit).all(axis=0)
        return fit

    def move(self, server: int, destination: int) -> None:
        """Make a move that ``hosts_for`` has allowed."""
        pair = [int(self.whatif.placement[server]), destination]
        self._before.append((pair, self.load[:, pair]))
        self.load[:, pair[0]] -= self.share[:, server]
        self.load[:, destination] += self.use[:, server] / self.size[:, destination]
        self.whatif.move(server, destination)

    def undo(self, count: int) -> None:
        """Take moves back until *count* are left."""
        self.whatif.undo(count)
        while len(self._before) > count:
            pair, load = self._before.pop()
            self.load[:, pair] = load

    def replay(self, moves: Sequence[tuple[int, int]]) -> None:
        """Begin anew, and make *moves* (server, destination)."""
        self.undo(0)
        for server, destination in moves:
            self.move(server, destination)


def is_small(loads: Loads) -> bool:
    """Whether ``fewest_moves`` can look at everything in a second or so."""
    hosts, servers = loads.whatif.takers.sum(), loads.whatif.leavers.sum()
    return bool(servers * np.log(max(hosts, 1)) <= math.log(SMALL))


def fewest_moves(loads: Loads, distance: Distance) -> list[Move]:
    """The shortest plan of those that come nearest; *loads* are left as it makes them.

    Goes through all that can be reached with one move, with two, and so on, and ends
    when *distance* is 0 or there is nothing left, so the answer is exact.  The moves
    may go by way of loads that are worse.  Time and memory grow as hosts ^ servers.
    """
    plan: tuple[tuple[int, int], ...] = ()
    best, level = _rank(distance, plan), [plan]
    while level and best[0] > 0:
        level = list(_longer(loads, level))
        for moves in level:
            loads.replay(moves)
            rank = _rank(distance, moves)
            if rank < best:
                best, plan = rank, moves
    loads.replay(plan)
    return list(loads.whatif.moves)


def _longer(
    loads: Loads, level: Sequence[tuple[tuple[int, int], ...]]
) -> Sequence[tuple[tuple[int, int], ...]]:
    """Plans of one move more.  Of those that end alike only the first is kept."""
    ends: dict[frozenset[tuple[int, int]], tuple[tuple[int, int], ...]] = {}
    for moves in level:
        loads.replay(moves)
        for server in np.flatnonzero(loads.whatif.leavers).tolist():
            for host in np.flatnonzero(loads.hosts_for(server)).tolist():
                longer = (*moves, (server, host))
                ends.setdefault(frozenset(longer), longer)
    return list(ends.values())


def _rank(
    distance: Distance, moves: Sequence[tuple[int, int]]
) -> tuple[float, int, float, tuple[tuple[int, int], ...]]:
    away, tie = distance()
    # What differs in the last digits only is alike.
    return round(away, 9), len(moves), round(tie, 9), tuple(moves)


def _array(values: Values | Floats) -> Floats:
    """None becomes NaN."""
    return np.array(values, dtype=np.float64)
