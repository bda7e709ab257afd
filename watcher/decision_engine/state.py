# SPDX-License-Identifier: Apache-2.0
"""The state of a strategy: what of its needs is there now."""

from typing import Any

from watcher.cloud import Cloud
from watcher.cloud.metrics import Metrics
from watcher.common.errors import WatcherError
from watcher.decision_engine.strategies.base import Strategy

AVAILABLE, MISSING = "available", "not available"


def of_strategy(strategy: type[Strategy], cloud: Cloud) -> list[dict[str, Any]]:
    """Three rows, as ``GET /v1/strategies/{ident}/state`` shows them."""
    return [
        _row("Datasource", _datasource(strategy, cloud), mandatory=True),
        _row("Metrics", _metrics(strategy, cloud), mandatory=False),
        _row("CDM", _models(cloud), mandatory=True),
    ]


def _row(kind: str, state: Any, mandatory: bool) -> dict[str, Any]:
    return {"type": kind, "state": state, "mandatory": mandatory, "comment": ""}


def _datasource(strategy: type[Strategy], cloud: Cloud) -> str:
    if not strategy.metrics:
        return "Datasource is not presented for this strategy"
    source = _source(cloud)
    return f"{source.name}: {AVAILABLE}" if source else f"none configured: {MISSING}"


def _metrics(strategy: type[Strategy], cloud: Cloud) -> list[dict[str, str]]:
    source = _source(cloud)
    return [
        {metric: AVAILABLE if source and source.available(metric) else MISSING}
        for metric in strategy.metrics
    ]


def _models(cloud: Cloud) -> list[dict[str, str]]:
    try:
        compute = AVAILABLE if cloud.compute.hosts() else MISSING
    except WatcherError:
        compute = MISSING
    return [
        {"compute_model": compute},
        {"storage_model": MISSING},
        {"baremetal_model": MISSING},
    ]


def _source(cloud: Cloud) -> Metrics | None:
    try:
        return cloud.metrics
    except WatcherError:
        return None
