# SPDX-License-Identifier: Apache-2.0
"""The compute snapshot: dataclasses for people, arrays for strategies, in one order."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from watcher.cloud.compute import Host, Server, ServerGroup
from watcher.decision_engine.model.placement import PlacementRules
from watcher.decision_engine.model.types import Bools, Floats, Ints

VCPU, MEMORY, DISK = 0, 1, 2
"""Columns of ``capacity`` and ``demand``: vCPUs, MiB, GB."""


@dataclasses.dataclass(frozen=True, eq=False)
class ComputeModel:
    """A cluster at one moment.  Immutable: a what-if copies ``placement`` alone.

    With H hosts and V servers, and R = vCPU, memory MiB, disk GB:

    ``capacity``   float [H, R], (total - reserved) x allocation ratio
    ``demand``     float [V, R], what the flavors ask for
    ``placement``  int [V], index of each server's host in ``hosts``
    ``movable``    bool [V], False for servers that the scope excludes: they count
                   as load and must stay where they are
    """

    hosts: Sequence[Host]
    servers: Sequence[Server]
    capacity: Floats
    demand: Floats
    placement: Ints
    movable: Bools
    groups: Sequence[ServerGroup] = ()

    @classmethod
    def build(
        cls,
        hosts: Sequence[Host],
        servers: Sequence[Server],
        groups: Sequence[ServerGroup] = (),
    ) -> "ComputeModel":
        """A snapshot of *hosts* and of those *servers* that are on one of them.

        Both are sorted by uuid, so that equal clouds give equal snapshots.
        """
        hosts = sorted(hosts, key=lambda host: host.uuid)
        index = {host.hostname: position for position, host in enumerate(hosts)}
        servers = sorted(
            (server for server in servers if server.host in index),
            key=lambda server: server.uuid,
        )
        capacity = np.array(
            [
                (
                    (host.vcpus - host.vcpus_reserved) * host.vcpu_ratio,
                    (host.memory_mb - host.memory_mb_reserved) * host.memory_ratio,
                    (host.disk_gb - host.disk_gb_reserved) * host.disk_ratio,
                )
                for host in hosts
            ],
            dtype=np.float64,
        ).reshape(len(hosts), 3)
        demand = np.array(
            [(server.vcpus, server.memory_mb, server.disk_gb) for server in servers],
            dtype=np.float64,
        ).reshape(len(servers), 3)
        placement = np.array([index[server.host] for server in servers], dtype=np.int64)
        movable = np.ones(len(servers), dtype=np.bool_)
        for array in (capacity, demand, placement, movable):
            array.setflags(write=False)
        return cls(tuple(hosts), tuple(servers), capacity, demand, placement, movable, groups)

    @cached_property
    def host_index(self) -> dict[str, int]:
        """Hostname to index."""
        return {host.hostname: position for position, host in enumerate(self.hosts)}

    @cached_property
    def server_index(self) -> dict[str, int]:
        """Uuid to index."""
        return {server.uuid: position for position, server in enumerate(self.servers)}

    @cached_property
    def rules(self) -> PlacementRules:
        """Where servers may be, apart from room."""
        return PlacementRules.of(self.hosts, self.servers, self.groups)

    @cached_property
    def available(self) -> Bools:
        """bool [H]: hosts that are up and enabled."""
        return np.array([host.available for host in self.hosts], dtype=np.bool_)

    def used(self, placement: Ints | None = None) -> Floats:
        """float [H, R]: the demand on each host, with *placement* instead of today's."""
        where = self.placement if placement is None else placement
        used = np.zeros_like(self.capacity)
        np.add.at(used, where, self.demand)
        return used
