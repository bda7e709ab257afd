# SPDX-License-Identifier: Apache-2.0
"""Moving servers off hosts if the effect of a server on its new host is unknown.

The effect of a server on the temperature or the caches of a host is known only after the
move. So hosts take turns: no host gets a second server of a plan while another one that
could take it has none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.strategies.base import Inputs
from watcher.model import undone
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.compute import ComputeModel
from watcher.model.types import Floats
from watcher.model.undone import Undone
from watcher.model.whatif import Move, WhatIf


def measured(inputs: Inputs, metric: str) -> Mapping[int, float]:
    """Index of each available host to its value; without hosts that have none.

    Averaged over the parameter ``period``.
    """
    model, parameters = inputs.compute_model(), inputs.parameters
    reading = Reading(metric, parameters["period"], parameters["granularity"])
    values = reading.ask(inputs.host_metric, [host for host in model.hosts if host.available])
    return {
        index: values[host.uuid]
        for index, host in enumerate(model.hosts)
        if host.available and math.isfinite(values.get(host.uuid, math.nan))
    }


def unmeasured(model: ComputeModel, values: Mapping[int, float], metric: str) -> list[Undone]:
    """The hosts that are left out because *values*, of ``measured``, has nothing for them."""
    names = sorted(
        host.hostname
        for index, host in enumerate(model.hosts)
        if host.available and index not in values
    )
    examples, text = names[: undone.EXAMPLES], f"without a value of {metric}"
    found = Undone(undone.NOT_MEASURED, len(names), examples, text, things="hosts")
    return [found] if names else []


class SourceHost(NamedTuple):
    """A host that servers have to leave."""

    candidates: Sequence[int]
    """The servers that would help by leaving, the preferred one first."""
    servers: Sequence[int]
    """All servers on it whose reasons to stay are reported."""
    whole: bool = False
    """Whether all candidates leave or none, rather than one."""


class Spreading:
    """Moves servers to the *takers*, indices of hosts, the preferred one first."""

    def __init__(
        self, model: ComputeModel, takers: Sequence[int], bounds: Bounds = UNBOUND
    ) -> None:
        self.whatif = WhatIf(model, bounds=bounds)
        self._turn: Floats = np.full(len(model.hosts), np.inf)
        """float [H]: the fitting host with the least value takes the next server."""
        self._turn[list(takers)] = np.arange(len(takers))
        self.whatif.takers &= np.isfinite(self._turn)

    def active(self, host: int) -> SourceHost:
        """*host* as a source that one active server has to leave, that with most vCPUs first."""
        servers, model = self._servers_on(host), self.whatif.model.servers
        return SourceHost([each for each in servers if model[each].state == "active"], servers)

    def whole(self, host: int) -> SourceHost:
        """*host* as a source that all servers that can be moved have to leave."""
        servers = self._servers_on(host)
        return SourceHost([each for each in servers if self.whatif.leavers[each]], servers, True)

    def _servers_on(self, host: int) -> list[int]:
        model = self.whatif.model
        return sorted(
            model.servers_on(host).tolist(),
            key=lambda server: (-model.servers[server].vcpus, server),
        )

    def relieve(self, source: SourceHost) -> Sequence[Move]:
        """Move the servers that have to leave *source*; if all have to, as many as the bounds
        allow.

        Empty if there is no place for it.
        """
        move = self._move_all if source.whole else self._move_one
        return move(source.candidates)

    def undone(self, sources: Iterable[SourceHost]) -> list[Undone]:
        """Why servers stay on *sources*, which are all those that could not be relieved."""
        what_if, stuck = self.whatif, []
        count, bounds = len(what_if.moves), what_if.bounds
        moved = {move.server for move in what_if.moves}
        if what_if.is_bound():
            what_if.bounds = UNBOUND
        for source in sources:
            rest = [server for server in source.candidates if server not in moved]
            if not self.relieve(source._replace(candidates=rest)):
                stuck.append(source)
        found = what_if.waiting(count)
        what_if.undo(count)
        whole = {server for source in stuck if source.whole for server in source.servers}

        def why_not(server: int) -> str:
            if server in whole:
                return undone.WHOLE_HOST
            active = what_if.model.servers[server].state == "active"
            return undone.NO_GAIN if active else undone.INACTIVE

        found += what_if.explain(
            (server for source in stuck for server in source.servers if server not in moved),
            why_not,
        )
        what_if.bounds = bounds
        return found

    def _move_one(self, servers: Iterable[int]) -> Sequence[Move]:
        for server in servers:
            fits = self.whatif.hosts_for(server)
            if fits.any():
                self._move(server, int(np.where(fits, self._turn, np.inf).argmin()))
                return self.whatif.moves[-1:]
        return []

    def _move_all(self, servers: Sequence[int]) -> Sequence[Move]:
        """Whether all servers fit is checked without bounds; how many move now is limited by
        the bounds."""
        count, turn, bounds = len(self.whatif.moves), self._turn.copy(), self.whatif.bounds
        self.whatif.bounds = UNBOUND
        complete = all(self._move_one([server]) for server in servers)
        self.whatif.bounds = bounds
        moves = self.whatif.moves[count:]
        if not complete or self.whatif.is_beyond():
            self.whatif.undo(count)
            self._turn = turn
            for move in moves if complete else []:
                if self.whatif.hosts_for(move.server)[move.destination]:
                    self._move(move.server, move.destination)
        return self.whatif.moves[count:]

    def _move(self, server: int, host: int) -> None:
        self._turn[host] += len(self._turn)  # after every host that has taken fewer servers
        self.whatif.move(server, host)
