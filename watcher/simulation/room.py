# SPDX-License-Identifier: Apache-2.0
"""How much servers take of the hosts of a simulated cloud, and what is left."""

from collections.abc import Mapping
from typing import Any

from watcher.cloud.compute import Flavor, Host, Server

_NAMES = ("vCPUs", "MB of memory", "GB of disk", "dedicated CPUs")


def size(server: Server) -> list[int]:
    """In the order of ``RESOURCES``, as all amounts here."""
    return list(server.amounts)


def sized(flavor: Flavor) -> dict[str, Any]:
    """What a server has of its flavor."""
    return {
        "flavor": flavor.name,
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb,
    }


def left(host: Host, taken: Mapping[str, list[int]]) -> list[float]:
    """*taken* is by hostname."""
    pairs = zip(host.inventories, taken[host.hostname], strict=True)
    return [inventory.capacity - amount for inventory, amount in pairs]


def refusal(server: Server, host: Host, taken: Mapping[str, list[int]]) -> str | None:
    """Why *host* cannot take *server*; None if it can."""
    if not host.available:
        return f"Host {host.hostname} is {host.status} and {host.state}; it takes no servers."
    lacking = (server.needs.required - host.traits) | (server.needs.forbidden & host.traits)
    if lacking:
        names = ", ".join(sorted(lacking))
        return f"Server {server.uuid} and host {host.hostname} do not agree on traits: {names}."
    rooms = zip(_NAMES, size(server), host.inventories, left(host, taken), strict=True)
    for name, amount, inventory, room in rooms:
        if not inventory.allows(amount):
            return f"Host {host.hostname} gives no server {amount} {name}, as {server.uuid} needs."
        if amount and amount > room:
            return (
                f"Server {server.uuid} needs {amount} {name}, "
                f"but host {host.hostname} has {room:g} left."
            )
    return None
