# SPDX-License-Identifier: Apache-2.0
"""Which hosts without servers a consolidation keeps in service, and which it enables again.

The free hosts in service decide whether the next boots succeed.  So a plan leaves room for one more
server of each flavor in use, on hosts where servers of that kind may be; also of the largest
flavor, because nobody knows what will be booted next.  Free amounts are counted as the scheduler
does, with allocation ratios, and include what plans leave free.  A flavor that fits on no host,
enabled or not, needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from watcher.model.compute import MEMORY, VCPU, ComputeModel
from watcher.model.types import Bools, Floats, Ints


class ServerSize(NamedTuple):
    """The needs of servers of one kind and flavor."""

    demand: Floats
    """[R]"""
    allowed: Bools
    """[H], the hosts on which they may be."""


class Switches(NamedTuple):
    """Which hosts without servers are disabled and enabled."""

    disable: Sequence[int]
    """Indices of those that are disabled."""
    enable: Mapping[int, str]
    """Indices of those that Watcher had disabled and that are enabled again, and why."""
    full: frozenset[int]
    """The sizes of servers for which no host in service has room."""
    short: int
    """How many hosts are missing in the reserve."""

    def is_as_good_as(self, other: Switches) -> bool:
        """Whether it has at most as many failing boots, missing hosts and hosts to enable as
        *other*."""
        return (
            self.full <= other.full
            and self.short <= other.short
            and len(self.enable) <= len(other.enable)
        )


class Headroom:
    """Which hosts have to be in service, with a *reserve* of hosts without servers."""

    def __init__(self, model: ComputeModel, reserve: int, most: float = np.inf) -> None:
        """At most *most* hosts are enabled in one plan."""
        self._model, self._reserve, self._most = model, reserve, most
        self._sizes = _sizes(model)
        self._held: Bools = model.others.max(axis=1, initial=0.0) > 0

    def switches(self, placement: Ints, may_disable: Sequence[int] = ()) -> Switches:
        """The changes for servers at *placement* [V]; *may_disable* are hosts in service that
        had no servers or lose them. The first of them stays in service first.  All stay that take
        servers, or hold room for one that may arrive."""
        model = self._model
        occupied = np.bincount(placement, minlength=len(model.hosts)) > 0
        may_disable = [host for host in may_disable if not (occupied[host] or self._held[host])]
        service = model.available | (model.standby & occupied)
        service[list(may_disable)] = False
        standby = (model.standby & ~occupied & model.taking).nonzero()[0].tolist()
        enable = {
            host: f"{model.hosts[host].hostname} was disabled, and has servers"
            for host in (model.standby & occupied).nonzero()[0].tolist()
        }
        spare = [*may_disable, *standby]
        free = model.free(placement)
        chosen, full = self._for_boots(free, service, spare)
        if spare and not (chosen or service.any()):
            chosen = {spare[0]: "No other host would be in service"}
        kept = {host: chosen[host] for host in spare if host in chosen}
        short = self._reserve - int((service & ~occupied).sum()) - len(kept)
        for host in spare:
            if short > 0 and host not in kept:
                kept[host] = f"{self._reserve} hosts without servers are to be in service"
                short -= 1
        enable |= {host: why for host, why in kept.items() if model.standby[host]}
        return Switches(
            [host for host in may_disable if host not in kept],
            dict(list(enable.items())[: int(min(self._most, len(enable)))]),
            full,
            max(0, short),
        )

    def _for_boots(
        self, free: Floats, service: Bools, spare: Sequence[int]
    ) -> tuple[dict[int, str], frozenset[int]]:
        """Which of *spare* are needed in service for new servers, and why; and the sizes
        without any room."""
        chosen: dict[int, str] = {}
        needs, full = [], set()
        for number, (demand, allowed) in enumerate(self._sizes):
            fit = allowed & ((demand <= free) | (demand == 0)).all(axis=1)
            if (fit & service).any():
                continue
            needs.append(fit)
            if not any(fit[host] for host in chosen):
                host = next((each for each in spare if fit[each]), None)
                if host is None:
                    full.add(number)
                else:
                    chosen[host] = _reason_of_boot(demand)
        for host in list(chosen):  # hosts that were chosen after it may be enough
            others = [each for each in chosen if each != host]
            if all(fit[others].any() or not fit[host] for fit in needs):
                del chosen[host]
        return chosen, frozenset(full)


def _reason_of_boot(demand: Floats) -> str:
    return (
        f"No enabled host has room for one more server of {demand[VCPU]:.0f} vCPUs and "
        f"{demand[MEMORY]:.0f} MiB, as there are"
    )


def _sizes(model: ComputeModel) -> list[ServerSize]:
    """The flavors in use, by kind, without those that fit wherever a larger one fits."""
    rows = np.unique(np.column_stack((model.rules.kind, model.demand)), axis=0)
    found: dict[int, list[Floats]] = {}
    for row in rows[np.argsort(-rows[:, 1:].sum(axis=1), kind="stable")]:
        larger = found.setdefault(int(row[0]), [])
        if not any((row[1:] <= each).all() for each in larger):
            larger.append(row[1:])
    return [
        ServerSize(demand, model.rules.allowed[kind])
        for kind, demands in found.items()
        for demand in demands
    ]
