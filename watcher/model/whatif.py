# SPDX-License-Identifier: Apache-2.0
"""Trying moves on a cluster: the only code that computes which server fits on which host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from watcher.cloud.compute import LIVE_STATES, Server
from watcher.model import undone
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.compute import MEMORY, ComputeModel
from watcher.model.types import Bools, Floats, Ints
from watcher.model.undone import Undone


class Move(NamedTuple):
    """A migration, in indices of the model."""

    server: int
    source: int
    destination: int


class WhatIf:
    """A cluster with some moves made, none of which breaks a rule.

    A host takes a server only if it is a taker, has room for it (capacity, with ratios and
    reserve), is in the zone and the aggregates that the server is bound to, has the traits that it
    needs, gives so much to one server, and has no more of the server's group than the group allows.
    It takes one server that only nova can judge.  A server leaves its host at most once, and only
    if it need not stay and the host is up.  With H hosts, V servers, and R resources, those of the
    model first:

    ``placement``  int [V], host of each server, as of the moves made
    ``demand``     float [V, R], what each server takes
    ``free``       float [H, R], what is left of each host
    ``takers``     bool [H], hosts that may take servers; at first those that are
                   available.  Writable
    ``leavers``    bool [V], servers that may leave their host.  Writable
    ``moves``      the moves made, in order

    *use* [V, E] and *room* [H, E] limit measured resources in the same way: what each
    server uses, and what each host has left now.

    *bounds* limit the number of moves and the memory that they copy; at the limit no further move
    is possible.  ``bounds`` is writable: without them, further moves show which moves have to wait.
    ``other_actions`` is the number of other actions in the plan.

    The policies of soft groups are wishes.  With ``wishes_are_rules``, a server moves to no host
    where more pairs of its group break the wish than on its own host; otherwise it does if no other
    host is possible.  ``broken_wishes`` is the number of such pairs beyond those before the moves.

    Each call costs a few operations on arrays of H, or V, numbers.
    """

    def __init__(
        self,
        model: ComputeModel,
        use: Floats | None = None,
        room: Floats | None = None,
        bounds: Bounds = UNBOUND,
    ) -> None:
        self.model, self._rules, self.bounds = model, model.rules, bounds
        self._copied, self.other_actions = 0.0, 0
        self.has_wishes = bool(self._rules.wish.any())
        self.wishes_are_rules, self.broken_wishes = False, 0
        self.placement = model.placement.copy()
        free = model.free()
        if use is None or room is None:
            self.demand = model.demand
        else:
            self.demand, free = np.hstack((model.demand, use)), np.hstack((free, room))
        # The methods examine one resource after the other, so each is contiguous in memory.
        self._free = free.T.copy()
        # A host may have used up what a server does not need.
        self._least = np.where(self.demand <= 0, -np.inf, self.demand).T.copy()
        self._asked = np.flatnonzero(self.demand.any(axis=0)).tolist()
        self.free = self._free.T
        self.takers = model.available & model.taking
        self._stays = _stays(model)
        self.leavers: Bools = self._stays == 0
        self.moves: list[Move] = []
        self._everywhere = np.arange(len(self.takers))
        self._members = np.zeros((len(self._rules.limit) + 1, len(model.hosts)), dtype=np.int32)
        np.add.at(self._members, (self._rules.group, self.placement), 1)
        np.add.at(self._members, tuple(self._rules.unlisted), 1)
        # The last row is for servers without a group, and is never full.
        self._limit = np.append(self._rules.limit, np.iinfo(np.int64).max)
        self._unjudged: Bools = self._rules.unjudged[self._rules.kind]
        self._some_unjudged = bool(self._unjudged.any())
        self._arrived = np.zeros(len(model.hosts), dtype=np.int64)

    def hosts_for(self, server: int) -> Bools:
        """bool [H]: the hosts that could take *server* now, without those that break more wishes of
        its group than necessary."""
        return self.preferred(server, self.possible_hosts(server))

    def has_wish(self, server: int) -> bool:
        """Whether the server is in a soft group."""
        return bool(self._rules.wish[self._rules.group[server]])

    def preferred(self, server: int, fit: Bools, among: Ints | slice = slice(None)) -> Bools:
        """bool [H], or of hosts *among*: of those that *fit*, those where the server's group breaks
        no more wishes; if there are none, those where it breaks fewest, unless wishes are rules."""
        if not self.has_wish(server) or not fit.any():
            return fit
        cost = self._wish_cost(server)[among]
        least = int(cost[fit].min())
        if self.wishes_are_rules:
            least = 0
        elif self._rules.wish[self._rules.group[server]] > 0:
            least = max(least, 0)
        return fit & (cost <= least)

    def moves_against_wish_only(self, server: int) -> bool:
        """Whether *server* could move now, but only to hosts where its group breaks more wishes."""
        fit = self.possible_hosts(server)
        return self.has_wish(server) and bool(
            fit.any() and (self._wish_cost(server)[fit] > 0).all()
        )

    def possible_hosts(self, server: int, among: Ints | slice = slice(None)) -> Bools:
        """bool [H], or of hosts *among*: those that could take *server* now, without its own."""
        return self._takes(server, among, self._rules.allowed[self._rules.kind[server], among])

    def possible_pairs(self, servers: Ints, hosts: Ints) -> Bools:
        """bool [v, h]: which of *hosts* could take which of *servers* now."""
        # Much faster than asking for the pairs at once.
        allowed = self._rules.allowed[self._rules.kind[servers]].take(hosts, axis=1)
        return self._takes(servers[:, None], hosts, allowed)

    def servers_for(self, host: int, servers: Ints | None = None) -> Bools:
        """bool [V]: the servers on other hosts that *host* could take now.  With indices of
        *servers*: which of these."""
        among = slice(None) if servers is None else servers
        fit = self._takes(among, host, self._rules.allowed[:, host][self._rules.kind[among]])
        if self.wishes_are_rules and self.has_wishes:
            group, members = self._rules.group[among], self._members
            others = members[group, self.placement[among]] - 1
            fit &= self._rules.wish[group] * (members[group, host] - others) <= 0
        return fit

    def _takes(
        self, servers: int | slice | Ints, hosts: int | slice | Ints, allowed: Bools
    ) -> Bools:
        """Which hosts could take which servers now, of the shape to which the two broadcast,
        if they may be there (*allowed*, of that shape)."""
        fit: Bools = allowed & self.takers[hosts] & self.leavers[servers]
        if self.bounds.actions is not None or self.bounds.memory_mb < np.inf:
            memory = self._copied + self.demand[servers, MEMORY]
            fit &= (memory <= self.bounds.memory_mb) & (self.actions_left() >= 1)
        for resource in self._asked:
            fit &= self._least[resource][servers] <= self._free[resource][hosts]
        if len(self._rules.limit):
            group = self._rules.group[servers]
            fit &= self._members[group, hosts] < self._limit[group]
        if self._some_unjudged:
            fit &= (self._arrived[hosts] == 0) | ~self._unjudged[servers]
        fit &= self._everywhere[hosts] != self.placement[servers]
        return fit

    def still_takes(self, host: int, server: int) -> bool:
        """Whether *host*, which could take *server* before others came to it, still can."""
        group, free = self._rules.group[server], self._free[:, host].tolist()
        room = all(
            demand <= left or demand == 0
            for demand, left in zip(self.demand[server].tolist(), free, strict=True)
        )
        return bool(
            room
            and self._members[group, host] < self._limit[group]
            and not (self._unjudged[server] and self._arrived[host])
        )

    def room(self) -> tuple[Floats, Floats]:
        """float [V, R + G] and [H, R + G]: what servers take, and what hosts have left, with
        the members of each group that a host may have as one more resource."""
        groups = len(self._rules.limit)
        members = self._rules.group[:, None] == np.arange(groups)
        left = (self._rules.limit[:, None] - self._members[:groups]).T
        return np.hstack((self.demand, members)), np.hstack((self.free, left))

    def leavers_on(self, host: int) -> Ints:
        """Indices of the servers that may leave *host*."""
        servers = self.model.servers_on(host)
        return servers[self.leavers[servers]]

    def copy(self) -> WhatIf:
        """A what-if with the same moves made; further moves in either do not affect the other."""
        other = copy.copy(self)
        other.placement, other.takers = self.placement.copy(), self.takers.copy()
        other.leavers, other.moves = self.leavers.copy(), self.moves.copy()
        other._stays, other._arrived = self._stays.copy(), self._arrived.copy()
        other._members, other._free = self._members.copy(), self._free.copy()
        other.free = other._free.T
        return other

    def become(self, other: WhatIf) -> None:
        """Take over the state of a copy, which is of no use after that."""
        self.__dict__.update(other.__dict__)

    def move(self, server: int, destination: int) -> None:
        """Make a move that ``hosts_for`` or ``servers_for`` has allowed."""
        source = int(self.placement[server])
        self._shift(server, source, destination)
        self._members[self._rules.group[server], source] += self._lasts(server)
        self._copied += self.demand[server, MEMORY]
        self._arrived[destination] += self._unjudged[server]
        self.leavers[server] = False
        self.moves.append(Move(server, source, destination))

    def undo(self, count: int) -> None:
        """Take moves back until *count* are left."""
        while len(self.moves) > count:
            server, source, destination = self.moves.pop()
            self._shift(server, destination, source)
            self._members[self._rules.group[server], source] -= self._lasts(server)
            self._copied -= self.demand[server, MEMORY]
            self._arrived[destination] -= self._unjudged[server]
            self.leavers[server] = True

    def keep(self, servers: Bools | Ints | Sequence[int], reason: str) -> None:
        """Let *servers*, a mask or indices, stay; *reason* is a key of ``undone.REASONS``."""
        chosen = np.zeros(len(self.leavers), dtype=np.bool_)
        chosen[servers] = True
        self._stays[chosen & self.leavers] = _CODES[reason]
        self.leavers[chosen] = False

    def release(self, reason: str) -> None:
        """Let the servers leave that stay for *reason*, a key of ``undone.REASONS``."""
        chosen = self._stays == _CODES[reason]
        self._stays[chosen] = 0
        self.leavers[chosen] = True

    def actions_left(self) -> float:
        """How many more actions the plan may have."""
        if self.bounds.actions is None:
            return np.inf
        return self.bounds.actions - len(self.moves) - self.other_actions

    def affords(self, servers: int, memory_mb: float, other_actions: int = 0) -> bool:
        """Whether the bounds leave moves for so many more servers of so many MiB together,
        with so many other actions."""
        fits = servers + other_actions <= self.actions_left()
        return bool(fits and self._copied + memory_mb <= self.bounds.memory_mb)

    def staying(self) -> Bools:
        """bool [V]: the servers that stay for a reason other than a lack of hosts."""
        return self._stays > 0

    def why_not(self, server: int, host: int | None = None) -> str:
        """Why *server* stays on its host, or does not go to *host*, a key of ``undone.REASONS``:
        the rules are applied one after the other, and the result is the one that leaves no host.
        NO_GAIN if the server could move."""
        if self._stays[server]:
            return _REASONS[int(self._stays[server])]
        if not self.affords(1, self.demand[server, MEMORY]):
            return undone.BOUND
        if not self.leavers[server]:
            return undone.NO_GAIN
        fit = self.takers if host is None else self.takers & (self._everywhere == host)
        fit = fit & (self._everywhere != self.placement[server])
        group = self._rules.group[server]
        fits = self._rules.fits[self._rules.size[server]]
        for rule, reason in (
            (fit, undone.NO_HOST),
            (self._rules.allowed[self._rules.kind[server]] | ~fits, undone.PLACE),
            (self._members[group] < self._limit[group], undone.GROUP),
            (
                fits & (self.demand[server][:, None] <= np.maximum(self._free, 0)).all(axis=0),
                undone.ROOM,
            ),
            # For a server that only nova can judge, placement is asked later, about the present
            # state. Its answer is right for the first such server that moves to a host only.
            ((self._arrived == 0) | ~self._unjudged[server], undone.ONE_AT_A_TIME),
        ):
            fit = fit & rule
            if not fit.any():
                return reason
        return undone.NO_GAIN

    def explain(
        self, servers: Iterable[int], otherwise: str | Callable[[int], str] = undone.NO_GAIN
    ) -> list[Undone]:
        """Why *servers* stay, grouped by reason; for those that could move it is *otherwise*,
        or what that returns for each."""
        find = otherwise if callable(otherwise) else lambda server: otherwise
        reasons = ((each, self.why_not(each)) for each in servers)
        return undone.grouped(
            (self.name(each), find(each) if why == undone.NO_GAIN else why) for each, why in reasons
        )

    def is_bound(self) -> bool:
        """Whether the bounds forbid two more moves, or may forbid one for its memory."""
        memory = self._copied + self.demand[self.leavers, MEMORY].max(initial=0)
        return bool(self.actions_left() < 2 or memory > self.bounds.memory_mb)

    def is_beyond(self) -> bool:
        """Whether the moves made exceed the bounds, because these were lifted."""
        return bool(self.actions_left() < 0 or self._copied > self.bounds.memory_mb)

    def waiting(self, count: int) -> list[Undone]:
        """The servers that have to wait: those of all moves but the first *count*."""
        return undone.grouped((self.name(move.server), undone.BOUND) for move in self.moves[count:])

    def name(self, server: int) -> str:
        return self.model.servers[server].name or self.model.servers[server].uuid

    def _wish_cost(self, server: int) -> Ints:
        """int [H]: how many more pairs of the group break its wish with *server* on each host."""
        group = self._rules.group[server]
        there = self._members[group].astype(np.int64)
        return self._rules.wish[group] * (there - there[self.placement[server]] + 1)

    def _lasts(self, server: int) -> bool:
        """Whether *server* still counts for its group on the host that it leaves: for a strict
        policy, nova's scheduler counts it there until the hosts next tell it of their servers."""
        return not self.has_wish(server)

    def _shift(self, server: int, source: int, destination: int) -> None:
        demand, group = self.demand[server], self._rules.group[server]
        if self._rules.wish[group]:
            self.broken_wishes += int(self._wish_cost(server)[destination])
        self.free[source] += demand
        self.free[destination] -= demand
        self._members[group, source] -= 1
        self._members[group, destination] += 1
        self.placement[server] = destination


