# SPDX-License-Identifier: Apache-2.0
"""Asks placement about moves of servers that the model cannot judge, and plans again without those
that it refuses."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from watcher.cloud.compute import Server
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

MOST = 100
"""The most moves of one run that placement is asked about."""
SECONDS = 10.0
"""Seconds after which placement is not asked any more, from the first plan on."""
ROUNDS = 3
"""The most plans of one run.  In the last one, servers that the model cannot judge stay."""

HasCandidate = Callable[[Server, str], bool]


def solve(strategy: type[Strategy], inputs: Inputs, has_candidate: HasCandidate) -> Solution:
    """The solution of a strategy.  A server that the model cannot judge moves to a named host in it
    only if placement offers that host for the server.

    If placement refuses, the server stays and the strategy makes another plan, because other moves
    may need the room that the server would have left.
    """
    asking, staying = _Asking(has_candidate), dict[str, str]()
    for left in reversed(range(ROUNDS)):
        seen = _Seen(inputs, staying)
        solution = strategy().execute(dataclasses.replace(inputs, compute_model=seen))
        refused = asking.refused(solution, seen.unjudged)
        if not refused:
            return solution
        staying |= dict.fromkeys(refused if left > 1 else seen.all_unjudged(), undone.UNJUDGED)
    return solution


class _Seen:
    """Gives a strategy a compute model in which some servers must stay."""

    def __init__(self, inputs: Inputs, staying: Mapping[str, str]) -> None:
        self._inputs, self._staying = inputs, staying
        self._model: ComputeModel | None = None

    def __call__(self) -> ComputeModel:
        if self._model is None:
            model = self._inputs.compute_model()
            staying = {**self._staying, **model.staying}
            self._model = dataclasses.replace(model, staying=staying) if self._staying else model
        return self._model

    def unjudged(self, uuid: str) -> Server | None:
        """The server if the model cannot judge it.  None if the strategy read no model: then a
        person has ordered its moves."""
        position = self._model.position(uuid) if self._model else None
        if self._model is None or position is None:
            return None
        server = self._model.servers[position]
        return server if server.needs.unjudged else None

    def all_unjudged(self) -> list[str]:
        """Uuids of the servers that the model cannot judge."""
        servers = self._model.servers if self._model else ()
        return [each.uuid for each in servers if each.needs.unjudged]


class _Asking:
    """Asks placement about each move once, about ``MOST`` moves at most.  It refuses all others."""

    def __init__(self, has_candidate: HasCandidate) -> None:
        self._has_candidate, self._known = has_candidate, dict[tuple[str, str], bool]()
        self._end = time.monotonic() + SECONDS

    def refused(self, solution: Solution, unjudged: Callable[[str], Server | None]) -> list[str]:
        """Uuids of the servers that would move to a host that placement does not offer."""
        moves = (
            (each.input_parameters["resource_id"], each.input_parameters.get("destination_node"))
            for each in solution.actions
            if each.action_type == "migrate"
        )
        return [
            uuid
            for uuid, host in moves
            if host and (server := unjudged(uuid)) and not self._ask(server, host)
        ]

    def _ask(self, server: Server, host: str) -> bool:
        key = server.uuid, host
        if key not in self._known:
            if len(self._known) >= MOST or time.monotonic() > self._end:
                return False
            self._known[key] = self._has_candidate(server, host)
        return self._known[key]
