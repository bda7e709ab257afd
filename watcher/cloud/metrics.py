# SPDX-License-Identifier: Apache-2.0
"""The interface of a source of metrics, as far as Watcher needs it."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Protocol

from watcher.cloud.compute import Host, Server

Window = tuple[datetime.datetime, datetime.datetime]
"""The begin and the end of a time, in naive UTC."""


class Metrics(Protocol):
    """Measured values in bulk: one call for the whole scope.

    A resource without data is absent from the result, never zero.  MetricsUnavailable when the
    source does not answer; NotFound for a metric it does not know.

    It may have ``window(now, period, granularity)``: the time that a mean over *period* covers if
    it is read at *now*.  It has no width for present values.  If it ends before *now*, measures
    arrive late, by up to twice that time.  Without ``window``, it is the *period* before *now*.
    """

    name: str
    """The name of this source of metrics for users."""

    def available(self, metric: str) -> bool:
        """Whether the source answers and knows *metric*."""

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """Host uuid to value, in the metric's unit, over the last *period* seconds."""

    def server_metric(
        self, name: str, servers: Sequence[Server], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """Server uuid to value, in the metric's unit, over the last *period* seconds."""
