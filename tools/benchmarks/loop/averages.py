# SPDX-License-Identifier: Apache-2.0
"""The load as a source of metrics shows it: averages over a past time.

Each keeps a row for each minute.  *now* is the minute that begins; lengths are in minutes.
"""

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = NDArray[np.floating]

KEPT = 60
"""How many minutes, and points, are kept."""


class Averages(Protocol):
    """The averages of a metric of *count* hosts or servers."""

    def __init__(self, count: int) -> None: ...

    def record(self, minute: int, values: Values) -> None:
        """Record the mean of *minute*, [count].  Minutes come in order."""

    def over(self, now: int, period: int) -> Floats | None:
        """float [count]: the means over the last *period* that are known at *now*; None before
        there are any."""


class Prometheus:
    """The exact mean of the period, up to the last scrape."""

    SCRAPED: ClassVar[int] = 1
    """The greatest age of the last scrape."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros((KEPT, count), dtype=np.float32)

    def record(self, minute: int, values: Values) -> None:
        self._rows[minute % KEPT] = values

    def over(self, now: int, period: int) -> Floats | None:
        end = now - self.SCRAPED
        if end < period:
            return None
        moments = np.arange(end - period, end)
        mean: Floats = self._rows[moments % KEPT].mean(axis=0, dtype=np.float64)
        return mean


class Gnocchi:
    """The mean of the granules in the period.

    Ceilometer takes one measure in each granule, which covers the time since the previous one; each
    host has its own moment for that.  A granule's point is known as soon as its measure has been
    processed, and counts by how much of the granule lies within the period.
    """

    GRANULE: ClassVar[int] = 5
    LATE: ClassVar[int] = 1
    """Minutes from a measure to its point."""

    def __init__(self, count: int) -> None:
        self._rows = np.zeros((KEPT, count), dtype=np.float32)
        self._points = np.zeros((KEPT, count), dtype=np.float32)
        self._phase = np.random.default_rng(count).integers(self.GRANULE, size=count)

    def record(self, minute: int, values: Values) -> None:
        self._rows[minute % KEPT] = values
        granule, phase = divmod(minute + 1, self.GRANULE)
        measured = self._phase == phase
        latest = np.arange(minute + 1 - self.GRANULE, minute + 1) % KEPT
        self._points[granule % KEPT, measured] = self._rows[latest][:, measured].mean(axis=0)

    def over(self, now: int, period: int) -> Floats | None:
        if now < period + 2 * self.GRANULE + self.LATE:
            return None
        total, weight = np.zeros(len(self._phase)), np.zeros(len(self._phase))
        for granule in range((now - period) // self.GRANULE, now // self.GRANULE + 1):
            begin = granule * self.GRANULE
            share = min(begin + self.GRANULE, now) - max(begin, now - period)
            known = share * (begin + self._phase + self.LATE <= now)
            total += known * self._points[granule % KEPT]
            weight += known
        # A period that is shorter than a granule may have no point yet.
        mean: Floats = total / np.maximum(weight, 1)
        return mean


KINDS: dict[str, type[Averages]] = {"gnocchi": Gnocchi, "prometheus": Prometheus}
