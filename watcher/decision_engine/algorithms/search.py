# SPDX-License-Identifier: Apache-2.0
"""Finding the moves after which the loads of hosts are as they should be."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.model.whatif import Move

SMALL = 5000.0
"""In how many ways servers may be spread over hosts for all of them to be looked at."""

ATTEMPTS = 30
"""How often a plan is tried for, unless the cluster is big."""

TRIED = 4_000
"""Attempts end when so many servers, in all, have been looked at."""

CHOICE = 3
"""Later attempts choose between so many steps, rather than to take the best one."""


class Distance(NamedTuple):
    """How far the loads are from where they should be, with some moves made."""

    away: float
    """0: there."""
    unpaid: float
    """What the moves cost beyond what they gained, in the unit of ``away``."""
    tie: float
    """Of two plans of one length that are equally good, the one with less of this is better."""


Measure = Callable[[], Distance]

Steps = tuple[tuple[int, int], ...]
"""(server, destination) of moves, in order."""


class RandomChoice:
    """Which step to take: on the first attempt the best one, later one of the best."""

    def __init__(self, attempt: int) -> None:
        self.choices = CHOICE if attempt else 1
        self._random = random.Random(attempt)

    def pick(self, count: int) -> int:
        """One of *count* steps, the best of which is number 0."""
        return self._random.randrange(min(count, self.choices))


def plan(loads: Loads, distance: Measure, descend: Callable[[RandomChoice], None]) -> list[Move]:
    """The moves to where *distance* is 0, or as near as can be found within the bounds.

    On a small cluster the plan is exact: none comes nearer, with what is unpaid added, and
    none that comes as near has fewer moves.  On others *descend* makes moves that bring
    *loads* nearer, step by step.  If it gets stuck, it starts again and chooses differently,
    unless there are so many servers that this would take long.

    Groups that wish to be together or apart are left as they are, or better, if the goal is
    reached so.  Otherwise their wishes are given up for what comes nearer.
    """
    what_if = loads.whatif
    what_if.wishes_are_rules = what_if.has_wishes
    moves = _search(loads, distance, descend)
    if not what_if.has_wishes:
        return moves
    steps = tuple((move.server, move.destination) for move in moves)
    kept = rank(distance, steps)
    what_if.wishes_are_rules = False
    if kept[0] > 0:
        _search(loads, distance, descend)
        if rank(distance, ())[0] >= kept[0]:
            loads.replay(steps)
    return list(what_if.moves)


def _search(loads: Loads, distance: Measure, descend: Callable[[RandomChoice], None]) -> list[Move]:
    loads.undo(0)
    if _is_small(loads):
        return _fewest_moves(loads, distance)
    return _best_of_some(loads, distance, descend)


def _best_of_some(
    loads: Loads, distance: Measure, descend: Callable[[RandomChoice], None]
) -> list[Move]:
    ranks = []
    servers = max(1, int(loads.whatif.leavers.sum()))
    for attempt in range(1 + min(ATTEMPTS, TRIED // servers)):
        loads.undo(0)
        descend(RandomChoice(attempt))
        moves = tuple((move.server, move.destination) for move in loads.whatif.moves)
        ranks.append(rank(distance, moves))
    *_, best = min(ranks)
    loads.replay(best)
    return list(loads.whatif.moves)


def _is_small(loads: Loads) -> bool:
    """Whether ``_fewest_moves`` can look at everything in a second or so."""
    hosts, servers = loads.whatif.takers.sum(), loads.whatif.leavers.sum()
    return bool(servers * np.log(max(hosts, 1)) <= math.log(SMALL))


def _fewest_moves(loads: Loads, distance: Measure) -> list[Move]:
    """The shortest plan of those that come nearest; *loads* are left as it makes them.

    Goes through all that can be reached with one move, with two, and so on, and ends
    when *distance* is 0 and paid for, or there is nothing left, so the answer is exact.
    The moves may go by way of loads that are worse.  Time and memory grow as hosts ^ servers.
    """
    best = rank(distance, ())
    level: Sequence[Steps] = [()]
    while level and best[0] > 0:
        # Of plans that end alike only the first is kept.
        longer: dict[frozenset[tuple[int, int]], Steps] = {}
        for moves in level:
            loads.replay(moves)
            for step in list(_possible(loads)):
                end = frozenset((*moves, step))
                if end not in longer:
                    longer[end] = (*moves, step)
                    loads.move(*step)
                    best = min(best, rank(distance, longer[end]))
                    loads.undo(len(moves))
        level = list(longer.values())
    loads.replay(best[-1])
    return list(loads.whatif.moves)


def _possible(loads: Loads) -> Iterator[tuple[int, int]]:
    """(server, destination) of each move that can be made now."""
    for server in np.flatnonzero(loads.whatif.leavers).tolist():
        for host in np.flatnonzero(loads.hosts_for(server)).tolist():
            yield server, host


def rank(distance: Measure, moves: Steps) -> tuple[float, int, float, Steps]:
    """Plans are compared by this; *moves* are the ones that are made."""
    away, unpaid, tie = distance()
    # What differs in the last digits only is alike.
    return round(away + unpaid, 9), len(moves), round(tie, 9), moves
