# SPDX-License-Identifier: Apache-2.0
"""The hosts and servers of a virtual cloud, in the order in which its arrays have them."""

import dataclasses
import uuid
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from watcher.cloud.compute import Host, Server
from watcher.model.compute import MEMORY, ComputeModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOSTS = ((32, 131072, 4000), (40, 196608, 4000), (48, 262144, 6000))
"""vCPUs (threads), MiB and GB of the kinds of hosts."""

HOSTS_SHARE = (0.25, 0.5, 0.25)

FLAVORS = ((1, 2048, 20), (2, 4096, 40), (4, 8192, 80), (8, 16384, 160), (8, 32768, 80))
FLAVORS_SHARE = (0.35, 0.30, 0.22, 0.10, 0.03)

VCPU_RATIO = 2.0
RESERVED_MB = 4096

CANDIDATES = 5
"""Hosts among which the scheduler takes the one with most free memory, as concurrent
requests make it."""

_SERVERS = 2**32
"""The first uuid of servers, as a number; that of hosts is 0."""


@dataclasses.dataclass(frozen=True)
class Inventory:
    """H hosts and V servers; uuids are sorted, as those of a ``ComputeModel`` are."""

    hosts: Sequence[Host]
    servers: Sequence[Server]
    """The servers on their first hosts."""
    vcpus: Floats
    """float [H]: the vCPUs of each host."""
    capacity: Floats
    """float [H, R] as in the model: with ratios and without reserves."""
    demand: Floats
    """[V, R], what the flavors ask for."""
    placement: Ints
    """[V], index of the first host of each server."""


def make(hosts: int, servers: int, draw: np.random.Generator) -> Inventory:
    """A cloud as a scheduler fills it; the same draws give the same cloud."""
    kinds = draw.choice(len(HOSTS), hosts, p=HOSTS_SHARE)
    flavors = draw.choice(len(FLAVORS), servers, p=FLAVORS_SHARE)
    all_hosts = [_host(number, *HOSTS[kind]) for number, kind in enumerate(kinds)]
    capacity = ComputeModel.build(all_hosts, []).capacity
    shared = np.array(FLAVORS, dtype=np.float64)[flavors]
    demand = np.hstack([shared, np.zeros((servers, 1))])  # no dedicated CPUs
    placement = _placed(capacity, demand, draw)
    return Inventory(
        hosts=all_hosts,
        servers=[
            _server(number, all_hosts[place].hostname, *FLAVORS[flavor])
            for number, (place, flavor) in enumerate(zip(placement, flavors, strict=True))
        ],
        vcpus=np.array([host.vcpus for host in all_hosts], dtype=np.float64),
        capacity=capacity,
        demand=demand,
        placement=placement,
    )


def roomiest(candidates: Ints, free: Floats, demand: Floats) -> int | None:
    """The candidate with most free memory that has room for *demand*; None if none has."""
    fits = candidates[(free[candidates] >= demand).all(axis=1)]
    return int(fits[free[fits, MEMORY].argmax()]) if len(fits) else None


def _placed(capacity: Floats, demand: Floats, draw: np.random.Generator) -> Ints:
    free, placement = capacity.copy(), np.zeros(len(demand), dtype=np.int64)
    everywhere = np.arange(len(capacity))
    for server, wanted in enumerate(demand):
        some = draw.choice(len(capacity), min(CANDIDATES, len(capacity)), replace=False)
        host = roomiest(some, free, wanted)
        if host is None:
            host = roomiest(everywhere, free, wanted)
        if host is None:
            raise ValueError(f"{len(demand)} servers do not fit on {len(capacity)} hosts.")
        placement[server] = host
        free[host] -= wanted
    return placement


def _host(number: int, vcpus: int, memory_mb: int, disk_gb: int) -> Host:
    return Host(
        uuid=str(uuid.UUID(int=number, version=4)),
        hostname=f"compute-{number:04d}",
        vcpus=vcpus,
        memory_mb=memory_mb,
        disk_gb=disk_gb,
        memory_mb_reserved=RESERVED_MB,
        vcpu_ratio=VCPU_RATIO,
    )


def _server(number: int, hostname: str, vcpus: int, memory_mb: int, disk_gb: int) -> Server:
    return Server(
        uuid=str(uuid.UUID(int=_SERVERS + number, version=4)),
        name=f"vm-{number:06d}",
        host=hostname,
        vcpus=vcpus,
        memory_mb=memory_mb,
        disk_gb=disk_gb,
    )