_REASONS: Sequence[str] = ("", *undone.REASONS)
_CODES = {reason: code for code, reason in enumerate(_REASONS)}


def _stays(model: ComputeModel) -> Ints:
    """int [V]: why a server must stay, as an index of ``_REASONS``; 0 if it may leave."""
    hindered = np.array([_CODES[_obstacle(server)] for server in model.servers], dtype=np.int64)
    # Any other reason also keeps a server from moving cold.
    stays = np.where(hindered == _CODES[undone.NOT_LIVE], hindered, 0)
    for uuid, reason in model.staying.items():
        if uuid in model.server_index:
            stays[model.server_index[uuid]] = _CODES[reason]
    stays[model.rules.unsettled] = _CODES[undone.UNSETTLED]
    stays[model.rules.several] = _CODES[undone.SEVERAL_GROUPS]
    stays[model.rules.together] = _CODES[undone.AFFINITY]
    stays[~model.up[model.placement]] = _CODES[undone.HOST_DOWN]
    hinders = (hindered > 0) & (hindered != _CODES[undone.NOT_LIVE])
    stays = np.where(hinders, hindered, stays)
    stays[~model.movable] = _CODES[undone.EXCLUDED]
    return stays


def _obstacle(server: Server) -> str:
    """Why nova does not migrate a server as it is; empty if it does."""
    if server.migration is not None:
        return ""
    if server.locked:
        return undone.LOCKED
    if server.task_state is not None:
        return undone.BUSY
    if server.needs.is_fixed:
        return undone.FIXED
    return undone.NOT_LIVE if server.state in LIVE_STATES else undone.STATE
