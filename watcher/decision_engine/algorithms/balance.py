# SPDX-License-Identifier: Apache-2.0
"""Evening out the load of hosts by moving servers: arithmetic on arrays.

Shapes: M metrics, H hosts, V servers.
"""

from collections.abc import Sequence

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Distance, RandomChoice, plan
from watcher.model.types import Bools, Floats, Ints
from watcher.model.whatif import Move

MARGIN = 0.99
"""Where there is much to choose from, balancing goes on to this share of a threshold, or
else the next small change of load would put the cluster over it again."""

LEAST_GAIN = 1e-7
"""A move must lower the weighted deviation by more than this: far above the rounding
errors of the sums, far below what a useful move gains."""

ROUNDING = 1e-9
"""A deviation is above its threshold if it is so by more than this."""

EXCHANGES = 1_000_000
"""Pairs of servers that are compared at most to exchange two of them."""

TRIED = 20
"""Of the exchanges of a host that gain most, so many are checked against the rules."""


class Balance:
    """Brings the standard deviation of each metric's loads to its threshold.

    What is minimised is the sum of the deviations, each times its weight; a metric
    without weight has no threshold either.

    A move has to lower that sum by its price, a share of a host's load: spread over all
    hosts, as for a few of them their number times the deviation is about the sum of their
    distances from the mean.  An exchange of two servers has the price of both.
    """

    def __init__(self, loads: Loads, thresholds: Sequence[float], weights: Sequence[float]) -> None:
        self._loads, self._hosts, self._budget = loads, int(loads.hosts.sum()), EXCHANGES
        self._weights: Floats = np.array(weights, dtype=np.float64)
        limits = np.array(thresholds, dtype=np.float64)
        self.thresholds: Floats = np.where(self._weights > 0, limits, np.inf)
        prices = loads.whatif.bounds.prices(loads.whatif.model)
        share = self._weights.max(initial=0.0) / max(self._hosts, 1)
        self._costs: Floats = prices * share
        """float [V]: what a move of each server has to lower the weighted sum by."""

    def deviations(self) -> Floats:
        """float [M]: the population standard deviation of the hosts' loads."""
        loads = self._loads.load[:, self._loads.hosts]
        return loads.std(axis=1) if self._hosts else np.zeros(len(loads))

    def exceeded(self) -> Bools:
        """bool [M]: the metrics that deviate by more than their threshold."""
        return self.deviations() > self.thresholds + ROUNDING

    def run(self) -> list[Move]:
        """Move servers until no deviation is over its threshold, or nothing helps.

        Exact on a small cluster.  On others every step takes the move that gains most
        and, where no move gains, the exchange of two servers that does.  That reaches
        what can be reached only as a rule: whether it can is a question as hard as
        packing.
        """
        return plan(self._loads, self._distance, self._descend)

    def go_on(self) -> None:
        """Make the moves that gain still, if the bounds were lifted, say."""
        self._descend(RandomChoice(0))

    def uneven(self) -> list[int]:
        """The servers of the hosts that are above the mean of a metric that deviates too much."""
        load = self._loads.load[self.exceeded()]
        mean = load.sum(axis=1, keepdims=True) / max(self._hosts, 1)
        return self._loads.servers_on(self._loads.hosts & (load > mean).any(axis=0))

    def _descend(self, rng: RandomChoice) -> None:
        moves = -1
        while moves < len(self._loads.whatif.moves):
            moves = len(self._loads.whatif.moves)
            self._move_singly(rng)
            while self.exceeded().any() and self._exchange():
                pass

    def _distance(self) -> Distance:
        """In order, what was gained below the thresholds pays for moves, too."""
        deviations = self.deviations()
        over = deviations - self.thresholds
        cost = float(self._costs[[move.server for move in self._loads.whatif.moves]].sum())
        spare = 0.0 if (over > ROUNDING).any() else -float(over[np.isfinite(over)].sum())
        over[over <= ROUNDING] = 0
        return Distance(
            float(over.sum()), max(0.0, cost - spare), float(self.weighted(deviations)) + cost
        )

    def _move_singly(self, rng: RandomChoice) -> None:
        """Make the moves that lower the weighted deviation, the best one first."""
        loads, wanted = self._loads, MARGIN * self.thresholds
        takers = loads.whatif.takers.copy()
        while takers.any() and loads.whatif.actions_left() >= 1 and self._is_above(wanted):
            coldest = int(np.argmin(np.where(takers, self._slope(), np.inf)))
            server = self._good_server(coldest, rng)
            if server is None:
                takers[coldest] = False
                continue
            source = loads.whatif.placement[server]
            loads.move(server, self._best_host(server))
            takers[source] = loads.whatif.takers[source]  # it has more room now

    def _is_above(self, wanted: Floats) -> bool:
        return bool((self.deviations() > wanted).any())

    def _slope(self) -> Floats:
        """float [H]: by how much a little more load raises the weighted deviation."""
        deviations = self.deviations()[:, None]
        above = self._loads.load - self._loads.load.sum(axis=1, keepdims=True) / self._hosts
        slope = np.divide(above, deviations, out=np.zeros_like(above), where=deviations > 0)
        return self.weighted(slope)

    def _good_server(self, host: int, rng: RandomChoice) -> int | None:
        """A server that gains most by a move to *host*, or nearly so; None if none gains."""
        loads = self._loads
        after = self._after(
            (-loads.share, np.take(loads.load, loads.whatif.placement, axis=1)),
            (loads.use / loads.size[:, host, None], loads.load[:, host, None]),
        )
        least = np.maximum(self._costs, LEAST_GAIN)
        gains = loads.whatif.servers_for(host) & (after <= self._now() - least)
        count = int(gains.sum())
        if not count:
            return None
        after += self._costs
        after[~gains] = np.inf
        number = rng.pick(count)
        return int(np.argpartition(after, number)[number] if number else after.argmin())

    def _best_host(self, server: int) -> int:
        """The host to which a move of *server* gains most."""
        loads = self._loads
        source = loads.whatif.placement[server]
        after = self._after(
            (-loads.share[:, server, None], loads.load[:, source, None]),
            (loads.use[:, server, None] / loads.size, loads.load),
        )
        return int(np.argmin(np.where(loads.hosts_for(server), after, np.inf)))

    def _exchange(self) -> bool:
        """Exchange two servers, so that the weighted deviation goes down, if that can be."""
        whatif = self._loads.whatif
        if whatif.actions_left() < 2:
            return False
        for host in np.argsort(-self._slope(), kind="stable"):
            here = whatif.placement == host
            own = np.flatnonzero(whatif.leavers & here)
            others = np.flatnonzero(whatif.leavers & ~here & whatif.takers[whatif.placement])
            self._budget -= len(own) * len(others)
            if self._budget < 0:
                return False
            if any(self._swap(*pair) for pair in self._gaining(int(host), own, others)):
                return True
        return False

    def _gaining(self, host: int, own: Ints, others: Ints) -> Sequence[tuple[int, int]]:
        """The exchanges of *own* servers of a *host* for *others* that gain most."""
        loads = self._loads
        if not len(own) or not len(others):
            return []
        there = loads.whatif.placement[others]
        mine, theirs = own[:, None], others[None, :]
        comes = loads.use[:, theirs] / loads.size[:, host, None, None]
        goes = loads.use[:, mine] / loads.size[:, None, there]
        after = self._after(
            (comes - loads.share[:, mine], loads.load[:, host, None, None]),
            (goes - loads.share[:, theirs], loads.load[:, None, there]),
        )
        costs = self._costs[mine] + self._costs[theirs]
        after += costs
        best = np.argsort(after, axis=None, kind="stable")[:TRIED]
        pairs = [divmod(int(pair), len(others)) for pair in best]
        limit = self._now() - np.maximum(2 * LEAST_GAIN - costs, 0)
        return [(int(own[a]), int(others[b])) for a, b in pairs if after[a, b] < limit[a, b]]

    def _swap(self, one: int, other: int) -> bool:
        """Exchange two servers by two moves, if there is an order in which that works."""
        whatif = self._loads.whatif
        homes = {one: int(whatif.placement[one]), other: int(whatif.placement[other])}
        for first, second in ((one, other), (other, one)):
            count = len(whatif.moves)
            if not self._loads.hosts_for(first)[homes[second]]:
                continue
            self._loads.move(first, homes[second])
            if self._loads.hosts_for(second)[homes[first]]:
                self._loads.move(second, homes[first])
                return True
            self._loads.undo(count)
        return False

    def _now(self) -> float:
        return float(self.weighted(self.deviations()))

    def _after(self, *changes: tuple[Floats, Floats]) -> Floats:
        """float [...]: the weighted deviation when hosts' loads change.

        Each change is what comes to a host and the load that is there, both [M, ...].
        """
        load, hosts = self._loads.load, self._hosts
        total, squares = load.sum(axis=1), (load**2).sum(axis=1)
        dimensions = max(change[0].ndim for change in changes) - 1
        total = total.reshape(-1, *(1,) * dimensions)
        squares = squares.reshape(total.shape)
        for more, there in changes:
            total, squares = total + more, squares + more * (more + 2 * there)
        variance = squares / hosts - (total / hosts) ** 2
        return self.weighted(np.sqrt(np.maximum(variance, 0)))

    def weighted(self, values: Floats) -> Floats:
        """The weighted sum over metrics: [M, ...] to [...]."""
        # Not a product of matrices: the threads that a BLAS starts for one cost more.
        total: Floats = (values * self._weights.reshape(-1, *(1,) * (values.ndim - 1))).sum(axis=0)
        return total
