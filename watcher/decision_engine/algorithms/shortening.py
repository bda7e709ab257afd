# SPDX-License-Identifier: Apache-2.0
"""Making a plan shorter that was found step by step."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Measure, Steps, rank
from watcher.model.types import Floats, Ints

COMPARED = 1_000_000
"""Ends of plans that are looked at, at most, for each number of moves that may be replaced."""

SINGLE, PAIRS = 10_000, 400
"""Possible moves, at most, of which one or two are looked for in the place of others."""

TRIED = 5
"""Of the moves that may stand for others so many are tried, those of least memory first."""

ENOUGH = 1e-12


class Shortening:
    """Leaves out moves that are not needed, and puts fewer moves in the place of some, or one
    that copies less memory in the place of another.

    *away* says how far deviations, [M, ...], are from where they should be.  *memory* [V] is
    what moves copy.
    """

    def __init__(
        self, loads: Loads, distance: Measure, away: Callable[[Floats], Floats], memory: Floats
    ) -> None:
        self._loads, self._distance, self._away, self._memory = loads, distance, away, memory
        self._budget = 0

    def run(self, most: int) -> None:
        """Put fewer moves in the place of up to *most* ones, as long as that can be done.

        Of plans of one length the cheaper one is looked for if *most* is 3.
        """
        whatif, self._budget = self._loads.whatif, most * COMPARED
        if whatif.leavers.sum() * whatif.takers.sum() > SINGLE:
            return
        while self._distance().away == 0 and self._improve(most):
            pass

    def _improve(self, most: int) -> bool:
        moves = tuple((move.server, move.destination) for move in self._loads.whatif.moves)
        best = rank(self._distance, moves)[:3]
        for number in range(1, min(most, len(moves)) + 1):
            for chosen in itertools.combinations(range(len(moves)), number):
                for other in self._instead(moves, chosen, cheaper=most > 2):
                    if self._loads.attempt(other) and rank(self._distance, other)[:3] < best:
                        return True
                    self._loads.replay(moves)
                if self._budget < 0:
                    return False
        return False

    def _instead(self, moves: Steps, chosen: Sequence[int], *, cheaper: bool) -> Iterator[Steps]:
        """*moves* without the *chosen* ones, and with fewer or cheaper ones in their place, as
        far as the loads are as they should be then."""
        made = [self._loads.whatif.moves[number] for number in chosen]
        load = self._loads.load.copy()
        for server, source, destination in made:
            load[:, source] += self._loads.share[:, server]
            load[:, destination] -= self._loads.use[:, server] / self._loads.size[:, destination]
        rest = tuple(move for number, move in enumerate(moves) if number not in chosen)
        back = [move.server for move in made]
        if len(made) == 1:
            if self._away(self._loads.deviations(load=load)) <= ENOUGH:
                yield rest
            if not cheaper:
                return
        for others in (self._two if len(made) > 2 else self._one)(load, back):
            yield (*rest, *others)
            yield (*others, *rest)

    def _one(self, load: Floats, back: Sequence[int]) -> Iterator[Steps]:
        """A move that is enough from *load* on, with the servers that are *back* among those
        that can move; the ones that copy least memory first."""
        servers, hosts = self._candidates(back)
        self._budget -= len(servers)
        home = self._loads.whatif.model.placement[servers]
        after = self._loads.deviations(
            (-self._loads.share[:, servers], load[:, home]),
            (self._loads.use[:, servers] / self._loads.size[:, hosts], load[:, hosts]),
            load=load,
        )
        (found,) = np.nonzero(self._away(after) <= ENOUGH)
        for number in found[np.argsort(self._memory[servers[found]], kind="stable")][:TRIED]:
            yield ((int(servers[number]), int(hosts[number])),)

    def _two(self, load: Floats, back: Sequence[int]) -> Iterator[Steps]:
        """The same with two moves."""
        servers, hosts = self._candidates(back)
        if len(servers) > PAIRS:
            return
        self._budget -= len(servers) ** 2
        changes = np.zeros((len(load), len(servers), load.shape[1]))
        numbers, home = np.arange(len(servers)), self._loads.whatif.model.placement[servers]
        changes[:, numbers, home] = -self._loads.share[:, servers]
        changes[:, numbers, hosts] += self._loads.use[:, servers] / self._loads.size[:, hosts]
        total, squares = changes.sum(axis=2), (changes * (changes + 2 * load[:, None])).sum(axis=2)
        squares = squares[:, :, None] + squares[:, None]
        squares += 2 * np.einsum("mih,mjh->mij", changes, changes)
        total = total[:, :, None] + total[:, None] + load.sum(axis=1)[:, None, None]
        squares += (load**2).sum(axis=1)[:, None, None]
        away = self._away(self._loads.deviations_of(total, squares))
        away[servers[:, None] >= servers] = np.inf
        found = np.argwhere(away <= ENOUGH)
        memory = self._memory[servers[found]].sum(axis=1)
        for pair in found[np.argsort(memory, kind="stable")][:TRIED]:
            moves = tuple((int(servers[each]), int(hosts[each])) for each in pair)
            yield moves
            yield moves[::-1]

    def _candidates(self, back: Sequence[int]) -> tuple[Ints, Ints]:
        """Servers and their destinations; in the place of one move only cheaper ones."""
        whatif = self._loads.whatif
        servers = np.concatenate((np.flatnonzero(whatif.leavers), back)).astype(np.int64)
        if len(back) == 1:
            servers = servers[self._memory[servers] < self._memory[back[0]]]
        hosts = np.flatnonzero(whatif.takers)
        ones, others = np.repeat(servers, len(hosts)), np.tile(hosts, len(servers))
        kept = whatif.model.placement[ones] != others
        return ones[kept], others[kept]
