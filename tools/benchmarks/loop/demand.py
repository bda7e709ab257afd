# SPDX-License-Identifier: Apache-2.0
"""What the servers of a virtual cloud would use of their vCPUs, minute by minute.

Each server belongs to an application.  An application has a daily curve (office hours,
evenings, nights, or none) and surges, in which all its servers take part; a server has
jobs of its own, noise that lasts for minutes and noise that does not.  The same seed
gives the same week, whatever is done with it.
"""

import copy
import dataclasses
import itertools
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shares = NDArray[np.float32]

HOUR, DAY = 60, 1440
"""Minutes."""

KNOT = 5
"""Minutes between the points of a curve; it is straight in between."""

APPLICATION = 10
"""Servers of an application, on average."""

PEAKS = (14.0, 20.5, 2.0)
"""The hours at which the loads of offices, households and nightly jobs are highest."""

KINDS_SHARE = (0.45, 0.25, 0.10, 0.20)
"""The shares of these kinds among applications; the last kind has no daily curve."""

WEEKEND = (0.45, 1.1, 1.0, 1.0)
"""The factor of each curve on the sixth and seventh day."""

SURGES_PER_DAY = 0.5
"""Surges of an application."""

JOBS_PER_DAY = 1.0
"""Jobs of a server."""

LASTING_NOISE, MINUTE_NOISE = 0.05, 0.03
"""Standard deviations, as shares of a server's vCPUs."""

MEMORY_OF_NOISE = 0.85
"""Correlation of the lasting noise from knot to knot."""


class Demand(Protocol):
    """Shares of the vCPUs of V servers, from 0 to 1."""

    @property
    def minutes(self) -> int:
        """The number of minutes for which there is a demand."""

    def at(self, minute: int) -> Shares:
        """float [V]"""

    def ahead(self, minute: int, minutes: int) -> Floats:
        """float [V]: the mean over *minutes* from *minute* on; the last minutes are repeated."""

    def earlier(self, number: int) -> "Demand":
        """The demand *number* weeks before; 0 is this week."""


class Busy(NamedTuple):
    """A time in which some servers have more load: a surge or a job."""

    begin: int
    end: int
    """Minutes; the end is excluded."""
    first: int
    last: int
    """Indices of servers; the last is excluded.  The servers of an application are consecutive."""
    height: float


