# SPDX-License-Identifier: Apache-2.0
"""The search for moves after which the loads of hosts are as they should be."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.model.whatif import Move

SMALL = 5000.0
"""If there are at most so many placements of servers on hosts, all are examined."""


class Distance(NamedTuple):
    """How far the loads are from the goal, with some moves made."""

    away: float
    """0: the goal is reached."""
    unpaid: float
    """The part of the moves' cost that exceeds their gain, in the unit of ``away``."""
    tie: float
    """If two plans are equally good and have one length, the one with the smaller value is
    better."""


Measure = Callable[[], Distance]

Steps = tuple[tuple[int, int], ...]
"""(server, destination) of moves, in order."""


Attempt = Callable[[], object]
"""Makes moves that lower the distance, as far as it can."""


def plan(loads: Loads, distance: Measure, attempts: Sequence[Attempt]) -> list[Move]:
    """Moves after which *distance* is 0, or as small as can be found within the bounds.

    On a small cluster the plan is exact: no plan has a smaller distance, with what is
    unpaid added, and none with the same distance has fewer moves.  On others it is the best
    one that *attempts* find.

    The wishes of soft groups are kept if the goal can be reached with them.  Otherwise they
    may be broken for a smaller distance.
    """
    what_if = loads.whatif
    what_if.wishes_are_rules = what_if.has_wishes
    moves = _search(loads, distance, attempts)
    if not what_if.has_wishes:
        return moves
    steps = tuple((move.server, move.destination) for move in moves)
    kept = rank(distance, steps)
    what_if.wishes_are_rules = False
    if kept[0] > 0:
        _search(loads, distance, attempts)
        if rank(distance, ())[0] >= kept[0]:
            loads.replay(steps)
    return list(what_if.moves)


def _search(loads: Loads, distance: Measure, attempts: Sequence[Attempt]) -> list[Move]:
    loads.undo(0)
    if _is_small(loads):
        return _fewest_moves(loads, distance)
    ranks = [rank(distance, ())]
    for attempt in attempts:
        loads.undo(0)
        attempt()
        moves = tuple((move.server, move.destination) for move in loads.whatif.moves)
        ranks.append(rank(distance, moves))
    *_, best = min(ranks)
    loads.replay(best)
    return list(loads.whatif.moves)


def _is_small(loads: Loads) -> bool:
    """Whether ``_fewest_moves`` can examine everything within about a second."""
    hosts, servers = loads.whatif.takers.sum(), loads.whatif.leavers.sum()
    return bool(servers * np.log(max(hosts, 1)) <= math.log(SMALL))


def _fewest_moves(loads: Loads, distance: Measure) -> list[Move]:
    """The shortest plan of those with the smallest distance; *loads* are left with its moves made.

    Examines all placements that one move reaches, then two, and so on.  It ends when
    *distance* is 0 and paid for, or all are examined, so the answer is exact.  Loads may
    become worse in between.  Time and memory grow as hosts ^ servers.
    """
    best = rank(distance, ())
    level: Sequence[Steps] = [()]
    while level and best[0] > 0:
        # Of plans with the same placement only the first is kept.
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
    """The key by which plans are compared; *moves* are those made."""
    away, unpaid, tie = distance()
    # Values that differ in the last digits only are equal.
    return round(away + unpaid, 9), len(moves), round(tie, 9), moves
