# SPDX-License-Identifier: Apache-2.0
"""The compute snapshot: dataclasses, and arrays for strategies in the same order."""

import dataclasses
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import attrgetter
from typing import TypeVar

import numpy as np

from watcher.cloud.compute import DISABLED, RESOURCES, Host, Server, ServerGroup
from watcher.model.placement_rules import PlacementRules
from watcher.model.types import Bools, Floats, Ints

VCPU, MEMORY, DISK, PCPU = 0, 1, 2, 3
"""Columns of ``capacity`` and ``demand``: shared vCPUs, MiB, GB, dedicated CPUs."""

_uuid = attrgetter("uuid")

Array = TypeVar("Array", Floats, Ints, Bools)


@dataclasses.dataclass(frozen=True, eq=False)
class ComputeModel:
    """A cluster at one moment.  Immutable: a what-if copies ``placement`` only.

    With H hosts and V servers, and R = shared vCPUs, memory MiB, disk GB, dedicated CPUs:

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
    staying: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Server uuid to why it has to stay because of earlier plans, a key of ``undone.REASONS``."""
    not_taking: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Hostname to why the plan moves no servers to it, a key of ``undone.REASONS``."""

    confined: bool = True
    """Whether servers on hosts that are reserved for their project stay on such hosts, which nova
    may be configured to demand."""

    @classmethod
    def build(
        cls, hosts: Sequence[Host], servers: Sequence[Server], groups: Sequence[ServerGroup] = ()
    ) -> "ComputeModel":
        """A snapshot of *hosts* and of those *servers* that are on one of them.

        Both are sorted by uuid, so that equal clouds give equal snapshots.
        """
        hosts = sorted(hosts, key=_uuid)
        index = _index(hosts)
        servers = sorted((each for each in servers if each.host in index), key=_uuid)
        return cls(
            tuple(hosts),
            tuple(servers),
            _frozen(_capacity(hosts)),
            _frozen(_demand(servers)),
            _frozen(_placement(servers, index)),
            _frozen(np.ones(len(servers), dtype=np.bool_)),
            tuple(groups),
        )

    def has_hosts(self, hosts: Sequence[Host]) -> bool:
        """Whether its hosts are *hosts*, sorted by uuid; other fields of them may differ."""
        return len(hosts) == len(self.hosts) and all(
            one.uuid == other.uuid and one.hostname == other.hostname
            for one, other in zip(hosts, self.hosts, strict=True)
        )

    def updated(
        self,
        hosts: Sequence[Host],
        changes: Mapping[str, Server | None],
        groups: Sequence[ServerGroup],
    ) -> "ComputeModel":
        """The snapshot that ``build`` would make after *changes*; *self* if there are none.

        *hosts* are as in ``has_hosts``, *changes* servers by uuid.  Servers that are None or on
        none of the hosts are removed.  *self* is a snapshot of everything.
        """
        hosts = self.hosts if self.hosts == tuple(hosts) else tuple(hosts)
        index = self.host_index
        come = sorted((each for each in changes.values() if each and each.host in index), key=_uuid)
        gone = [position for uuid in changes if (position := self.position(uuid)) is not None]
        if hosts is self.hosts and groups == self.groups and not (gone or come):
            return self
        kept = np.ones(len(self.servers), dtype=np.bool_)
        kept[gone] = False
        servers = list(compress(self.servers, kept))
        at = [bisect_left(servers, each.uuid, key=_uuid) for each in come]
        return ComputeModel(
            hosts,
            _merged(servers, at, come),
            self.capacity if hosts is self.hosts else _frozen(_capacity(hosts)),
            _frozen(np.insert(self.demand[kept], at, _demand(come), axis=0)),
            _frozen(np.insert(self.placement[kept], at, _placement(come, index))),
            _frozen(np.ones(len(servers) + len(come), dtype=np.bool_)),
            tuple(groups),
        )

    @cached_property
    def free_to_leave_zones(self) -> "ComputeModel":
        """A snapshot in which servers may leave the zones in which they may have been
        requested, and the hosts of their project: for destinations that a person names."""
        servers = [
            dataclasses.replace(each, zone="") if each.zone else each for each in self.servers
        ]
        return dataclasses.replace(self, servers=tuple(servers), confined=False)

    def position(self, uuid: str) -> int | None:
        """The index of a server. For a few servers this is faster than ``server_index``."""
        position = bisect_left(self.servers, uuid, key=_uuid)
        found = position < len(self.servers) and self.servers[position].uuid == uuid
        return position if found else None

    @cached_property
    def host_index(self) -> dict[str, int]:
        """Hostname to index."""
        return _index(self.hosts)

    @cached_property
    def server_index(self) -> dict[str, int]:
        """Uuid to index."""
        return {server.uuid: position for position, server in enumerate(self.servers)}

    @cached_property
    def server_of(self) -> dict[str, Server]:
        """Uuid to server."""
        return {server.uuid: server for server in self.servers}

    @cached_property
    def rules(self) -> PlacementRules:
        """On which hosts servers may be, apart from room."""
        return PlacementRules.of(self.hosts, self.servers, self.groups, self.demand, self.confined)

    @cached_property
    def available(self) -> Bools:
        """bool [H]: hosts that are up and enabled."""
        return np.array([host.available for host in self.hosts], dtype=np.bool_)

    @cached_property
    def up(self) -> Bools:
        """bool [H]"""
        return np.array([host.state == "up" for host in self.hosts], dtype=np.bool_)

    @cached_property
    def standby(self) -> Bools:
        """bool [H]: hosts that are up, and that Watcher disabled because they had no servers."""
        disabled = [host.disabled_as == DISABLED for host in self.hosts]
        return self.up & np.array(disabled, dtype=np.bool_)

    @cached_property
    def taking(self) -> Bools:
        """bool [H]: those that are not in ``not_taking``."""
        return np.array([each.hostname not in self.not_taking for each in self.hosts], np.bool_)

    def servers_on(self, host: int) -> Ints:
        """The indices of its servers."""
        order, first = self._by_host
        return order[first[host] : first[host + 1]]

    @cached_property
    def _by_host(self) -> tuple[Ints, Ints]:
        """int [V], servers sorted by host; int [H + 1], where those of each host begin."""
        order = np.argsort(self.placement, kind="stable")
        return order, np.searchsorted(self.placement[order], np.arange(len(self.hosts) + 1))

    def used(self, placement: Ints | None = None) -> Floats:
        """float [H, R]: the demand on each host, with *placement* instead of today's."""
        where = self.placement if placement is None else placement
        used = np.zeros_like(self.capacity)
        np.add.at(used, where, self.demand)
        return used

    @cached_property
    def others(self) -> Floats:
        """float [H, R]: the allocations on each host that do not belong to its servers, for example
        of a server that is migrating to the host, or whose resize is not confirmed yet."""
        used = np.array(
            [[host.used.get(name, 0) for name in RESOURCES] for host in self.hosts], np.float64
        )
        return np.maximum(used.reshape(self.capacity.shape) - self.used(), 0)

    def free(self, placement: Ints | None = None) -> Floats:
        """float [H, R]: what is left of each host, with *placement* instead of today's."""
        return self.capacity - self.others - self.used(placement)


def _index(hosts: Sequence[Host]) -> dict[str, int]:
    return {host.hostname: position for position, host in enumerate(hosts)}


def _merged(
    servers: Sequence[Server], at: Sequence[int], come: Sequence[Server]
) -> tuple[Server, ...]:
    """*servers* with those in *come* inserted where they belong."""
    merged: list[Server] = []
    begin = 0
    for end, server in zip(at, come, strict=True):
        merged += servers[begin:end]
        merged.append(server)
        begin = end
    merged += servers[begin:]
    return tuple(merged)


def _capacity(hosts: Sequence[Host]) -> Floats:
    rows = [[each.capacity for each in host.inventories] for host in hosts]
    return np.array(rows, dtype=np.float64).reshape(len(hosts), len(RESOURCES))


def _demand(servers: Sequence[Server]) -> Floats:
    rows = [server.amounts for server in servers]
    return np.array(rows, dtype=np.float64).reshape(len(servers), len(RESOURCES))


def _placement(servers: Sequence[Server], index: Mapping[str, int]) -> Ints:
    return np.array([index[server.host] for server in servers], dtype=np.int64)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
