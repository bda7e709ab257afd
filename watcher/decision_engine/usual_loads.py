# SPDX-License-Identifier: Apache-2.0
"""Expected loads of servers in the coming hours, from the same hours of earlier weeks.

A server's usual load in an hour of the week is the median of its means in earlier weeks.  It is
expected to have its usual load, and a part of its present deviation from that.

Usual loads are read ahead, in the background: a run takes those that are known and waits for none.
"""

from __future__ import annotations

import datetime
import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oslo_config import cfg

from watcher.cloud.compute import Server
from watcher.cloud.metrics import Metrics
from watcher.decision_engine.datasources.plausible import plausible
from watcher.decision_engine.feedback.promises import Reading

if TYPE_CHECKING:  # it imports NumPy
    from watcher.model.types import Floats

HOUR: Final = datetime.timedelta(hours=1)
WEEK: Final = datetime.timedelta(weeks=1)

HOURS: Final = 5
"""A run looks so many hours of the clock ahead, after the present one."""
LASTING: Final = 0.3
"""The part of a deviation from the usual load that is expected to last."""

_Key = tuple[str, Reading, datetime.datetime]
"""Datasource, what is read, and the begin of an hour."""


class UsualLoads:
    """The usual loads of all servers in the present hour of the clock and the next ones."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._known: dict[_Key, Mapping[str, float]] = {}
        """By uuid of the server."""

    def read(
        self,
        source: Metrics,
        reading: Reading,
        servers: Callable[[], Sequence[Server]],
        now: datetime.datetime,
    ) -> None:
        """Read what is not known yet, for one hour more than a run needs.  MetricsUnavailable.

        *servers* is called only if there is something to read.
        """
        weeks, past = self._conf.optimization.history_weeks, getattr(source, "past", None)
        begin = hour_of(now)
        self._known = {key: loads for key, loads in self._known.items() if key[-1] >= begin}
        if past is None:
            return
        for hour in (begin + number * HOUR for number in range(HOURS + 2 if weeks else 0)):
            if (source.name, reading, hour) not in self._known:
                ends = (hour + HOUR - week * WEEK for week in range(1, weeks + 1))
                seconds, granularity = int(HOUR.total_seconds()), reading.granularity
                those = servers()
                found = [past(reading.name, those, end, seconds, granularity) for end in ends]
                known = [plausible(reading.name, those, values)[0] for values in found]
                self._known[source.name, reading, hour] = medians(known)

    def expected(
        self,
        source: Metrics,
        reading: Reading,
        now: datetime.datetime,
        servers: Sequence[str],
        values: Floats,
    ) -> Floats:
        """float [hours, servers], of the hours after the present one, as far as they are known.

        *values* are the present loads of *servers*, uuids.  A server without a usual load keeps its
        present one.
        """
        import numpy as np

        hours = (hour_of(now) + number * HOUR for number in range(1 + HOURS))
        known = [self._known.get((source.name, reading, hour), {}) for hour in hours]
        loads = [*itertools.takewhile(bool, known)] if self._conf.optimization.history_weeks else []
        if not loads:
            return np.empty((0, len(servers)))
        usual = np.array([[*map(each.get, servers)] for each in loads], dtype=np.float64)
        expected = np.maximum(usual[1:] + LASTING * (values - usual[0]), 0)
        return np.where(np.isnan(expected), values, expected)


def hour_of(moment: datetime.datetime) -> datetime.datetime:
    """The begin of the hour of the clock, in UTC, in which *moment* lies."""
    return moment.replace(minute=0, second=0, microsecond=0)


def medians(weeks: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The median over *weeks* of each server that was measured in at least two of them.

    A single week may have been an exception; of two, the lower load counts.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for values in weeks:
        for uuid, value in values.items():
            found[uuid].append(value)
    least = min(2, len(weeks))
    return {
        uuid: statistics.median_low(values)
        for uuid, values in found.items()
        if len(values) >= least
    }
