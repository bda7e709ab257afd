# SPDX-License-Identifier: Apache-2.0
"""Shortening a plan that was found step by step."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Measure, Steps, rank
from watcher.model.types import Floats, Ints

COMPARED = 1_000_000
"""The most choices of moves to replace that are examined, for each number of moves."""

SINGLE, PAIRS = 10_000, 400
"""The most possible moves that are considered as a replacement, by one move and by two."""

TRIED = 5
"""The number of possible replacements that are tried, those of least memory first."""

ENOUGH = 1e-12


class Shortening:
    """Removes moves that are not needed, replaces some moves by fewer ones, or a move by one
    that copies less memory.

    *away* computes how far deviations, [M, ...], are from the goal.  *memory* [V] is what
    moves copy.
    """

    def __init__(
        self, loads: Loads, distance: Measure, away: Callable[[Floats], Floats], memory: Floats
    ) -> None:
        self._loads, self._distance, self._away, self._memory = loads, distance, away, memory
        self._budget = 0

    def run(self, most: int) -> None:
        """Replace up to *most* moves by fewer ones, as long as possible.

        If *most* is 3, cheaper plans of the same length are looked for, too.
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
        """*moves* with the *chosen* ones replaced by fewer or cheaper ones, if the loads are
        as good as before then."""
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
        """Single moves that are enough with the loads *load*, the one that copies least
        memory first; the servers in *back* can move as well."""
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
        """The same with pairs of moves."""
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
        """Servers and their destinations; in place of a single move, cheaper ones only."""
        whatif = self._loads.whatif
        servers = np.concatenate((np.flatnonzero(whatif.leavers), back)).astype(np.int64)
        if len(back) == 1:
            servers = servers[self._memory[servers] < self._memory[back[0]]]
        hosts = np.flatnonzero(whatif.takers)
        ones, others = np.repeat(servers, len(hosts)), np.tile(hosts, len(servers))
        kept = whatif.model.placement[ones] != others
        return ones[kept], others[kept]
