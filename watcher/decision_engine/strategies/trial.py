# SPDX-License-Identifier: Apache-2.0
"""Calls a strategy without a service, for tests of strategies."""

from __future__ import annotations

import dataclasses
import datetime
import types
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.common import schemas
from watcher.common.errors import MetricsUnavailable, ModelUnavailable, NotFound
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.bounds import UNBOUND, Bounds

if TYPE_CHECKING:
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel

T = TypeVar("T")


def inputs(
    strategy: type[Strategy],
    compute: ComputeModel | None = None,
    storage: StorageModel | None = None,
    baremetal: BaremetalModel | None = None,
    measured: Mapping[str, Mapping[str, float]] | None = None,
    staying: Mapping[str, str] | None = None,
    bounds: Bounds = UNBOUND,
    seed: int = 1,
    options: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Inputs:
    """Inputs of an audit with these *parameters*, as the decision engine would make them.

    *measured* are values by name of the metric and uuid of the host or server, *staying*
    uuids of servers that earlier plans forbid to move, with the reason (a word of
    ``undone.REASONS``), *bounds* what the plan may do, *options* those of the strategy
    that do not have their default.  Invalid if the parameters do not fit.
    """
    read, restrained = _reader(strategy, measured or {}), compute
    if compute and staying:
        restrained = dataclasses.replace(compute, staying=staying)
    defaults = {option.dest: option.default for option in strategy.options}
    return Inputs(
        audit_uuid="00000000-0000-0000-0000-000000000001",
        audit_type="ONESHOT",
        parameters=schemas.parameters(strategy.schema, parameters),
        now=datetime.datetime(2026, 1, 1),
        seed=seed,
        compute_model=lambda: _given("compute", restrained),
        cloud=lambda: _given("compute", compute),
        storage_model=lambda: _given("storage", storage),
        baremetal_model=lambda: _given("bare metal", baremetal),
        bounds=lambda: bounds,
        host_metric=read,
        server_metric=read,
        scoring_engine=_no_engine,
        options=types.SimpleNamespace(**{**defaults, **(options or {})}),
    )


def _reader(
    strategy: type[Strategy], measured: Mapping[str, Mapping[str, float]]
) -> Callable[..., Mapping[str, float]]:
    def read(name: str, resources: Collection[Any], **_: Any) -> Mapping[str, float]:
        if name not in measured and name not in strategy.optional_metrics:
            raise MetricsUnavailable(f"There are no values of {name}.")
        values = measured.get(name, {})
        return {each.uuid: values[each.uuid] for each in resources if each.uuid in values}

    return read


def _given(kind: str, model: T | None) -> T:
    if model is None:
        raise ModelUnavailable(f"There is no {kind} model.")
    return model


def _no_engine(name: str) -> Any:
    raise NotFound(f"There is no scoring engine {name}.")
