# SPDX-License-Identifier: Apache-2.0
"""The interface of datasources, and the objects that they get.

A plug-in of ``watcher_datasources`` is a class that takes ``DatasourceTools`` and implements
``Datasource``. It raises NotConfigured if an option is missing.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from oslo_config import cfg

from watcher.cloud.metrics import Metrics
from watcher.common.errors import Invalid, NotFound

AGGREGATES = ("mean", "min", "max", "count")


@dataclasses.dataclass(frozen=True)
class DatasourceTools:
    """All that a datasource may use."""

    conf: cfg.ConfigOpts
    metric_map: Mapping[str, Any]
    """The part of the metric map file for this datasource."""
    wait: Callable[[float], bool]
    """Wait so many seconds; true if the service stops during that time."""


class Datasource(Metrics, Protocol):
    """A source of metrics that can be asked which metrics it has.

    If it has ``step``, a function of the granularity, each resource gets one new value in so many
    seconds; without it, values are taken to change at any moment.  With ``past(name, servers, end,
    period, granularity)``, the means of servers over the *period* seconds before *end* (naive UTC)
    by uuid, loads of coming hours can be expected; servers that were not measured then are left
    out.  ``available`` is one request and is not repeated; it raises MetricsUnavailable.
    """

    metrics: Mapping[str, str]
    """Watcher's name of each metric that it maps to its own name for it."""

    def check(self) -> None:
        """Ask once whether it answers.  MetricsUnavailable if it does not."""


def mapped(usual: Mapping[str, str], metric_map: Mapping[str, Any]) -> Mapping[str, str]:
    """*usual* with what the metric map replaces, adds and, by null, removes."""
    names = {**usual, **metric_map}
    return {metric: str(name) for metric, name in names.items() if name}


def own_name(source: Datasource, metric: str) -> str:
    """The name that *source* has for a metric.  NotFound, with those that it has."""
    if metric not in source.metrics:
        raise NotFound(
            f"Metric {metric} was not found in datasource {source.name}; there are "
            f"{', '.join(sorted(source.metrics)) or 'none'}."
        )
    return source.metrics[metric]


def aggregate_of(name: str) -> str:
    """mean, min or max; count is replaced by the mean, because a count of measures is no
    load.

    Invalid for anything else.
    """
    if name not in AGGREGATES:
        raise Invalid(f"aggregation_method: '{name}' is none of {', '.join(AGGREGATES)}.")
    return "mean" if name == "count" else name
