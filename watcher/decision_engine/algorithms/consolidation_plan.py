# SPDX-License-Identifier: Apache-2.0
"""Makes the plan of a consolidation from the hosts that are emptied; all such strategies use it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import numpy as np

from watcher.cloud.compute import DISABLED
from watcher.decision_engine.algorithms.consolidation import Order, Release, in_use, release
from watcher.decision_engine.algorithms.headroom import Headroom, Switches
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import undone
from watcher.model.compute import DISK, MEMORY, VCPU, ComputeModel
from watcher.model.types import Bools, Floats, Ints
from watcher.model.undone import Undone
from watcher.model.whatif import WhatIf

IN_USE: Final = "hosts in use"
"""The figure by which a plan is reviewed."""
EXAMINED: Final = 200
"""The most servers for which the reason is found why no other host takes them."""
DOUBTED: Final = 10
"""The most hosts for which it is tried whether emptying them is of use."""

SILENT: Final = (undone.EXCLUDED, undone.OPTED_OUT)
"""Reasons that users themselves have set; they are not reported."""
NO_ROOM: Final = "No host can be emptied, as no others take all of its servers"
HINDRANCES: Final = (undone.NO_HOST, undone.PLACE, undone.GROUP)
"""Reasons that are rules.  A lack of room is not reported, because each consolidation ends with
it."""


class Consolidation:
    """Makes a plan: which hosts are emptied, disabled and enabled again.

    *parameters* are ``strategies.parameters.CONSOLIDATION``.  A host that Watcher disabled and that
    still has servers takes servers as if it were in service: it is enabled again unless it is
    emptied.
    """

    def __init__(self, what_if: WhatIf, parameters: Mapping[str, Any]) -> None:
        self.what_if, model = what_if, what_if.model
        target = float(parameters["target_utilization"])
        self.kept_free: Floats = (1 - target) * np.maximum(model.capacity, 0)
        """[H, R]: what the plan leaves free on each host."""
        what_if.free[:, : self.kept_free.shape[1]] -= self.kept_free
        self._reserve = int(parameters["reserve_hosts"])
        self._headroom = Headroom(model, self._reserve, what_if.actions_left())
        self._spares: Sequence[int] = ()
        self._disable: Sequence[int] = ()
        self._costly: Sequence[int] = ()
        self._needed: Sequence[int] = ()
        self._waiting: Sequence[int] = ()
        self._wait: Sequence[Undone] = ()
        self._switches = Switches((), {}, frozenset(), 0)
        self._first = 0
        back = model.standby & in_use(what_if)
        if back.sum() <= what_if.actions_left():
            what_if.takers |= back & model.taking

    def empty(
        self,
        trials: Sequence[Order],
        max_failures: float = math.inf,
        *,
        disables: bool = True,
        spares: Sequence[int] = (),
        switches: int = 1,
        others: int = 0,
    ) -> Sequence[int]:
        """Empty hosts by the best of *trials*.  Returns their indices.

        With *disables* they are disabled; so are *spares*, hosts in service without servers.
        The plan has *switches* actions for each host beside its moves, and *others* more.
        """
        what_if, model = self.what_if, self.what_if.model
        self._first = len(what_if.moves)
        before = self._headroom.switches(what_if.placement, spares)
        what_if.other_actions = len(before.enable) + others
        self._spares = spares
        what_if.other_actions += int(max(0, min(len(before.disable), what_if.actions_left())))
        found = release(what_if, trials, max_failures, switches)
        emptied = self._within_headroom(found, before, disables)
        back = set(found.hosts).difference(emptied)
        for host in back:
            what_if.takers[host] = bool(model.available[host])
        if back:
            self._take_back(back)
        self._switches = self._at(emptied, what_if.placement, disables)
        what_if.other_actions = len(self._switches.enable) + others
        self._disable = self._switches.disable[
            : int(max(0, min(len(self._switches.disable), what_if.actions_left())))
        ]
        self._costly = found.costly
        self._needed = [host for host in found.hosts if host in back]
        self._waiting, self._wait = _waiting(what_if, found.waiting, trials)
        return emptied

    def _within_headroom(self, found: Release, before: Switches, disables: bool) -> Sequence[int]:
        """Which hosts of *found* to empty: as many as leave the headroom as it was *before*,
        without those that would stay in service anyway, if nothing needs them empty."""
        after = self.what_if.placement
        moves = np.array(self.what_if.moves[self._first :], dtype=np.int64).reshape(-1, 3)

        def at(emptied: Sequence[int]) -> Switches:
            servers, sources, _ = moves[~np.isin(moves[:, 1], emptied)].T
            placement = after.copy()
            placement[servers] = sources
            return self._at(emptied, placement, disables)

        count = len(found.hosts)
        now = at(found.hosts)
        if not now.is_as_good_as(before):
            low = 0
            while low < count:
                middle = (low + count + 1) // 2
                if at(found.hosts[:middle]).is_as_good_as(before):
                    low = middle
                else:
                    count = middle - 1
            now = at(found.hosts[:count])
        emptied = found.hosts[:count]
        useless = set(emptied) - set(now.disable) if disables else set[int]()
        for host in [each for each in reversed(emptied) if each in useless][:DOUBTED]:
            if not self.what_if.model.available[host]:
                continue
            rest = [each for each in emptied if each != host]
            less = at(rest)
            if less.is_as_good_as(now) and len(less.disable) >= len(now.disable):
                emptied, now = rest, less
        return emptied

    def _take_back(self, hosts: Set[int]) -> None:
        """Let the servers of *hosts* be there again.  No later move needs their room, as a host
        that was emptied takes no servers."""
        moves, what_if = self.what_if.moves[self._first :], self.what_if
        what_if.undo(self._first)
        for move in moves:
            if move.source not in hosts:
                what_if.move(move.server, move.destination)

    def _at(self, emptied: Sequence[int], placement: Ints, disables: bool) -> Switches:
        """Which hosts to enable and disable when *emptied* are empty."""
        available = self.what_if.model.available
        may = [host for host in reversed(emptied) if disables and available[host]]
        return self._headroom.switches(placement, [*self._spares, *may])

    def propose_enabling(self, solution: SolutionBuilder, *, empty: bool = True) -> int:
        """Enable hosts again, or only those with servers.  Returns how many."""
        used = in_use(self.what_if)
        enable = {host: why for host, why in self._switches.enable.items() if empty or used[host]}
        for host, why in enable.items():
            solution.enable(self.what_if.model.hosts[host], why)
        return len(enable)

    def propose_moves(self, solution: SolutionBuilder, *, scheduler: bool = False) -> None:
        """Add the migrations that empty hosts.

        With *scheduler* the scheduler picks the destinations, and those of the what-if only
        show that there is room.
        """
        what_if, model = self.what_if, self.what_if.model
        left = np.bincount(model.placement)
        for move in what_if.moves[self._first :]:
            server, destination = model.servers[move.server], model.hosts[move.destination]
            where = "the scheduler picks the host"
            if not scheduler:
                where = f"{destination.hostname} has room"
            solution.migrate(
                server,
                None if scheduler else destination,
                f"{server.host} can be emptied (servers: {left[move.source]}); {where}",
            )

    def propose_disabling(self, solution: SolutionBuilder) -> int:
        """Disable hosts without servers.  Returns how many."""
        model = self.what_if.model
        had = np.bincount(model.placement, minlength=len(model.hosts))
        for index in sorted(self._disable):
            host = model.hosts[index]
            why = "is empty once its servers have moved" if had[index] else "has no servers"
            solution.disable(host, DISABLED, f"{host.hostname} {why}", only_if_empty=True)
        return len(self._disable)

    def conclude(self, solution: SolutionBuilder) -> None:
        """Add to the solution what the plan gains, and what it leaves undone."""
        model = self.what_if.model
        before, after = _figures(model, model.placement), _figures(model, self.what_if.placement)
        solution.figures(before, after)
        solution.promise(IN_USE, promises.FIGURE_WINDOW)
        solution.improve(before[IN_USE], after[IN_USE])
        kept = {undone.NO_GAIN: self._costly, undone.BOOTS: self._needed}
        unmet, left = _still_in_use(self.what_if, self._waiting, self._wait, kept)
        if self._switches.short:
            lack = f"{self._switches.short} of {self._reserve} hosts of the reserve are missing"
            unmet = "; ".join(filter(None, (lack, unmet)))
        solution.leave(unmet, left)


def _figures(model: ComputeModel, placement: Ints) -> dict[str, float]:
    """How many hosts have servers, and how full those are."""
    used = model.used(placement)
    occupied = np.bincount(placement, minlength=len(model.hosts)) > 0
    whole = model.capacity[occupied].sum(axis=0)
    figures: dict[str, float] = {IN_USE: int(occupied.sum())}
    for name, resource in (("vCPU", VCPU), ("memory", MEMORY), ("disk", DISK)):
        share = used[:, resource].sum() / whole[resource] if whole[resource] else 0.0
        figures[f"{name} allotted on hosts in use, %"] = round(100 * float(share), 1)
    return figures


def _waiting(
    what_if: WhatIf, hosts: Sequence[int], trials: Sequence[Order]
) -> tuple[Sequence[int], Sequence[Undone]]:
    """The hosts of *hosts* that only the bounds keep from being emptied, and their servers, which
    have to wait."""
    if not hosts:
        return (), ()
    bounds, takers, others = what_if.bounds, what_if.takers.copy(), what_if.other_actions
    start = len(what_if.moves)
    what_if.bounds = dataclasses.replace(bounds, actions=None, memory_mb=math.inf)
    left = [each._replace(hosts=each.hosts[np.isin(each.hosts, hosts)]) for each in trials]
    found = release(what_if, left)
    waiting = what_if.waiting(start)
    what_if.undo(start)
    what_if.bounds, what_if.takers[:], what_if.other_actions = bounds, takers, others
    return found.hosts, waiting


def _still_in_use(
    what_if: WhatIf,
    waiting: Sequence[int],
    wait: Sequence[Undone],
    kept: Mapping[str, Sequence[int]],
) -> tuple[str, list[Undone]]:
    """A sentence on hosts that stay in use although fewer could hold all servers, and the reasons.

    *kept* are hosts that could be emptied, by the reason why they are not.  Hosts that stay in use
    because of a lack of room are named only if nothing moves, as each consolidation ends with some.
    Neither are hosts that took servers.  Empty if no fewer hosts could hold the servers.
    """
    used = in_use(what_if)
    surplus = int(used.sum()) - _needed(what_if)
    if surplus <= 0:
        return "", []
    candidates = used.copy()
    candidates[[move.destination for move in what_if.moves]] = False
    candidates[list(waiting)] = False
    of_kept = {why: [host for host in hosts if candidates[host]] for why, hosts in kept.items()}
    known = [host for hosts in of_kept.values() for host in hosts]
    candidates[known] = False
    # If these explain all hosts that are not needed, other reasons make no difference.
    servers = _hindered(what_if, candidates) if surplus > len(waiting) + len(known) else []
    number = len(set(what_if.placement[servers].tolist())) + len(waiting) + len(known)
    if not number:
        candidates[what_if.placement[what_if.staying()]] = False
        return NO_ROOM if candidates.any() and not what_if.moves else "", []
    verb = "is" if number == 1 else "are"
    return f"{number} of {int(used.sum())} hosts with servers {verb} not emptied", [
        *what_if.explain(servers, undone.WISH),
        *wait,
        *undone.grouped(
            (what_if.name(server), why)
            for why, hosts in of_kept.items()
            for server in np.isin(what_if.placement, hosts).nonzero()[0].tolist()
        ),
    ]


def _hindered(what_if: WhatIf, candidates: Bools) -> list[int]:
    """The servers that keep *candidates* in use for a reason that is reported."""
    on_candidates = candidates[what_if.placement]
    held = on_candidates & what_if.staying()
    stuck = [each for each in held.nonzero()[0].tolist() if what_if.why_not(each) not in SILENT]
    free = candidates.copy()
    free[what_if.placement[held]] = False
    others = free[what_if.placement].nonzero()[0][:EXAMINED].tolist()
    return stuck + [
        each
        for each in others
        if what_if.why_not(each) in HINDRANCES or what_if.moves_against_wish_only(each)
    ]


def _needed(what_if: WhatIf) -> int:
    """A lower bound of the number of hosts that can hold all servers: the largest ones that
    are up."""
    model = what_if.model
    whole = np.maximum(what_if.free, 0)
    np.add.at(whole, what_if.placement, what_if.demand)
    demand = what_if.demand.sum(axis=0)
    least = 1 if len(model.servers) else 0
    for resource in range(len(demand)):
        held = np.cumsum(np.sort(whole[model.up, resource])[::-1])
        least = max(least, int(np.searchsorted(held, demand[resource] * (1 - 1e-9))) + 1)
    return least
