# SPDX-License-Identifier: Apache-2.0
"""Clusters of the sizes that benchmarks are run on, unbalanced on purpose.

A fifth of the hosts is hot, a fifth nearly idle, one in fifty empty and disabled; no
host is over its capacity.  The same size gives the same cluster.
"""

import json
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from watcher.cloud.baremetal import BaremetalNode
from watcher.cloud.block_storage import Pool, StorageNode, Volume, VolumeType
from watcher.cloud.compute import Host, Server
from watcher.model.baremetal import BaremetalModel
from watcher.model.storage import StorageModel

SIZES = {
    "50x500": (50, 500),
    "200x4000": (200, 4000),
    "500x10000": (500, 10000),
    "1000x20000": (1000, 20000),
}

_HOSTS = ((48, 196608, 3000), (64, 262144, 4000), (96, 393216, 6000))
_HOSTS_SHARE = (30, 50, 20)
_FLAVORS = ((1, 2048, 20), (2, 4096, 40), (4, 8192, 80), (8, 16384, 160), (8, 32768, 80))
_FLAVORS_SHARE = (35, 30, 22, 10, 3)
_KINDS = {"hot": (0.2, 1.6, (55, 98)), "idle": (0.2, 0.45, (1, 12)), "warm": (0.6, 1.0, (15, 55))}
"""Kind of host: its share of the hosts, its number of servers as a multiple of the usual one, the
least and greatest CPU use of these in percent."""


def write(path: Path, hosts: int, servers: int) -> Path:
    """Write a cluster as a file for ``[cloud] simulation``."""
    path.write_text(json.dumps(make(hosts, servers)))
    return path


def make(hosts: int, servers: int) -> dict[str, Any]:
    draw = random.Random(f"{hosts}x{servers}")
    empty = max(1, hosts // 50)
    entries = [_host(draw, number, number >= hosts - empty) for number in range(hosts)]
    usable = entries[: hosts - empty]
    kinds = draw.choices(
        list(_KINDS.values()), [kind[0] for kind in _KINDS.values()], k=len(usable)
    )
    pull = [kind[1] * host["vcpus"] for kind, host in zip(kinds, usable, strict=True)]
    free = [
        [2.0 * host["vcpus"], host["memory_mb"] - host["memory_mb_reserved"], host["disk_gb"]]
        for host in usable
    ]
    places = range(len(usable))
    placed: list[dict[str, Any]] = []
    while len(placed) < servers:
        flavor = draw.choices(_FLAVORS, _FLAVORS_SHARE)[0]
        place = draw.choices(places, pull)[0]
        if all(wanted <= left for wanted, left in zip(flavor, free[place], strict=True)):
            free[place] = [left - wanted for wanted, left in zip(flavor, free[place], strict=True)]
            cpu = round(draw.uniform(*kinds[place][2]), 2)
            placed.append(_server(draw, len(placed), usable[place]["hostname"], flavor, cpu))
    return {
        "hosts": entries,
        "servers": placed,
        "metrics": _metrics(entries, placed),
        "migration_seconds": 0,
    }


def _metrics(
    hosts: Sequence[dict[str, Any]], servers: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The values of sensors: a fifth of the hosts is too warm, and a tenth of the servers is
    noisy."""
    draw = random.Random(f"sensors of {len(hosts)}x{len(servers)}")
    return {
        "host": {
            host["uuid"]: {
                "host_outlet_temp": draw.uniform(*warm),
                "host_airflow": 10 * draw.uniform(*warm),
                "host_inlet_temp": draw.uniform(20, 30),
                "host_power": draw.uniform(200, 600),
            }
            for host in hosts
            for warm in draw.choices([(40, 50), (20, 34)], [1, 4])
        },
        "instance": {
            server["uuid"]: {"instance_l3_cache_usage": {"100": now, "200": 1e6}}
            for server in servers
            for now in draw.choices([2e5, 1e6, 1.8e6], [1, 8, 1])
        },
    }


def _host(draw: random.Random, number: int, disabled: bool) -> dict[str, Any]:
    vcpus, memory_mb, disk_gb = draw.choices(_HOSTS, _HOSTS_SHARE)[0]
    return {
        "uuid": _uuid(draw),
        "hostname": f"compute-{number:04d}",
        "vcpus": vcpus,
        "memory_mb": memory_mb,
        "disk_gb": disk_gb,
        "memory_mb_reserved": 4096,
        "vcpu_ratio": 2.0,
        "status": "disabled" if disabled else "enabled",
        "zone": f"az{number % 4}",
    }


def _server(
    draw: random.Random, number: int, hostname: str, flavor: tuple[int, int, int], cpu: float
) -> dict[str, Any]:
    vcpus, memory_mb, disk_gb = flavor
    state = draw.choices(("active", "paused", "stopped"), (94, 3, 3))[0]
    return {
        "uuid": _uuid(draw),
        "name": f"vm-{number:06d}",
        "host": hostname,
        "vcpus": vcpus,
        "memory_mb": memory_mb,
        "disk_gb": disk_gb,
        "state": state,
        "cpu": cpu if state == "active" else 0.0,
        "ram": int(memory_mb * draw.uniform(0.3, 0.95)),
    }


def _uuid(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def storage(hosts: Sequence[Host], servers: Sequence[Server]) -> StorageModel:
    """A pool for each host and a volume for each server, half of them of a type.

    A third of the pools is too full.
    """
    draw = random.Random(len(servers))
    backends = [f"b{number}" for number in range(20)]
    types = [VolumeType(each, each, {"volume_backend_name": each}) for each in backends]
    names = [
        f"{host.hostname}@{backends[number % len(backends)]}#pool"
        for number, host in enumerate(hosts)
    ]
    volumes = [
        Volume(
            server.uuid,
            server.name,
            draw.choice((10, 20, 50, 100, 200)),
            host,
            status=draw.choice(("available", "in-use")),
            volume_type=draw.choice(("", host.partition("@")[2].partition("#")[0])),
        )
        for server, host in zip(
            servers,
            draw.choices(names, draw.choices((0.3, 1, 2), k=len(names)), k=len(servers)),
            strict=True,
        )
    ]
    used = dict.fromkeys(names, 0)
    for volume in volumes:
        used[volume.host] += volume.size_gb
    pools = [_pool(name, max(2500, used[name]), used[name]) for name in names]
    return StorageModel.build([StorageNode(pool.node) for pool in pools], pools, volumes, types)


def _pool(name: str, total: int, used: int) -> Pool:
    return Pool(
        name,
        total_capacity_gb=total,
        free_capacity_gb=total - used,
        allocated_capacity_gb=used,
        capabilities={"volume_backend_name": name.partition("@")[2].partition("#")[0]},
    )


def machines(hosts: Sequence[Host]) -> BaremetalModel:
    """A machine that is on for each host."""
    nodes = (BaremetalNode(host.uuid, host.hostname, "on", host_uuid=host.uuid) for host in hosts)
    return BaremetalModel(tuple(nodes), keeps_hosts_up=True)
