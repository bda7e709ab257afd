# SPDX-License-Identifier: Apache-2.0
"""The series that are measured during a soak, and by how much each may grow."""

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from sqlalchemy import func, select

from tools.drill.processes import Process
from watcher.db.models import Base
from watcher.db.session import Database

_WARM_UP = 1 / 2
"""The share of the time in which pools, caches and threads may still grow."""
_PAGE = os.sysconf("SC_PAGE_SIZE") / 1024

LIMITS: Mapping[str, float] = {"KiB": 100.0, "threads": 0.2, "files": 0.5, "rows": 10.0}
"""By how much a series may grow in a minute, by its unit."""


class Samples:
    """Series of numbers, by their object and unit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._began = time.monotonic()
        self._series: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)

    def take(self, services: Iterable[Process]) -> None:
        for service in services:
            for number, pid in enumerate(service.pids):
                name = f"{service.name} {f'worker {number}' if number else 'parent'}"
                for unit, value in _of_process(pid):
                    self._add(name, unit, value)
        with self._database.reader() as session:
            for table in Base.metadata.sorted_tables:
                count = session.scalars(select(func.count()).select_from(table)).one()
                self._add(table.name, "rows", count)

    def show(self) -> bool:
        """Print first and last value and slope of each series; whether all are within limits."""
        well = True
        print(f"{'':<42}{'first':>10}{'last':>10}{'a minute':>10}{'limit':>8}")
        for (name, unit), points in self._series.items():
            kept = points[int(len(points) * _WARM_UP) :]
            slope = slope_of(kept)
            within = slope <= LIMITS[unit]
            well &= within
            print(
                f"{name:<34}{unit:<8}{kept[0][1]:>10,.0f}{kept[-1][1]:>10,.0f}{slope:>10,.2f}"
                f"{LIMITS[unit]:>8g}{'' if within else '   GROWS'}"
            )
        return well

    def _add(self, name: str, unit: str, value: float) -> None:
        self._series[name, unit].append(((time.monotonic() - self._began) / 60, value))


def _of_process(pid: int) -> Iterable[tuple[str, float]]:
    """Resident memory, threads and open files; nothing if it has just ended."""
    place = Path(f"/proc/{pid}")
    try:
        yield "KiB", int((place / "statm").read_text().split()[1]) * _PAGE
        yield "threads", len(list((place / "task").iterdir()))
        yield "files", len(list((place / "fd").iterdir()))
    except OSError:
        return


def slope_of(points: Sequence[tuple[float, float]]) -> float:
    """The growth in a minute: the median of the slopes between all pairs of points (Theil and Sen).

    A pool that grows once moves few of the pairs; a leak moves them all.  0 for fewer than three
    points.
    """
    if len(points) < 3:
        return 0.0
    pairs = itertools.combinations(points, 2)
    return median((after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs)
