# SPDX-License-Identifier: Apache-2.0
"""Averages of a simulated cloud's loads, as late as those of a real source of metrics.

Loads change by steps: between two changes they are the same, so a mean is exact.  Times
are seconds since the cloud began.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

Values = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Average:
    """Metrics are means over so many seconds, up to the last multiple of *step*."""

    seconds: float
    step: float = 0.0
    """0: up to now."""


class LoadHistory:
    """The past loads of hosts, as far back as averages reach. Any thread may use it."""

    def __init__(self, average: Average, surges: Iterable[float]) -> None:
        """*surges* are the times at which the load of some servers changes."""
        self._average, self._surges = average, sorted(surges)
        self._lock = threading.Lock()
        self._past: list[tuple[float, float, Values]] = []
        self._since = self._until = 0.0

    def begin(self, at: float) -> None:
        """Forget everything before *at*."""
        with self._lock:
            self._past.clear()
            self._since = self._until = at

    def add(self, until: float, loads: Callable[[float], Values]) -> None:
        """Store the result of *loads* for the time since the last call."""
        with self._lock:
            for start, end in self.pieces(self._until, until):
                values = loads(start)
                if self._past and self._past[-1][2] == values:
                    start = self._past.pop()[0]
                self._past.append((start, end, values))
            self._until = max(self._until, until)
            oldest = self._until - self._average.seconds - self._average.step
            while self._past and self._past[0][1] < oldest:
                del self._past[0]

    def pieces(self, begin: float, end: float) -> list[tuple[float, float]]:
        """The times between *begin* and *end* in which no surge begins or ends."""
        if begin >= end:
            return []
        marks = [begin, *(each for each in self._surges if begin < each < end), end]
        return list(pairwise(marks))

    def window(self, now: float) -> tuple[float, float]:
        """The time that an average covers; without width if the cloud has just begun."""
        step = self._average.step
        end = now // step * step if step else now
        if end <= self._since:
            end = now
        return min(end, max(self._since, end - self._average.seconds)), end

    def mean(self, begin: float, end: float) -> dict[str, float]:
        with self._lock:
            parts = [
                (min(until, end) - max(start, begin), values)
                for start, until, values in self._past
                if until > begin and start < end
            ]
        return mean(parts)


def mean(parts: Iterable[tuple[float, Values]]) -> dict[str, float]:
    """The average of (duration, values in that time)."""
    sums: dict[str, float] = {}
    whole = 0.0
    for length, values in parts:
        whole += length
        for uuid, value in values.items():
            sums[uuid] = sums.get(uuid, 0.0) + length * value
    return {uuid: value / whole for uuid, value in sums.items()}
