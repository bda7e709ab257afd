# SPDX-License-Identifier: Apache-2.0
"""Audits of Watcher in virtual time: its own strategies and planners, driven by a clock.

This module replaces the services around them: it begins runs, makes their inputs and carries plans
out.  It has to do the same as the dispatcher, the runner and the applier.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from oslo_config import cfg

from watcher import conf as watcher_conf
from watcher.cloud.compute import Host, Server
from watcher.common import schemas
from watcher.decision_engine import same_metrics
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.base import Inputs
from watcher.decision_engine.usual_loads import UsualLoads
from watcher.model.compute import ComputeModel

from .carrying import Carrying
from .readings import Readings, moment
from .world import THRESHOLD, World

ALARM_PERIOD = 10
"""Minutes over which the alarm's rule averages the CPU use of a host."""

LONGEST_PERIOD = 12
"""Minutes over which a strategy averages what it reads."""

INTERVAL = 5
"""Minutes between two runs of the CONTINUOUS audit."""

PARAMETERS: dict[str, Mapping[str, Any]] = {
    "workload_balance": {"threshold": 70},
    "workload_stabilization": {"thresholds": {"instance_cpu_usage": 0.1}},
}
"""Strategies that answer the alarm, with the parameters that the user guide recommends.

``workload_balance`` relieves hosts above a threshold, as the alarm asks for; it is ten below
the alarm's, so that a host which was relieved does not raise it again at once.
``workload_stabilization`` is set up as the user guide does it.
"""

Alarm = Callable[[World], bool]
"""Whether there is an alarm at the end of a minute."""

Added = Callable[["Engine", Inputs, World], Inputs]
"""Changes the inputs of a run, as a policy needs them."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """A strategy, its planner and its parameters."""

    conf: cfg.ConfigOpts
    catalog: Catalog
    strategy: str
    parameters: Mapping[str, Any]
    usual_loads: UsualLoads

    @classmethod
    def of(cls, strategy: str, **bounds: Any) -> Engine:
        """*bounds* are options of ``[optimization]`` that do not have their defaults."""
        conf = watcher_conf.load([], [])
        for option, value in bounds.items():
            conf.set_override(option, value, group="optimization")
        return cls(conf, Catalog(conf), strategy, PARAMETERS[strategy], UsualLoads(conf))

    def look_ahead(self, readings: Readings, model: ComputeModel, now: int) -> None:
        """See ``Sources.look_ahead``."""
        kind = self.catalog.strategies[self.strategy]
        for reading in kind.foresees(schemas.parameters(kind.schema, self.parameters)):
            self.usual_loads.read(readings, reading, lambda: model.servers, moment(now))

    def inputs(self, model: ComputeModel, now: int, **changes: Any) -> Inputs:
        kind = self.catalog.strategies[self.strategy]
        made = trial.inputs(kind, model, seed=now, **self.parameters)
        return dataclasses.replace(made, now=moment(now), **changes)

    def solve(self, inputs: Inputs) -> Solution:
        return self.catalog.strategies[self.strategy]().execute(inputs)

    def plan(self, solution: Solution) -> Sequence[Any]:
        return self.catalog.planner(self.catalog.strategies[self.strategy].planner).plan(solution)


class Snapshots:
    """The compute model of a world, brought up to date as the collectors do it."""

    def __init__(self, world: World) -> None:
        self._world = world
        inventory = world.inventory
        self._hosts: list[Host] = list(inventory.hosts)
        self._servers: list[Server] = list(inventory.servers)
        self._placement = inventory.placement.copy()
        self._up = np.ones(len(self._hosts), dtype=np.bool_)
        self._model = ComputeModel.build(self._hosts, self._servers)

    def model(self) -> ComputeModel:
        for host in np.flatnonzero(self._up != self._world.up).tolist():
            state = "up" if self._world.up[host] else "down"
            self._hosts[host] = dataclasses.replace(self._hosts[host], state=state)
        changes: dict[str, Server | None] = {}
        for server in np.flatnonzero(self._placement != self._world.placement).tolist():
            hostname = self._hosts[self._world.placement[server]].hostname
            self._servers[server] = dataclasses.replace(self._servers[server], host=hostname)
            changes[self._servers[server].uuid] = self._servers[server]
        self._placement, self._up = self._world.placement.copy(), self._world.up.copy()
        self._model = self._model.updated(self._hosts, changes, ())
        return self._model


class Audit:
    """An audit with ``auto_trigger``: EVENT, or CONTINUOUS if it has an *interval*."""

    def __init__(
        self,
        world: World,
        engine: Engine,
        interval: int | None,
        added: Added | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        self._world, self._engine, self._alarm = world, engine, alarm or host_is_hot
        self._interval, self._added = interval, added
        self._snapshots = Snapshots(world)
        hosts, servers = world.inventory.hosts, world.inventory.servers
        self._host_index = {host.hostname: number for number, host in enumerate(hosts)}
        self._server_index = {server.uuid: number for number, server in enumerate(servers)}
        self._readings = Readings(world)
        self._plan: Carrying | None = None
        self._waits = interval is not None
        """Whether a run is queued."""
        self._not_before = 0
        self._seen: tuple[int, str | None] = (0, None)
        """When the last run began, and what it has seen if it found nothing to do."""

    def act(self) -> None:
        """Do the work of the audit at the end of a minute."""
        now = self._world.now
        if self._plan is not None:
            self._plan.go_on(now - 1, now)
            if self._plan.is_over:
                self._plan = None
        self._waits |= self._interval is None and self._alarm(self._world)
        if self._waits and self._plan is None and now >= self._not_before:
            self._run(now)

    def _run(self, now: int) -> None:
        self._waits = self._interval is not None
        self._not_before = now + (self._interval or 0)
        if self._added:
            self._engine.look_ahead(self._readings, self._snapshots.model(), now)
        began = time.process_time()
        inputs = self._inputs(now)
        if inputs is None or self._is_put_off(inputs, now):
            return
        solution = self._engine.solve(inputs)
        plan = self._engine.plan(solution)
        self._world.tally.cpu_seconds += time.process_time() - began
        self._world.tally.runs += 1
        self._seen = now, None if plan else same_metrics.digest(inputs)
        if plan:
            self._world.tally.plans += 1
            self._plan = Carrying(self._world, plan, self._server_index, self._host_index)
            self._plan.go_on(now, now)

    def _is_put_off(self, inputs: Inputs, now: int) -> bool:
        """See ``watcher/decision_engine/same_metrics.py``."""
        began, seen = self._seen
        until = began + inputs.step() // 60
        if seen is None or now >= until or same_metrics.digest(inputs) != seen:
            return False
        self._waits, self._not_before = True, until
        return True

    def _inputs(self, now: int) -> Inputs | None:
        """The inputs of a run; None as long as nothing has been measured."""
        if self._world.server_use.over(now, LONGEST_PERIOD) is None:
            return None
        model = self._snapshots.model()
        inputs = self._engine.inputs(
            model,
            now,
            host_metric=self._readings.host_metric,
            server_metric=self._readings.server_metric,
        )
        return self._added(self._engine, inputs, self._world) if self._added else inputs


def host_is_hot(world: World) -> bool:
    """Whether some host is above the threshold of the alarm; evaluated each minute."""
    use = world.host_use.over(world.now, ALARM_PERIOD)
    return use is not None and bool((use[world.up] > THRESHOLD).any())
