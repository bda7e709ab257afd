# SPDX-License-Identifier: Apache-2.0
"""The state of a strategy: which of its requirements are available now."""

from collections.abc import Callable
from typing import Any

from watcher.common.errors import WatcherError
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.datasources.choice import DatasourceReport, Datasources
from watcher.decision_engine.strategies.base import Strategy

AVAILABLE, MISSING = "available", "not available"


def of_strategy(
    strategy: type[Strategy], datasources: Datasources, collectors: Collectors
) -> list[dict[str, Any]]:
    """Three rows, as ``GET /v1/strategies/{ident}/state`` shows them.

    ``comment`` has the reason why something is not available.
    """
    models = {
        "compute_model": collectors.compute,
        "storage_model": collectors.storage,
        "baremetal_model": collectors.baremetal,
    }
    problems = {name: _problem(model) for name, model in models.items()}
    states = [{name: _state(not problem)} for name, problem in problems.items()]
    comment = " ".join(f"{name}: {problem}" for name, problem in problems.items() if problem)
    return [*_measured(strategy, datasources), _row("CDM", states, True, comment)]


def _measured(strategy: type[Strategy], datasources: Datasources) -> list[dict[str, Any]]:
    if not (strategy.metrics or strategy.optional_metrics):
        report, state = (
            DatasourceReport(None, False, {}),
            "Datasource is not presented for this strategy",
        )
    else:
        report = datasources.report(strategy)
        state = f"{report.source or 'none configured'}: {_state(report.answers)}"
    metrics = [{name: _state(there)} for name, there in report.metrics.items()]
    return [_row("Datasource", state, True, report.problem), _row("Metrics", metrics, False)]


def _row(kind: str, state: Any, mandatory: bool, comment: str = "") -> dict[str, Any]:
    return {"type": kind, "state": state, "mandatory": mandatory, "comment": comment}


def _state(there: bool) -> str:
    return AVAILABLE if there else MISSING


def _problem(model: Callable[[], object]) -> str:
    """Why there is no such model; empty if there is one."""
    try:
        model()
    except WatcherError as error:
        return str(error)
    return ""
