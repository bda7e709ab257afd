# SPDX-License-Identifier: Apache-2.0
"""The counts of a virtual cloud while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .world import Move

HOUR = 60
"""Minutes: a server that comes back within this time was moved for nothing."""

IDLE_WATTS, FULL_WATTS = 110.0, 420.0
"""The assumed power of a host: idle at about a quarter of full power, and linear in between.  How
far real servers are from that: doi:10.1109/CLUSTERWorkshops61563.2024.00020, an analysis of 16
years of SPECpower_ssj2008."""


class Tally:
    """Sums, and some of them by hour."""

    def __init__(self, servers: int, minutes: int) -> None:
        hours = -(-minutes // HOUR)
        self.overload = np.zeros(hours, dtype=np.int64)
        """Host-minutes above the threshold."""
        self.moves = np.zeros(hours, dtype=np.int64)
        """Migrations of Watcher that succeeded."""
        self.gib = np.zeros(hours)
        """GiB copied by migrations of Watcher, including failed ones."""
        self.failed = self.back = self.again = self.runs = self.plans = 0
        self.cpu_seconds = self.watt_hours = self.starved_minutes = 0.0
        self.starved: NDArray[np.bool_] = np.zeros(servers, dtype=np.bool_)
        self._left: dict[int, list[tuple[float, int]]] = {}
        """Server to the hosts that it has left: (time, host)."""

    def minute(
        self, now: int, overloaded: int, starved: NDArray[np.bool_], use: NDArray[np.float64]
    ) -> None:
        """*use* [H] of the hosts that are up, *starved* [V] servers short of CPU."""
        self.overload[now // HOUR] += overloaded
        self.starved |= starved
        self.starved_minutes += int(starved.sum())
        watts = len(use) * IDLE_WATTS + float(use.sum()) * (FULL_WATTS - IDLE_WATTS)
        self.watt_hours += watts / 60

    def moved(self, move: Move) -> None:
        if not move.by_watcher:
            return
        hour = min(int(move.ended) // HOUR, len(self.gib) - 1)
        self.gib[hour] += move.gib
        if not move.succeeded:
            self.failed += 1
            return
        self.moves[hour] += 1
        before = self._left.setdefault(move.server, [])
        recent = {host for when, host in before if move.ended - when < HOUR}
        self.again += bool(recent)
        self.back += move.destination in recent
        before.append((move.ended, move.source))

    def result(self) -> Result:
        return Result(
            overload=int(self.overload.sum()),
            starved=int(self.starved.sum()),
            starved_hours=self.starved_minutes / HOUR,
            moves=int(self.moves.sum()),
            failed=self.failed,
            gib=float(self.gib.sum()),
            back=self.back,
            again=self.again,
            runs=self.runs,
            plans=self.plans,
            cpu_seconds=self.cpu_seconds,
            watt_hours=self.watt_hours,
            overload_by_hour=self.overload.tolist(),
            moves_by_hour=self.moves.tolist(),
        )


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one policy."""

    overload: float
    """Host-minutes above the threshold."""
    starved: float
    """Servers that were short of CPU at some time."""
    starved_hours: float
    """Hours in which servers were short of CPU, summed over servers."""
    moves: float
    failed: float
    gib: float
    back: float
    """Moves of a server to a host that it had left within the hour before."""
    again: float
    """Moves of a server that had been moved within the hour before."""
    runs: float
    plans: float
    """Plans that moved a server."""
    cpu_seconds: float
    watt_hours: float
    overload_by_hour: Sequence[float]
    moves_by_hour: Sequence[float]

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
