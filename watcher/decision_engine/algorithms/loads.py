# SPDX-License-Identifier: Apache-2.0
"""The loads of hosts while servers move between them."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from watcher.model import undone
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.compute import ComputeModel
from watcher.model.types import Bools, Floats, Ints
from watcher.model.undone import Undone
from watcher.model.whatif import WhatIf

EXACT = 1e-3
"""Deviations below this are not computed from sums of squares, as few digits would be left."""

Values = Sequence[Sequence[float | None]] | Floats

Sums = tuple[Floats, Floats]
"""[M] and [M]: of the loads, and of their squares."""


class Loads:
    """The loads of a cluster's hosts, by M metrics, on top of a what-if.

    For each metric the *use* and *size* of every host of *model* are given, in one unit
    ([M, H], None where unknown). Hosts that are not available, or without a value, are left
    out.  No move may bring a host to *limit* or beyond, including *unknown*: what its
    servers without measured values may use.

    ``whatif``  the moves made, and the moves that are still possible
    ``hosts``   bool [H], those that take part
    ``load``    float [M, H], use / size; 0 for hosts that take no part
    ``share``   float [M, V], each server's part of the load of the host it began on
    ``use``     float [M, V]
    """

    def __init__(
        self,
        model: ComputeModel,
        use: Values,
        size: Values,
        limit: float = math.inf,
        bounds: Bounds = UNBOUND,
        unknown: Values | None = None,
    ) -> None:
        self.whatif = WhatIf(model, bounds=bounds)
        with np.errstate(divide="ignore", invalid="ignore"):
            load = array(use) / array(size)
        self.hosts: Bools = model.available & np.isfinite(load).all(axis=0)
        self._missing: Bools = model.available & ~self.hosts & (array(size) > 0).all(axis=0)
        self.load: Floats = np.where(self.hosts, load, 0.0)
        self.size: Floats = np.where(self.hosts, array(size), 1.0)
        self._below: Floats = np.full_like(self.load, limit)
        """float [M, H]: the load that no move may bring a host to."""
        if unknown is not None:
            self._below -= array(unknown) / self.size
        self.whatif.takers &= self.hosts
        self.whatif.keep(~self.hosts[model.placement], undone.NOT_MEASURED)
        self.use: Floats = np.zeros((len(load), len(model.servers)))
        self.share = self.use
        self.limit, self._count = limit, max(1, int(self.hosts.sum()))
        self._sums: Sums = (self.load.sum(axis=1), (self.load**2).sum(axis=1))
        self._deviation: Floats | None = None
        self._before: list[tuple[list[int], Floats, Sums]] = []

    def measure(self, use: Values) -> None:
        """Set what servers use, [M, V], in the unit of the sizes.

        A server of which a value is unknown stays where it is.
        """
        values = array(use)
        known = np.isfinite(values)
        self.whatif.keep(np.flatnonzero(~known.all(axis=0)), undone.NOT_MEASURED)
        self.use = np.where(known, values, 0.0)
        self.share = self.use / self.size[:, self.whatif.placement]

    def hosts_for(self, server: int, among: Ints | slice = slice(None)) -> Bools:
        """bool [H], or of hosts *among*: those that could take *server* now."""
        after = self.load[:, among] + self.use[:, server, None] / self.size[:, among]
        below = (after < self._below[:, among]).all(axis=0)
        fit: Bools = self.whatif.possible_hosts(server, among) & below
        return self.whatif.preferred(server, fit, among)

    def move(self, server: int, destination: int) -> None:
        """Make a move that ``hosts_for`` has allowed."""
        pair = [int(self.whatif.placement[server]), destination]
        before = self.load[:, pair]
        self._before.append((pair, before, self._sums))
        self.load[:, pair[0]] -= self.share[:, server]
        self.load[:, destination] += self.use[:, server] / self.size[:, destination]
        after, (total, squares) = self.load[:, pair], self._sums
        change = after - before
        self._sums = total + change.sum(axis=1), squares + (change * (after + before)).sum(axis=1)
        self.whatif.move(server, destination)
        self._deviation = None

    def undo(self, count: int) -> None:
        """Take moves back until *count* are left."""
        self.whatif.undo(count)
        self._deviation = None
        while len(self._before) > count:
            pair, load, self._sums = self._before.pop()
            self.load[:, pair] = load

    def explain(self, servers: Iterable[int]) -> list[Undone]:
        """Why *servers* stay where they are, grouped by reason; those that have moved are
        left out."""
        moved = {move.server for move in self.whatif.moves}
        return self.whatif.explain(
            (server for server in servers if server not in moved),
            lambda server: undone.NO_GAIN if self.hosts_for(server).any() else undone.LIMIT,
        )

    @property
    def deviation(self) -> Floats:
        """float [M]: the standard deviations over hosts, with the moves made."""
        if self._deviation is None:
            self._deviation = self.deviations_of(*self._sums)
            if self.hosts.any() and (self._deviation < EXACT).any():
                self._deviation = self.load[:, self.hosts].std(axis=1)
        return self._deviation

    def deviations(self, *changes: tuple[Floats, Floats]) -> Floats:
        """float [M, ...]: the standard deviations over hosts when loads change.

        Each change is the added load and the present load of a host, both [M, ...].
        """
        total, squares = self._sums
        dimensions = max((change[0].ndim for change in changes), default=1) - 1
        total = total.reshape(-1, *(1,) * dimensions)
        squares = squares.reshape(total.shape)
        for more, there in changes:
            total, squares = total + more, squares + more * (more + 2 * there)
        return self.deviations_of(total, squares)

    def deviations_of(self, total: Floats, squares: Floats) -> Floats:
        """The same, computed from the sums of the loads and of their squares."""
        hosts = self._count
        return np.sqrt(np.maximum(squares / hosts - (total / hosts) ** 2, 0))

    @property
    def mean(self) -> Floats:
        """float [M]: the mean loads of the hosts, with the moves made."""
        return self._sums[0] / self._count

    @property
    def peak(self) -> Floats:
        """float [H]: the largest load of each host, over the metrics."""
        return self.load.max(axis=0)

    def undone(
        self, go_on: Callable[[], object], stuck: Callable[[], Iterable[int]]
    ) -> list[Undone]:
        """The servers that are left undone.  Servers that *go_on* moves without bounds have to
        wait; servers that are *stuck* after that stay."""
        count, bounds = len(self.whatif.moves), self.whatif.bounds
        if self.whatif.is_bound():
            self.whatif.bounds = UNBOUND
            go_on()
        found = [*self.whatif.waiting(count), *self.explain(stuck())]
        self.whatif.bounds = bounds
        self.undo(count)
        return found

    def unmeasured(self) -> list[Undone]:
        """The available hosts that were not measured, without those of no size."""
        hosts = itertools.compress(self.whatif.model.hosts, self._missing)
        return undone.grouped(((each.hostname, undone.NOT_MEASURED) for each in hosts), "hosts")

    def servers_on(self, hosts: Bools) -> list[int]:
        """The servers that are on *hosts*, a mask, with the moves made."""
        return np.flatnonzero(hosts[self.whatif.placement]).tolist()

    def replay(self, moves: Sequence[tuple[int, int]]) -> None:
        """Make the moves made equal to *moves* (server, destination): undo others, make what
        is missing."""
        for server, destination in moves[self._keep_first(moves) :]:
            self.move(server, destination)

    def attempt(self, moves: Sequence[tuple[int, int]]) -> bool:
        """As ``replay``, with *moves* that may break rules.  False at the first move that breaks
        one; that move and later ones are not made."""
        for server, destination in moves[self._keep_first(moves) :]:
            if not self.hosts_for(server)[destination]:
                return False
            self.move(server, destination)
        return True

    def _keep_first(self, moves: Sequence[tuple[int, int]]) -> int:
        """Undo moves from the first one on that differs from *moves*.  Returns how many are
        left."""
        pairs = zip(self.whatif.moves, moves, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0][::2] == pair[1], pairs))
        self.undo(same)
        return same


def array(values: Values | Sequence[float | None]) -> Floats:
    """None becomes NaN."""
    return np.array(values, dtype=np.float64)
