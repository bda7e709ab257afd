# SPDX-License-Identifier: Apache-2.0
"""The explanation of a balancing plan: why each server moves, what it gains, what stays uneven."""

from collections.abc import Sequence
from typing import NamedTuple

from watcher.decision_engine.algorithms.balance import Balance
from watcher.decision_engine.algorithms.loads import Loads
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import undone
from watcher.model.types import Bools, Floats


class Words(NamedTuple):
    metric: str
    """The word in the summary: "instance_cpu_usage"."""
    load: str
    """The word in sentences: "CPU"."""

    @property
    def figure(self) -> str:
        """The name of the deviation in the summary."""
        return f"standard deviation of {self.metric}"


class BalanceReport:
    """The deviations before the moves of a balance, and the explanation of the moves."""

    def __init__(self, loads: Loads, balance: Balance, words: Sequence[Words]) -> None:
        self._loads, self._balance, self._words = loads, balance, words
        self.before: Floats = balance.deviations()
        self.exceeded: Bools = balance.exceeded()
        self.shown = int(self.exceeded.argmax())
        """The metric that is reported: the first whose deviation is too large."""

    @property
    def figure(self) -> str:
        """The name of the figure in the summary."""
        return self._words[self.shown].figure

    def solution(self) -> SolutionBuilder:
        """A solution with the moves that the balance has made, without its indicators."""
        solution = SolutionBuilder()
        self._migrate(solution)
        after = self._balance.deviations()
        for number, words in enumerate(self._words):
            solution.figure(words.figure, float(self.before[number]), float(after[number]))
        if self.exceeded.any():
            weighted = self._balance.weighted
            solution.improve(float(weighted(self.before)), float(weighted(after)))
        unmet = self._unmet(after)
        if unmet:
            left = self._loads.undone(self._balance.go_on, self._balance.uneven)
            solution.leave(unmet, left)
        elif self._loads.hosts.sum() < 2 and self._loads.whatif.model.servers:
            solution.leave("Less than two hosts can be compared, so no load can be evened out")
        return solution

    def indicators(self) -> dict[str, float]:
        """Those of the goal, by name."""
        whatif, after = self._loads.whatif, self._balance.deviations()
        return {
            "instance_migrations_count": len(whatif.moves),
            "instances_count": len(whatif.model.servers),
            "standard_deviation_before_audit": float(self.before[self.shown]),
            "standard_deviation_after_audit": float(after[self.shown]),
        }

    def _migrate(self, solution: SolutionBuilder) -> None:
        """Repeat the moves one by one, to find what each of them gains."""
        loads, hosts = self._loads, self._loads.whatif.model.hosts
        moves, what = tuple(loads.whatif.moves), self._words[self.shown].load
        loads.undo(0)
        deviation = self._balance.deviations()[self.shown]
        for move in moves:
            source, destination = hosts[move.source], hosts[move.destination]
            high, low = loads.load[self.shown, [move.source, move.destination]]
            loads.move(move.server, move.destination)
            last, deviation = deviation, self._balance.deviations()[self.shown]
            solution.migrate(
                loads.whatif.model.servers[move.server],
                destination,
                f"{source.hostname} at {high:.1%} {what}, {destination.hostname} at {low:.1%}; "
                f"standard deviation {last:.4f} -> {deviation:.4f}",
            )

    def _unmet(self, after: Floats) -> str:
        found = []
        for number in self._balance.exceeded().nonzero()[0].tolist():
            limit = self._balance.thresholds[number]
            found.append(
                f"{self._words[number].load} stays at "
                f"{undone.more_than(float(after[number]), float(limit))}, above {limit:g}"
            )
        return f"The standard deviation of {', and that of '.join(found)}" if found else ""