class Week:
    """The demand of V servers over some days."""

    def __init__(self, servers: int, days: int, draw: np.random.Generator) -> None:
        self.minutes = days * DAY
        self._seed = int(draw.integers(2**32))
        self._bounds = _applications(servers, draw)
        self._usual = _curves(servers, days, self._bounds, draw)
        self._earlier: dict[int, Week] = {0: self}
        self._happen(draw)

    def _happen(self, draw: np.random.Generator) -> None:
        """Draw what differs from week to week."""
        knots, servers = self._usual.shape
        days = self.minutes // DAY
        self._curves = self._usual + _lasting(knots, servers, draw)
        self._events = _surges(days, self._bounds, draw) + _jobs(servers, days, draw)
        self._hours: dict[int, Shares] = {}

    def earlier(self, number: int) -> "Week":
        """An earlier week: with the same daily curves, and its own surges, jobs and noise."""
        if number not in self._earlier:
            week = self._earlier[number] = copy.copy(self)
            draw = np.random.default_rng((self._seed, number))
            week._seed = int(draw.integers(2**32))
            week._happen(draw)
        return self._earlier[number]

    def at(self, minute: int) -> Shares:
        hour, rest = divmod(minute, HOUR)
        row: Shares = self._hour(hour)[rest]
        return row

    def ahead(self, minute: int, minutes: int) -> Floats:
        moments = np.minimum(np.arange(minute, minute + minutes), self.minutes - 1)
        total = np.zeros(self._curves.shape[1])
        for hour in np.unique(moments // HOUR):
            rows = moments[moments // HOUR == hour] % HOUR
            total += self._hour(int(hour))[rows].sum(axis=0, dtype=np.float64)
        return total / minutes

    def _hour(self, hour: int) -> Shares:
        """float [60, V]: the demand of an hour; the hours used last are kept."""
        if hour not in self._hours:
            for old in sorted(self._hours)[:-2]:
                del self._hours[old]
            self._hours[hour] = self._made(hour)
        return self._hours[hour]

    def _made(self, hour: int) -> Shares:
        begin = hour * HOUR
        moments = np.arange(begin, begin + HOUR)
        knot, rest = np.divmod(moments, KNOT)
        part = (rest / KNOT).astype(np.float32)[:, None]
        rows = (1 - part) * self._curves[knot] + part * self._curves[knot + 1]
        for event in self._events:
            if event.begin < begin + HOUR and event.end > begin:
                when = slice(max(0, event.begin - begin), min(HOUR, event.end - begin))
                rows[when, event.first : event.last] += event.height
        noise = np.random.default_rng((self._seed, hour))
        rows += noise.normal(0, MINUTE_NOISE, rows.shape).astype(np.float32)
        shares: Shares = np.clip(rows, 0.01, 1.0).astype(np.float32)
        return shares


def _applications(servers: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """The first server of each application, and at the end the number of servers."""
    sizes = draw.geometric(1 / APPLICATION, servers)
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    return np.append(bounds[bounds < servers], servers)


def _curves(
    servers: int, days: int, bounds: NDArray[np.int64], draw: np.random.Generator
) -> Shares:
    """float32 [K, V]: daily curves, at each knot and one beyond the end."""
    hours = np.arange(days * DAY // KNOT + 1) * KNOT / 60
    base = draw.uniform(0.03, 0.15, servers)
    curves = np.zeros((len(hours), servers), dtype=np.float32)
    for first, last in itertools.pairwise(bounds):
        kind = draw.choice(len(KINDS_SHARE), p=KINDS_SHARE)
        height = draw.gamma(3, 0.17, last - first).clip(0, 0.9)
        if kind == len(PEAKS):
            shape = np.full(len(hours), 0.6)
        else:
            shape = _daily(hours, PEAKS[kind] + draw.normal(0, 1.0), draw.uniform(1, 3))
        shape = shape * np.where(hours // 24 % 7 >= 5, WEEKEND[kind], 1.0)
        curves[:, first:last] = base[first:last] + shape[:, None] * height
    return curves


def _daily(hours: Floats, peak: float, sharpness: float) -> Floats:
    """From 0 at night to 1 at the *peak*, the steeper the sharper."""
    shape: Floats = ((1 + np.cos((hours - peak) * np.pi / 12)) / 2) ** sharpness
    return shape


def _lasting(knots: int, servers: int, draw: np.random.Generator) -> Shares:
    """Noise with a memory (an AR(1) process)."""
    scale = LASTING_NOISE * np.sqrt(1 - MEMORY_OF_NOISE**2)
    noise = draw.normal(0, scale, (knots, servers)).astype(np.float32)
    for knot in range(1, knots):
        noise[knot] += MEMORY_OF_NOISE * noise[knot - 1]
    return noise


def _surges(days: int, bounds: NDArray[np.int64], draw: np.random.Generator) -> list[Busy]:
    """The surges of applications; half of them grow within twenty minutes, the others at once."""
    events = []
    for first, last in itertools.pairwise(bounds):
        for _ in range(draw.poisson(SURGES_PER_DAY * days)):
            begin = int(draw.integers(days * DAY))
            end = begin + int(draw.lognormal(np.log(60), 0.7))
            height = float(draw.uniform(0.2, 0.6))
            steps = 4 if draw.random() < 0.5 else 1
            events += [
                Busy(begin + 5 * step, end, int(first), int(last), height / steps)
                for step in range(steps)
                if begin + 5 * step < end
            ]
    return events


def _jobs(servers: int, days: int, draw: np.random.Generator) -> list[Busy]:
    count = int(draw.poisson(JOBS_PER_DAY * days * servers))
    begins = draw.integers(days * DAY, size=count)
    lengths = draw.lognormal(np.log(30), 0.8, count).astype(np.int64) + 1
    which = draw.integers(servers, size=count)
    heights = draw.uniform(0.3, 0.8, count)
    return [
        Busy(int(begin), int(begin + length), int(server), int(server) + 1, float(height))
        for begin, length, server, height in zip(begins, lengths, which, heights, strict=True)
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class Given:
    """A demand as an array, float [M, V]: for tests and for the adversary."""

    shares: Shares

    @property
    def minutes(self) -> int:
        return len(self.shares)

    def earlier(self, number: int) -> "Given":
        """An earlier week, which is the same."""
        return self

    def at(self, minute: int) -> Shares:
        row: Shares = self.shares[minute]
        return row

    def ahead(self, minute: int, minutes: int) -> Floats:
        moments = np.minimum(np.arange(minute, minute + minutes), self.minutes - 1)
        mean: Floats = self.shares[moments].mean(axis=0, dtype=np.float64)
        return mean
