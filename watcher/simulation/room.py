# SPDX-License-Identifier: Apache-2.0
"""How much servers take of the hosts of a simulated cloud, and what is left."""

from collections.abc import Mapping
from typing import Any

from watcher.cloud.compute import Flavor, Host, Server

_RESOURCES = ("vCPUs", "MB of memory", "GB of disk")


def size(server: Server) -> list[int]:
    """vCPUs, MB and GB."""
    return [server.vcpus, server.memory_mb, server.disk_gb]


def sized(flavor: Flavor) -> dict[str, Any]:
    """What a server has of its flavor."""
    return {
        "flavor": flavor.name,
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb,
    }


def left(host: Host, taken: Mapping[str, list[int]]) -> tuple[float, float, float]:
    """vCPUs, MB and GB; *taken* is the same by hostname."""
    vcpus, memory_mb, disk_gb = taken[host.hostname]
    return (
        (host.vcpus - host.vcpus_reserved) * host.vcpu_ratio - vcpus,
        (host.memory_mb - host.memory_mb_reserved) * host.memory_ratio - memory_mb,
        (host.disk_gb - host.disk_gb_reserved) * host.disk_ratio - disk_gb,
    )


def refusal(server: Server, host: Host, taken: Mapping[str, list[int]]) -> str | None:
    """Why *host* cannot take *server*; None if it can."""
    if not host.available:
        return f"Host {host.hostname} is {host.status} and {host.state}; it takes no servers."
    for name, amount, room in zip(_RESOURCES, size(server), left(host, taken), strict=True):
        if amount > room:
            return (
                f"Server {server.uuid} needs {amount} {name}, "
                f"but host {host.hostname} has {room:g} left."
            )
    return None
