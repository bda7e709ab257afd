# SPDX-License-Identifier: Apache-2.0
"""Hosts and servers generated from a seed: unbalanced, and never over capacity."""

import dataclasses
import random
import uuid as uuidlib
from collections.abc import Mapping
from typing import Any

from watcher.common.errors import Invalid

_FLAVORS = ((1, 2048, 20), (2, 4096, 40), (4, 8192, 80))
"""vCPUs, memory MB, disk GB."""
_POPULARITY = (35, 45, 20)
_TRIES = 200


@dataclasses.dataclass(frozen=True)
class CloudSize:
    """The size of the cloud to generate."""

    hosts: int
    servers: int
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class _Kind:
    share: float
    """Servers of such a host, as a multiple of those of a usual host."""
    cpu: tuple[float, float]
    """Percent, from and to."""


_KINDS = {_Kind(1.1, (40, 65)): 0.2, _Kind(0.9, (10, 30)): 0.2, _Kind(1.0, (25, 55)): 0.6}
"""Hot, idle and usual hosts, and how many of all are of each kind."""


def generate(size: CloudSize) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Entries for ``hosts`` and ``servers`` of a scenario.  Equal sizes give equal entries.

    Invalid if the servers do not fit.
    """
    draw = random.Random(size.seed)
    hosts = [_host(number, draw) for number in range(size.hosts)]
    kinds = draw.choices([*_KINDS], [*_KINDS.values()], k=len(hosts))
    free = [[2.0 * host["vcpus"], host["memory_mb"] - 4096, host["disk_gb"]] for host in hosts]
    shares = [kind.share for kind in kinds]
    servers = []
    for number in range(size.servers):
        flavor = draw.choices(_FLAVORS, _POPULARITY)[0]
        place = _place(flavor, free, shares, draw)
        for resource, amount in enumerate(flavor):
            free[place][resource] -= amount
        servers.append(_server(number, flavor, hosts[place], kinds[place], draw))
    return hosts, servers


def _host(number: int, draw: random.Random) -> dict[str, Any]:
    return {
        "uuid": _uuid(draw),
        "hostname": f"compute-{number:04}",
        "vcpus": 32,
        "memory_mb": 131072,
        "disk_gb": 4000,
        "memory_mb_reserved": 4096,
        "vcpu_ratio": 2.0,
        "zone": "nova",
    }


def _server(
    number: int,
    flavor: tuple[int, int, int],
    host: Mapping[str, Any],
    kind: _Kind,
    draw: random.Random,
) -> dict[str, Any]:
    vcpus, memory_mb, disk_gb = flavor
    return {
        "uuid": _uuid(draw),
        "name": f"server-{number:05}",
        "host": host["hostname"],
        "vcpus": vcpus,
        "memory_mb": memory_mb,
        "disk_gb": disk_gb,
        "cpu": round(draw.uniform(*kind.cpu), 1),
        "ram": int(memory_mb * draw.uniform(0.3, 0.9)),
    }


def _place(
    flavor: tuple[int, int, int], free: list[list[float]], shares: list[float], draw: random.Random
) -> int:
    for _ in range(_TRIES):
        place = draw.choices(range(len(free)), shares)[0]
        if all(left >= amount for left, amount in zip(free[place], flavor, strict=True)):
            return place
    raise Invalid("generate: the servers do not fit on the hosts; ask for fewer, or more hosts.")


def _uuid(draw: random.Random) -> str:
    return str(uuidlib.UUID(int=draw.getrandbits(128), version=4))
