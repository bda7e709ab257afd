# SPDX-License-Identifier: Apache-2.0
"""A planner that knows the loads of the next hour, and whose moves take no time.

The other policies are compared with it, in two forms.  One acts each minute, before there is an
alarm: its advantage is partly the cost of an alarm that averages ten minutes first.  The other acts
when there is an alarm, as an EVENT audit does: its advantage is the cost of late averages, of
migrations that take time and fail, and of an unknown future.  Both relieve hosts of which the mean
of the next hour is over the strategy's threshold, by the product's own search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from watcher.cloud.compute import Server

from .audits import Engine, Snapshots, host_is_hot
from .world import World

HOUR = 60
"""Minutes."""

REST = 60
"""Minutes that a server stays where it has been moved."""

GIB_PER_HOUR = 1024


class Oracle:
    """Moves servers at once: its migrations take no time and never fail."""

    def __init__(self, world: World, engine: Engine, at_alarms: bool) -> None:
        self._at_alarms = at_alarms
        self._world, self._engine, self._snapshots = world, engine, Snapshots(world)
        self._limit = engine.parameters["threshold"] / 100
        servers = world.inventory.servers
        self._index = {server.uuid: number for number, server in enumerate(servers)}
        hosts = world.inventory.hosts
        self._host_index = {host.hostname: number for number, host in enumerate(hosts)}
        self._rests_until = np.zeros(len(servers))
        self._copied: list[tuple[int, float]] = []

    def act(self) -> None:
        world = self._world
        if self._at_alarms and not host_is_hot(world):
            return
        coming = world.demand.ahead(world.now, HOUR)
        busy = np.bincount(world.placement, coming * world.vcpus, len(world.up))
        if (busy / world.inventory.vcpus)[world.up].max(initial=0) < self._limit:
            return
        world.tally.runs += 1
        made = self._move(coming)
        world.tally.plans += bool(made)

    def _move(self, coming: Any) -> int:
        """Make the moves that the limits allow.  Returns their number."""
        world = self._world
        model = self._snapshots.model()
        held = dataclasses.replace(model, movable=self._rests_until <= world.now)

        def server_metric(name: str, servers: Sequence[Server], **_: Any) -> Mapping[str, float]:
            values = (100 * coming).tolist()
            return {server.uuid: values[self._index[server.uuid]] for server in servers}

        inputs = self._engine.inputs(held, world.now, server_metric=server_metric)
        made = 0
        for action in self._engine.solve(inputs).actions:
            server = self._index[action.input_parameters["resource_id"]]
            if self._left() <= 0:
                break
            gib = world.move_at_once(
                server, self._host_index[action.input_parameters["destination_node"]]
            )
            self._copied.append((world.now, gib))
            self._rests_until[server] = world.now + REST
            made += 1
        return made

    def _left(self) -> float:
        """GiB that may still be copied."""
        self._copied = [each for each in self._copied if each[0] > self._world.now - HOUR]
        return GIB_PER_HOUR - sum(gib for _, gib in self._copied)
