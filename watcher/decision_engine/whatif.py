# SPDX-License-Identifier: Apache-2.0
"""Trying moves on a cluster: the one place that knows what is possible where."""

from typing import NamedTuple

import numpy as np

from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Bools, Floats, Ints


class Move(NamedTuple):
    """A migration, in indices of the model."""

    server: int
    source: int
    destination: int


class WhatIf:
    """A cluster with some moves made, in an order that never breaks a rule.

    A host takes a server only if it is a taker, has room for it (capacity, with ratios
    and reserve), is in the zone and the aggregates that the server is bound to, and has
    no more of the server's group than the group allows.  A server leaves its host once
    at most, and only if nothing holds it there.  With H hosts, V servers, R resources:

    ``placement``  int [V], host of each server, as of the moves made
    ``free``       float [H, R], what is left of each host
    ``takers``     bool [H], hosts that may take servers; at first those that are
                   available.  Writable
    ``leavers``    bool [V], servers that may leave their host.  Writable
    ``moves``      the moves made, in order
    """

    placement: Ints
    free: Floats
    takers: Bools
    leavers: Bools
    moves: list[Move]

    def __init__(self, model: ComputeModel) -> None:
        self.model, self._rules = model, model.rules
        self.placement = model.placement.copy()
        self.free = model.capacity - model.used()
        self.takers = model.available.copy()
        migratable = [server.migration is not None for server in model.servers]
        self.leavers = model.movable & ~self._rules.bound & np.array(migratable, dtype=np.bool_)
        self.moves = []
        self._demand = np.ascontiguousarray(model.demand.T)
        self._members = np.zeros((len(self._rules.limit) + 1, len(model.hosts)), dtype=np.int64)
        np.add.at(self._members, (self._rules.group, self.placement), 1)
        # The last row counts those without a group, and is never full.
        self._limit = np.append(self._rules.limit, np.iinfo(np.int64).max)

    def hosts_for(self, server: int) -> Bools:
        """bool [H]: the hosts that could take *server* now, its own not among them."""
        fit: Bools = self.takers & self._rules.allowed[self._rules.kind[server]]
        fit &= (self.free >= self.model.demand[server]).all(axis=1)
        group = self._rules.group[server]
        fit &= self._members[group] < self._limit[group]
        fit[self.placement[server]] = False
        if not self.leavers[server]:
            fit[:] = False
        return fit

    def servers_for(self, host: int) -> Bools:
        """bool [V]: the servers on other hosts that *host* could take now."""
        if not self.takers[host]:
            return np.zeros(len(self.placement), dtype=np.bool_)
        fit: Bools = self.leavers & (self.placement != host)
        for demand, free in zip(self._demand, self.free[host], strict=True):
            fit &= demand <= free
        fit &= self._rules.allowed[self._rules.kind, host]
        fit &= (self._members[:, host] < self._limit)[self._rules.group]
        return fit

    def move(self, server: int, destination: int) -> None:
        """Make a move that ``hosts_for`` or ``servers_for`` has allowed."""
        source = int(self.placement[server])
        self._shift(server, source, destination)
        self.leavers[server] = False
        self.moves.append(Move(server, source, destination))

    def undo(self, count: int) -> None:
        """Take moves back until *count* are left."""
        while len(self.moves) > count:
            server, source, destination = self.moves.pop()
            self._shift(server, destination, source)
            self.leavers[server] = True

    def _shift(self, server: int, source: int, destination: int) -> None:
        demand, group = self.model.demand[server], self._rules.group[server]
        self.free[source] += demand
        self.free[destination] -= demand
        self._members[group, source] -= 1
        self._members[group, destination] += 1
        self.placement[server] = destination
