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
    at most, and only if nothing holds it there and the host is up.  With H hosts, V
    servers, and R resources, the three of the model first:

    ``placement``  int [V], host of each server, as of the moves made
    ``demand``     float [V, R], what each server takes
    ``free``       float [H, R], what is left of each host
    ``takers``     bool [H], hosts that may take servers; at first those that are
                   available.  Writable
    ``leavers``    bool [V], servers that may leave their host.  Writable
    ``moves``      the moves made, in order

    *use* [V, E] and *room* [H, E] limit something measured in the same way: what each
    server uses, and what its host has left of that today.

    A question costs a few operations on arrays of H, or V, numbers.
    """

    placement: Ints
    demand: Floats
    free: Floats
    takers: Bools
    leavers: Bools
    moves: list[Move]

    def __init__(
        self, model: ComputeModel, use: Floats | None = None, room: Floats | None = None
    ) -> None:
        self.model, self._rules = model, model.rules
        self.placement = model.placement.copy()
        free = model.capacity - model.used()
        if use is None or room is None:
            self.demand = model.demand
        else:
            self.demand, free = np.hstack((model.demand, use)), np.hstack((free, room))
        # Questions go through one resource after the other, so each lies in a row.
        self._free, self._demand = free.T.copy(), self.demand.T.copy()
        self.free = self._free.T
        self.takers = model.available.copy()
        self.leavers = _leavers(model)
        self.moves = []
        self._members = np.zeros((len(self._rules.limit) + 1, len(model.hosts)), dtype=np.int32)
        np.add.at(self._members, (self._rules.group, self.placement), 1)
        # The last row counts those without a group, and is never full.
        self._limit = np.append(self._rules.limit, np.iinfo(np.int64).max)

    def hosts_for(self, server: int) -> Bools:
        """bool [H]: the hosts that could take *server* now, its own not among them."""
        if not self.leavers[server]:
            return np.zeros(len(self.takers), dtype=np.bool_)
        fit: Bools = self.takers & self._rules.allowed[self._rules.kind[server]]
        for demand, free in zip(self.demand[server], self._free, strict=True):
            fit &= demand <= free
        group = self._rules.group[server]
        fit &= self._members[group] < self._limit[group]
        fit[self.placement[server]] = False
        return fit

    def servers_for(self, host: int) -> Bools:
        """bool [V]: the servers on other hosts that *host* could take now."""
        if not self.takers[host]:
            return np.zeros(len(self.placement), dtype=np.bool_)
        fit: Bools = self.leavers & (self.placement != host)
        for demand, free in zip(self._demand, self._free[:, host], strict=True):
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
        demand, group = self.demand[server], self._rules.group[server]
        self.free[source] += demand
        self.free[destination] -= demand
        self._members[group, source] -= 1
        self._members[group, destination] += 1
        self.placement[server] = destination


def _leavers(model: ComputeModel) -> Bools:
    """bool [V]: the servers that nothing holds where they are."""
    able = np.array([server.migration is not None for server in model.servers], dtype=np.bool_)
    up = np.array([host.state == "up" for host in model.hosts], dtype=np.bool_)
    leavers: Bools = able & model.movable & ~model.rules.bound & up[model.placement]
    return leavers
