# SPDX-License-Identifier: Apache-2.0
"""Evening out the load of hosts by moving servers: arithmetic on arrays.

Shapes: M metrics, H hosts, V servers.
"""

import operator
from collections.abc import Sequence

import numpy as np

from watcher.decision_engine.algorithms.beam import LEAST_GAIN, Beam, is_small
from watcher.decision_engine.algorithms.likely import LikelyMoves
from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Distance, plan
from watcher.model.compute import MEMORY
from watcher.model.types import Bools, Floats, Ints
from watcher.model.whatif import Move

NEAR = 0.02
"""Moves whose gains differ by no more than this share of the best one count as equal. Of
these, the one that copies least memory is made."""

ROUNDING = 1e-9
"""A deviation is above its threshold if it exceeds it by more than this."""

EXCHANGES = 1_000_000
"""The most pairs of servers that are compared to find an exchange."""

TRIED = 20
"""How many of the best exchanges of a host are checked against the rules."""


class Balance:
    """Brings the standard deviation of each metric's loads to its goal, which is its threshold
    less the hysteresis of the bounds.

    It minimises the weighted sum of the amounts by which deviations exceed their
    goals; of equally good plans it prefers fewer moves, then less memory to copy.  A
    metric without weight has no threshold either.

    A move has to lower the weighted deviations by its price, which is a share of a host's load,
    divided by the number of hosts: for a few hosts, that number times the deviation is about the
    sum of their distances from the mean.  An exchange of two servers has the price of both.
    """

    def __init__(self, loads: Loads, thresholds: Sequence[float], weights: Sequence[float]) -> None:
        self._loads, self._hosts, self._budget = loads, int(loads.hosts.sum()), EXCHANGES
        self._weights: Floats = np.array(weights, dtype=np.float64)
        limits = np.array(thresholds, dtype=np.float64)
        self.thresholds: Floats = np.where(self._weights > 0, limits, np.inf)
        self._goals = self.thresholds * (1 - loads.whatif.bounds.hysteresis)
        prices = loads.whatif.bounds.prices(loads.whatif.model)
        share = self._weights.max(initial=0.0) / max(self._hosts, 1)
        self._costs: Floats = prices * share
        """float [V]: by how much a move of each server has to lower the weighted sum."""
        self._memory: Floats = loads.whatif.demand[:, MEMORY].copy()

    def deviations(self) -> Floats:
        """float [M]: the population standard deviation of the hosts' loads."""
        return self._loads.deviation

    def exceeded(self) -> Bools:
        """bool [M]: the metrics that deviate by more than their threshold."""
        return self.deviations() > self.thresholds + ROUNDING

    def run(self) -> list[Move]:
        """Move servers until no deviation is over its goal, or nothing helps.

        Exact on a tiny cluster.  On others each step makes the move that gains most, or an
        exchange of two servers if no move gains; on small ones a beam search is tried as
        well.  This usually reaches the goals if they can be reached, but not always:
        that question is as hard as bin packing.
        """
        attempts = (self._search, self.go_on) if is_small(self._loads) else (self.go_on,)
        return plan(self._loads, self._distance, attempts)

    def go_on(self) -> None:
        """Make further moves that gain, for example after the bounds were lifted."""
        moves = -1
        while moves < len(self._loads.whatif.moves):
            moves = len(self._loads.whatif.moves)
            self._move_singly()
            while self.exceeded().any() and self._exchange():
                pass

    def uneven(self) -> list[int]:
        """The servers of the hosts that are above the mean of a metric that deviates too much."""
        load = self._loads.load[self.exceeded()]
        mean = load.sum(axis=1, keepdims=True) / max(self._hosts, 1)
        return self._loads.servers_on(self._loads.hosts & (load > mean).any(axis=0))

    def _search(self) -> None:
        # This continues from a step that a rule forbids which the search does not know.
        self._loads.attempt(Beam(self._loads, self._over, self._costs).plan())
        self.go_on()

    def _distance(self) -> Distance:
        """The distance to the goals.  Below them, further gains still count against the cost of
        moves."""
        deviations = self.deviations()
        over = deviations - self._goals
        moved = [move.server for move in self._loads.whatif.moves]
        cost = float(self._costs[moved].sum())
        spare = 0.0 if (over > ROUNDING).any() else -float(over[np.isfinite(over)].sum())
        over[over <= ROUNDING] = 0
        memory = float(self._memory[moved].sum())
        return Distance(float(over.sum()), max(0.0, cost - spare), memory)

    def _move_singly(self) -> None:
        """Make the moves that lower the deviations, the best one first."""
        loads, likely = self._loads, LikelyMoves(self._loads)
        takers = loads.whatif.takers.copy()
        while (
            takers.any()
            and loads.whatif.actions_left() >= 1
            and (self.deviations() > self._goals).any()
        ):
            slope = self._slope()
            coldest = int(np.where(takers, slope, np.inf).argmin())
            server = self._good_server(coldest, likely.servers(coldest, slope))
            if server is None:
                takers[coldest] = False
                continue
            host = self._best_host(server, likely.hosts(server, coldest, slope))
            if host is None:
                takers[coldest] = False
                continue
            source = int(loads.whatif.placement[server])
            loads.move(server, host)
            likely.server_left(source)
            takers[source] = loads.whatif.takers[source]  # it has more room after the exchange

    def _slope(self) -> Floats:
        """float [H]: the slope of the deviations that are too large, by the load of each host,
        apart from what is the same for all."""
        deviations = self.deviations()
        factors = np.zeros(len(deviations))
        above = deviations > self._goals
        np.divide(self._weights, deviations, out=factors, where=above & (deviations > 0))
        return _sum(factors, self._loads.load)

    def _good_server(self, host: int, servers: Ints) -> int | None:
        """One of *servers* whose move to *host* gains most, or nearly so; None if no move gains."""
        loads = self._loads
        share, use = loads.share.take(servers, axis=1), loads.use.take(servers, axis=1)
        there = loads.load.take(loads.whatif.placement[servers], axis=1)
        after = loads.deviations(
            (-share, there), (use / loads.size[:, host, None], loads.load[:, host, None])
        )
        fits = loads.whatif.servers_for(host, servers)
        return self._pick(servers, after, fits)

    def _pick(self, servers: Ints, after: Floats, fits: Bools) -> int | None:
        """One of *servers*, with deviations *after* [M, n], whose move gains most or nearly so."""
        now, costs = self.deviations(), self._costs[servers]
        gains = fits & (self._counted(after) <= self._counted(now) - np.maximum(costs, LEAST_GAIN))
        if not gains.any():
            return None
        over = np.where(gains, self._over(after) + costs, np.inf)
        least = float(over.min())
        alike = over <= least + NEAR * max(float(self._over(now)) - least, 0.0)
        return int(servers[np.where(alike, self._memory[servers], np.inf).argmin()])

    def _best_host(self, server: int, hosts: Ints) -> int | None:
        """The one of *hosts* to which a move of *server* gains most.  None if no move gains: the
        wishes of its group may forbid the one that does."""
        loads = self._loads
        source = loads.whatif.placement[server]
        after = loads.deviations(
            (-loads.share[:, server, None], loads.load[:, source, None]),
            (
                loads.use[:, server, None] / loads.size.take(hosts, axis=1),
                loads.load.take(hosts, axis=1),
            ),
        )
        over = np.where(loads.hosts_for(server, hosts), self._over(after), np.inf)
        alike = over <= over.min() + ROUNDING
        counted = np.where(alike & np.isfinite(over), self._counted(after), np.inf)
        cost = max(float(self._costs[server]), LEAST_GAIN)
        if counted.min() > float(self._counted(self.deviations())) - cost:
            return None
        return int(hosts[counted.argmin()])

    def _exchange(self) -> bool:
        """Exchange two servers so that the deviations decrease, if possible."""
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
        after = loads.deviations(
            (comes - loads.share[:, mine], loads.load[:, host, None, None]),
            (goes - loads.share[:, theirs], loads.load[:, None, there]),
        )
        costs = self._costs[mine] + self._costs[theirs]
        counted, over = self._counted(after) + costs, self._over(after) + costs
        best = np.argsort(over, axis=None, kind="stable")[:TRIED]
        pairs = [divmod(int(pair), len(others)) for pair in best]
        limit = self._counted(self.deviations()) - np.maximum(2 * LEAST_GAIN - costs, 0)
        return [(int(own[a]), int(others[b])) for a, b in pairs if counted[a, b] < limit[a, b]]

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

    def _over(self, deviations: Floats) -> Floats:
        """[M, ...] to [...]: the weighted sum of the amounts above the goals."""
        return _sum(self._weights, _above(deviations, self._goals))

    def _counted(self, deviations: Floats) -> Floats:
        """[M, ...] to [...]: the same, but of the whole deviations that are too large now.

        What a move gains below the goal pays for it, too.
        """
        too_large = self.deviations() > self._goals
        return _sum(self._weights, _above(deviations, np.where(too_large, 0.0, self._goals)))

    def weighted(self, values: Floats) -> Floats:
        """The weighted sum over metrics: [M, ...] to [...]."""
        return _sum(self._weights, values)


def _above(values: Floats, limits: Floats) -> Floats:
    """[M, ...] and [M]: by how much values are above their limits."""
    return np.maximum(values - limits.reshape(-1, *(1,) * (values.ndim - 1)), 0)


def _sum(weights: Floats, values: Floats) -> Floats:
    """[M] and [M, ...] to [...]."""
    # Metric by metric, as there are few. The threads of a BLAS would cost more.
    return sum(map(operator.mul, weights.tolist(), values))
