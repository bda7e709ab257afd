# SPDX-License-Identifier: Apache-2.0
"""Which hosts a consolidation leaves in service without servers, and which come back.

What is in service beside the hosts that have servers decides whether the next boots
succeed.  So there is room for one more server of each flavor in use, wherever servers of
that kind may be: for the largest, too, as nobody knows what will be booted, and a smaller
size would keep quiet until boots of the largest have failed.  What one host has free counts
as the scheduler sees it, with allocation ratios, and beyond what plans fill.  A flavor for
which no host would do, enabled or not, asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from watcher.model.compute import MEMORY, VCPU, ComputeModel
from watcher.model.types import Bools, Floats, Ints


class Size(NamedTuple):
    """What servers of one kind and flavor need."""

    demand: Floats
    """[R]"""
    allowed: Bools
    """[H], the hosts on which they may be."""


class Switches(NamedTuple):
    """What becomes of hosts without servers."""

    close: Sequence[int]
    """Indices of those that leave service."""
    wake: Mapping[int, str]
    """Indices of those that Watcher disabled and that come back, and why."""
    full: frozenset[int]
    """For which sizes of servers no host in service has room."""
    short: int
    """How many hosts the reserve lacks."""

    def is_as_good_as(self, other: Switches) -> bool:
        """Whether no boot fails, no host lacks and none has to come back for it alone."""
        return (
            self.full <= other.full
            and self.short <= other.short
            and len(self.wake) <= len(other.wake)
        )


class Headroom:
    """What of a cluster has to be in service, with a *reserve* of hosts without servers."""

    def __init__(self, model: ComputeModel, reserve: int, most: float = np.inf) -> None:
        """*most* hosts come back in one plan."""
        self._model, self._reserve, self._most = model, reserve, most
        self._sizes = _sizes(model)
        self._closed = np.array([host.hostname in model.closed for host in model.hosts], np.bool_)

    def switches(self, placement: Ints, closable: Sequence[int] = ()) -> Switches:
        """With the servers at *placement* [V]; *closable* are hosts without servers, in service,
        that may be closed, the first to stay in service first."""
        model = self._model
        occupied = np.bincount(placement, minlength=len(model.hosts)) > 0
        service = model.available | (model.asleep & occupied)
        service[list(closable)] = False
        sleepers = (model.asleep & ~occupied & ~self._closed).nonzero()[0].tolist()
        wake = {
            host: f"{model.hosts[host].hostname} was disabled, and has servers"
            for host in (model.asleep & occupied).nonzero()[0].tolist()
        }
        spare = [*closable, *sleepers]
        free = model.free(placement)
        chosen, full = self._for_boots(free, service, spare)
        kept = {host: chosen[host] for host in spare if host in chosen}
        short = self._reserve - int((service & ~occupied).sum()) - len(kept)
        for host in spare:
            if short > 0 and host not in kept:
                kept[host] = f"{self._reserve} hosts without servers are to be in service"
                short -= 1
        wake |= {host: why for host, why in kept.items() if model.asleep[host]}
        return Switches(
            [host for host in closable if host not in kept],
            dict(list(wake.items())[: int(min(self._most, len(wake)))]),
            full,
            max(0, short),
        )

    def _for_boots(
        self, free: Floats, service: Bools, spare: Sequence[int]
    ) -> tuple[dict[int, str], frozenset[int]]:
        """Which of *spare* are needed in service for boots, and why; sizes without any room."""
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
                    chosen[host] = _why(demand)
        for host in list(chosen):  # those chosen after it may do as well
            others = [each for each in chosen if each != host]
            if all(fit[others].any() or not fit[host] for fit in needs):
                del chosen[host]
        return chosen, frozenset(full)


def _why(demand: Floats) -> str:
    return (
        f"No enabled host has room for one more server of {demand[VCPU]:.0f} vCPUs and "
        f"{demand[MEMORY]:.0f} MiB, as there are"
    )


def _sizes(model: ComputeModel) -> list[Size]:
    """The flavors in use, by kind, without those that fit wherever another one does."""
    rows = np.unique(np.column_stack((model.rules.kind, model.demand)), axis=0)
    found: dict[int, list[Floats]] = {}
    for row in rows[np.argsort(-rows[:, 1:].sum(axis=1), kind="stable")]:
        larger = found.setdefault(int(row[0]), [])
        if not any((row[1:] <= each).all() for each in larger):
            larger.append(row[1:])
    return [
        Size(demand, model.rules.allowed[kind])
        for kind, demands in found.items()
        for demand in demands
    ]
