# SPDX-License-Identifier: Apache-2.0
"""Taking servers off hosts when nobody can say what they bring along.

What a server does to the temperature or the caches of a host cannot be worked out
before it is there, so hosts take turns: nobody gets a second server of a plan while
another one that could take it has none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Floats, Ints
from watcher.decision_engine.strategies.base import Inputs
from watcher.decision_engine.whatif import Move, WhatIf


def measured(inputs: Inputs, metric: str) -> Mapping[int, float]:
    """Index of each available host to its value; without hosts that have none.

    Averaged over the parameter ``period``.
    """
    model, parameters = inputs.compute_model(), inputs.parameters
    values = inputs.host_metric(
        metric,
        [host for host in model.hosts if host.available],
        period=parameters["period"],
        aggregate="mean",
        granularity=parameters["granularity"],
    )
    return {
        index: values[host.uuid]
        for index, host in enumerate(model.hosts)
        if host.available and math.isfinite(values.get(host.uuid, math.nan))
    }


def servers_on(model: ComputeModel, host: int) -> list[int]:
    """The servers of a host, those with most vCPUs first."""
    servers = np.flatnonzero(model.placement == host).tolist()
    return sorted(servers, key=lambda server: (-model.servers[server].vcpus, server))


def active_on(model: ComputeModel, host: int) -> list[int]:
    """The active servers of a host, those with most vCPUs first."""
    return [each for each in servers_on(model, host) if model.servers[each].state == "active"]


class Spreading:
    """Servers that go to the *takers*, indices of hosts, the preferred one first."""

    def __init__(self, model: ComputeModel, takers: Sequence[int]) -> None:
        self.whatif = WhatIf(model)
        self._taken: Ints = np.zeros(len(model.hosts), dtype=np.int64)
        self._rank: Floats = np.full(len(model.hosts), np.inf)
        self._rank[list(takers)] = np.arange(len(takers))
        self.whatif.takers &= np.isfinite(self._rank)

    def one(self, servers: Iterable[int]) -> Sequence[Move]:
        """Move the first of *servers* that some taker can take; empty if there is none."""
        for server in servers:
            fits = np.flatnonzero(self.whatif.hosts_for(server))
            if len(fits):
                host = int(fits[np.lexsort((self._rank[fits], self._taken[fits]))[0]])
                self._taken[host] += 1
                self.whatif.move(server, host)
                return self.whatif.moves[-1:]
        return []

    def all(self, servers: Iterable[int]) -> Sequence[Move]:
        """Move each of *servers*, or none of them if there is no place for one."""
        count, taken = len(self.whatif.moves), self._taken.copy()
        for server in servers:
            if not self.one([server]):
                self.whatif.undo(count)
                self._taken = taken
                return []
        return self.whatif.moves[count:]
