# SPDX-License-Identifier: Apache-2.0
"""Beam search for moves that even out the loads of hosts.

Shapes: M metrics, H hosts, V servers, R resources, N moves that come into question, P plans
of one length.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.algorithms.search import Steps
from watcher.model.compute import MEMORY
from watcher.model.types import Bools, Floats, Ints

COMPARED: Final = 100_000
"""How many plans of one length are compared, at most."""

MOST: Final = 10_000
"""How many moves may come into question. With more, too few plans of each length are kept."""

REPEATED: Final = 3
"""How many times as many plans are examined as are kept: the same moves in another order are
the same plan."""

WITHOUT_GAIN: Final = 3
"""The most moves by which plans are made longer without becoming better."""

LEAST_GAIN: Final = 1e-7
"""By how much a longer plan has to be better, at least."""

ENOUGH: Final = 1e-12
"""A distance that is a rounding error."""


def is_small(loads: Loads) -> bool:
    """Whether such a search is of use."""
    return bool(0 < loads.whatif.leavers.sum() * loads.whatif.takers.sum() <= MOST)


class _Plans(NamedTuple):
    steps: Ints
    """[P, n], the numbers of the moves of each."""
    load: Floats
    """[M, P, H], after these."""
    free: Floats
    """[R, P, H]"""


class Beam:
    """Finds a plan by making the best plans of n moves longer by one move, all at once.

    *distance* computes how far deviations, [M, ...], are from the goal.  *costs* [V] is what a
    move of each server costs, in the same unit.

    Room, places and hard groups are respected, but not the other rules, so a step may turn out to
    be forbidden.
    """

    def __init__(self, loads: Loads, distance: Callable[[Floats], Floats], costs: Floats) -> None:
        whatif = loads.whatif
        self._loads, self._distance = loads, distance
        (leavers,), (takers,) = np.nonzero(whatif.leavers), np.nonzero(whatif.takers)
        rules = whatif.model.rules
        pairs = np.argwhere(rules.allowed[rules.kind[leavers]][:, takers].T)
        hosts, servers = takers[pairs[:, 0]], leavers[pairs[:, 1]]
        moves = whatif.placement[servers] != hosts
        self._servers, self._hosts = servers[moves], hosts[moves]
        self._homes: Ints = whatif.placement[self._servers]
        self._comes = loads.use[:, self._servers] / loads.size[:, self._hosts]
        self._goes = loads.share[:, self._servers]
        self._costs = costs[self._servers]
        demand, free = whatif.room()
        asked = demand[self._servers].any(axis=0)
        self._demand: Floats = demand[self._servers][:, asked].T
        self._free: Floats = free[:, asked].T

    def plan(self) -> Steps:
        """The shortest plan found that reaches the goal; if there are several, the one that
        copies least memory; if there is none, the plan that comes nearest."""
        if not len(self._servers):
            return ()
        load = self._loads.load[:, None]
        plans = _Plans(np.zeros((1, 0), dtype=np.int64), load, self._free[:, None])
        best, least = plans.steps[0], float(self._distance(self._loads.deviation))
        longest = self._loads.whatif.actions_left()
        while least > ENOUGH and plans.steps.shape[1] < min(longest, len(best) + WITHOUT_GAIN):
            plans, distance, score = self._longer(plans)
            if not len(score):
                break
            if (reached := distance <= ENOUGH).any():
                memory = self._loads.whatif.demand[self._servers[plans.steps], MEMORY].sum(axis=1)
                best = plans.steps[np.where(reached, memory, np.inf).argmin()]
                break
            if score[0] < least - LEAST_GAIN:
                best, least = plans.steps[0], float(score[0])
        return tuple((int(self._servers[each]), int(self._hosts[each])) for each in best)

    def _longer(self, plans: _Plans) -> tuple[_Plans, Floats, Floats]:
        """The best plans of one move more; how far each is from the goal, and with its costs."""
        distance = self._distances_after(plans)
        costs = self._costs[plans.steps].sum(axis=1)[:, None] + self._costs
        score = np.where(self._fits(plans), distance + costs, np.inf).ravel()
        width = max(1, COMPARED // len(self._servers))
        most = min(REPEATED * width, len(score) - 1)
        chosen = np.argpartition(score, most)[: most + 1]
        chosen = chosen[np.isfinite(score[chosen])]
        chosen = chosen[np.lexsort((chosen, score[chosen]))]
        olds, moves = np.divmod(chosen, len(self._servers))
        steps = np.column_stack((plans.steps[olds], moves))
        once = np.sort(np.unique(np.sort(steps, axis=1), axis=0, return_index=True)[1])[:width]
        longer = self._extended(plans, olds[once], moves[once])
        return longer, distance.ravel()[chosen[once]], score[chosen[once]]

    def _distances_after(self, plans: _Plans) -> Floats:
        """float [P, N]: how far from the goal the loads are after one more move."""
        goes, comes = self._goes[:, None], self._comes[:, None]
        total = plans.load.sum(axis=2)[:, :, None] + comes - goes
        squares = (plans.load**2).sum(axis=2)[:, :, None]
        squares = squares + goes * (goes - 2 * plans.load[:, :, self._homes])
        squares += comes * (comes + 2 * plans.load[:, :, self._hosts])
        return self._distance(self._loads.deviations_of(total, squares))

    def _fits(self, plans: _Plans) -> Bools:
        """bool [P, N]: whether a move is possible after the plan."""
        moved = np.zeros((len(plans.steps), len(self._loads.whatif.leavers)), dtype=np.bool_)
        moved[np.arange(len(moved))[:, None], self._servers[plans.steps]] = True
        fits: Bools = ~moved[:, self._servers]
        for demand, free in zip(self._demand, plans.free, strict=True):
            fits &= demand <= np.maximum(free, 0)[:, self._hosts]
        return fits

    def _extended(self, plans: _Plans, olds: Ints, moves: Ints) -> _Plans:
        """The plans *olds*, each with one of *moves* added."""
        load, free, each = plans.load[:, olds], plans.free[:, olds], np.arange(len(olds))
        homes, hosts = self._homes[moves], self._hosts[moves]
        load[:, each, homes] -= self._goes[:, moves]
        load[:, each, hosts] += self._comes[:, moves]
        free[:, each, homes] += self._demand[:, moves]
        free[:, each, hosts] -= self._demand[:, moves]
        return _Plans(np.column_stack((plans.steps[olds], moves)), load, free)
