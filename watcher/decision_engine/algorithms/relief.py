# SPDX-License-Identifier: Apache-2.0
"""Bringing hosts below a limit of their load by moving servers off them."""

import functools
import itertools
import random
from collections.abc import Iterator

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Distance, plan
from watcher.model.types import Bools, Floats
from watcher.model.whatif import Move

AT_THE_LIMIT = 1e-6
"""The excess of a host that is exactly at the limit, because it has to be relieved, too."""

ATTEMPTS = 30
"""The number of attempts to find a plan; on a large cluster there are fewer."""

TRIED = 4_000
"""Attempts end when so many servers in all have been examined."""

CHOICE = 3
"""Later attempts choose at random between so many of the best steps."""

WORTH = 1.0
"""The least that moves off a host gain which does not get below the limit by them, in per cent."""

PERCENT = 100.0
"""The full load of one host; prices are shares of it."""


class Relief:
    """Brings the load of every host, in per cent, below the limit.

    The loads may be of several times, one after the other: then the largest counts.
    The host with the most load is relieved first, with one server if one is enough: the one
    whose departure brings it nearest to the average of all hosts; otherwise with the
    largest that some host can take.  If the number of moves is limited, the move that
    lowers the excess most comes first.  A server goes to the host with the least load of
    those that can take it.  A move has to lower the load of its source by its price.
    """

    def __init__(self, loads: Loads) -> None:
        self._loads = loads
        self._hot = self._over()
        self._largest: Floats = np.zeros(len(loads.hosts))
        self._prices: Floats = PERCENT * loads.whatif.bounds.prices(loads.whatif.model)

    def run(self) -> list[Move]:
        """Move servers until the load of every host is below the limit, or nothing helps.

        Exact on a small cluster.  On others it usually relieves all hosts if that is
        possible, but not always: that question is as hard as bin packing.
        """
        servers = max(1, int(self._loads.whatif.leavers.sum()))
        numbers = range(1 + min(ATTEMPTS, TRIED // servers))
        attempts = [functools.partial(self._descend, number) for number in numbers]
        moves = plan(self._loads, self._distance, attempts)
        useful = self._useful(moves)
        if len(useful) < len(moves):
            self._loads.replay([(move.server, move.destination) for move in useful])
        return list(self._loads.whatif.moves)

    def _useful(self, moves: list[Move]) -> list[Move]:
        """*moves* without the smallest ones off each host that stays at the limit, as long as these
        do not lower its load by ``WORTH`` together."""
        left_out, gains = set(), self._loads.share.max(axis=0)
        stuck, lost = self._over(), np.zeros(len(self._loads.hosts))
        for move in sorted(moves, key=lambda move: gains[move.server]):
            lost[move.source] += gains[move.server]
            if stuck[move.source] and lost[move.source] < WORTH:
                left_out.add(move)
        return [move for move in moves if move not in left_out]

    def go_on(self) -> None:
        """Make further moves that help, for example after the bounds were lifted."""
        self._descend(0)

    def stuck(self) -> list[int]:
        """The servers of the hosts at the limit or beyond."""
        return self._loads.servers_on(self._over())

    def _over(self) -> Bools:
        return self._loads.hosts & (self._loads.peak >= self._loads.limit)

    def _distance(self) -> Distance:
        """The excess of all hosts over the limit.  Load that moves took off a host below the limit
        counts against their cost, too.  Of equally good plans, the one with more even loads is
        better."""
        load, moves = self._loads.peak, self._loads.whatif.moves
        below = np.where(self._hot, np.maximum(self._loads.limit - load, 0), 0)
        cost = np.zeros(len(load))
        for move in moves:
            cost[move.source] += self._prices[move.server]
        unpaid = float(np.maximum(cost - below, 0).sum())
        uneven = float((load[self._loads.hosts] ** 2).sum())
        return Distance(excess(self._loads), unpaid, uneven + float(cost.sum()))

    def _descend(self, attempt: int) -> None:
        choices, draw = CHOICE if attempt else 1, random.Random(attempt)
        made = -1
        while made < len(self._loads.whatif.moves):  # a host that was relieved may take servers now
            made = len(self._loads.whatif.moves)
            self._relieve_each(choices, draw)

    def _relieve_each(self, choices: int, draw: random.Random) -> None:
        stuck: set[int] = set()
        self._largest = self._largest_shares()
        while (hot := self._next_host(stuck)) is not None:
            steps = list(itertools.islice(self._steps(hot), choices))
            if steps:
                self._loads.move(*draw.choice(steps))
                left = self._loads.whatif.leavers_on(hot)
                self._largest[hot] = self._loads.share[:, left].max(initial=0.0)
            else:
                stuck.add(hot)

    def _next_host(self, stuck: set[int]) -> int | None:
        """The host to be relieved next."""
        loads = self._loads
        left = loads.whatif.actions_left()
        if left < 1:
            return None
        load = np.where(loads.hosts, loads.peak, -np.inf)
        load[list(stuck)] = -np.inf
        if load.max(initial=-np.inf) < loads.limit:
            return None
        return int(load.argmax()) if left == np.inf else self._most_relieved(load)

    def _most_relieved(self, load: Floats) -> int:
        """The host whose excess over the limit one move lowers most."""
        limit = self._loads.limit
        over = load - limit
        relief = np.where(load >= limit, np.minimum(self._largest, over + AT_THE_LIMIT), -np.inf)
        return int(np.lexsort((-over, -relief))[0])

    def _largest_shares(self) -> Floats:
        """float [H]: the largest load that a single server can take off each host."""
        whatif = self._loads.whatif
        largest: Floats = np.zeros(len(whatif.takers))
        movable = np.flatnonzero(whatif.leavers)
        shares = self._loads.share[:, movable].max(axis=0)
        np.maximum.at(largest, whatif.placement[movable], shares)
        return largest

    def _steps(self, hot: int) -> Iterator[tuple[int, int]]:
        """(server, destination) of moves that relieve *hot*, the preferred one first."""
        loads, whatif = self._loads, self._loads.whatif
        worst = int(loads.load[:, hot].argmax())
        share = loads.share[worst]
        servers = whatif.leavers_on(hot)
        servers = servers[(share[servers] > 0) & (share[servers] >= self._prices[servers])]
        after: Floats = (loads.load[:, hot, None] - loads.share[:, servers]).max(axis=0)
        mean = loads.mean[worst]
        off_average = np.abs(loads.load[worst, hot] - share[servers] - mean)
        enough = after < loads.limit
        keys = (self._prices[servers], np.where(enough, off_average, after), ~enough)
        for number in np.lexsort(keys):
            server = int(servers[number])
            fits = loads.hosts_for(server)
            if fits.any():
                yield server, int(np.where(fits, self._loads_after(server), np.inf).argmin())

    def _loads_after(self, server: int) -> Floats:
        """float [H]: the loads by which a host is chosen for *server*; with several times, the
        largest one after its move, because hosts have theirs at different times."""
        load = self._loads.load
        if len(load) == 1:
            return load[0]
        after: Floats = load + self._loads.use[:, server, None] / self._loads.size
        return after.max(axis=0)


def excess(loads: Loads) -> float:
    """The excess of all hosts over the limit."""
    load = loads.peak[loads.hosts]
    over = load[load >= loads.limit] - loads.limit
    return float((over + AT_THE_LIMIT).sum())
