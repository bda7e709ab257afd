# SPDX-License-Identifier: Apache-2.0
"""Small clusters, and what a strategy sees of them."""

import dataclasses
import functools
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.common.errors import NotFound
from watcher.decision_engine.scoring import DummyScorer, DummyScoringContainer
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone
from watcher.model.baremetal import BaremetalModel
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.compute import ComputeModel
from watcher.model.storage import StorageModel


def uid(name: str) -> str:
    """A UUID that sorts as *name* does."""
    return str(uuid.UUID(bytes=name.encode().ljust(16, b"\0")[:16]))


def host(name: str, vcpus: int = 10, **values: Any) -> Host:
    values = {"memory_mb": 10000, "disk_gb": 1000} | values
    return Host(uid(name), name, vcpus, **values)


def server(name: str, on: str, vcpus: int = 1, **values: Any) -> Server:
    values = {"memory_mb": 100, "disk_gb": 1} | values
    return Server(uid(name), name, on, vcpus, **values)


class Metrics:
    """Values by metric and resource name, and a record of who asked for what."""

    def __init__(self, **values: Mapping[str, float]) -> None:
        self._values = {
            metric: {uid(name): value for name, value in by_name.items()}
            for metric, by_name in values.items()
        }
        self.calls: list[tuple[str, int, str]] = []

    def read(
        self,
        name: str,
        resources: Sequence[Host | Server],
        period: int,
        aggregate: str,
        granularity: int,
        optional: Collection[str] = (),
    ) -> Mapping[str, float]:
        self.calls.append((name, period, aggregate))
        if name not in self._values:
            if name in optional:
                return {}
            raise NotFound(f"{name}: no such metric.")
        values = self._values[name]
        return {each.uuid: values[each.uuid] for each in resources if each.uuid in values}


def inputs(
    strategy: type[Strategy],
    model: ComputeModel | None = None,
    measured: Metrics | None = None,
    seed: int = 1,
    options: Mapping[str, Any] | None = None,
    storage: StorageModel | None = None,
    baremetal: BaremetalModel | None = None,
    failed: Collection[str] = (),
    bounds: Bounds = UNBOUND,
    **parameters: Any,
) -> Inputs:
    measured = measured or Metrics()
    engines = {engine.name: engine for engine in DummyScoringContainer().engines()}
    engines["dummy_scorer"] = DummyScorer()
    return dataclasses.replace(
        trial.inputs(
            strategy,
            model,
            storage,
            baremetal,
            staying=dict.fromkeys(failed, undone.FAILED_BEFORE),
            bounds=bounds,
            seed=seed,
            options=options,
            **parameters,
        ),
        host_metric=functools.partial(measured.read, optional=strategy.optional_metrics),
        server_metric=functools.partial(measured.read, optional=strategy.optional_metrics),
        scoring_engine=engines.__getitem__,
    )


def moves(solution: Solution) -> list[tuple[str, str, str]]:
    """(server, source, destination) of each migration, by name."""
    return [
        (
            action.input_parameters["resource_name"],
            action.input_parameters["source_node"],
            action.input_parameters["destination_node"],
        )
        for action in solution.actions
        if action.action_type == "migrate"
    ]
