# SPDX-License-Identifier: Apache-2.0
"""The room on the hosts of a simulated cloud: what servers take, and what is left.

Amounts are in the order of ``RESOURCES``; *taken* are those that are taken, by hostname.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from watcher.cloud.compute import RESOURCES, Flavor, Host, Server

Taken = Mapping[str, list[int]]

_NAMES = ("vCPUs", "MB of memory", "GB of disk", "dedicated CPUs")


def sized(flavor: Flavor) -> dict[str, Any]:
    """The fields of a server that come from its flavor."""
    return {
        "flavor": flavor.name,
        "vcpus": flavor.vcpus,
        "memory_mb": flavor.memory_mb,
        "disk_gb": flavor.disk_gb,
    }


def left(host: Host, taken: Taken) -> list[float]:
    pairs = zip(host.inventories, taken[host.hostname], strict=True)
    return [inventory.capacity - amount for inventory, amount in pairs]


def refusal(server: Server, host: Host, taken: Taken) -> str | None:
    """Why *host* cannot take *server*; None if it can."""
    if not host.available:
        return f"Host {host.hostname} is {host.status} and {host.state}; it takes no servers."
    lacking = (server.needs.required - host.traits) | (server.needs.forbidden & host.traits)
    if lacking:
        names = ", ".join(sorted(lacking))
        return f"Server {server.uuid} and host {host.hostname} do not agree on traits: {names}."
    rooms = zip(_NAMES, server.amounts, host.inventories, left(host, taken), strict=True)
    for name, amount, inventory, room in rooms:
        if not inventory.allows(amount):
            return f"Host {host.hostname} gives no server {amount} {name}, as {server.uuid} needs."
        if amount and amount > room:
            return (
                f"Server {server.uuid} needs {amount} {name}, "
                f"but host {host.hostname} has {room:g} left."
            )
    return None


def total(
    hosts: Iterable[str], others: Taken, claims: Iterable[tuple[str, Sequence[int]]]
) -> dict[str, list[int]]:
    """The amounts that *others* and *claims*, (hostname, amounts), take of each of *hosts*."""
    taken = {name: list(others.get(name, [0] * len(RESOURCES))) for name in hosts}
    for hostname, claim in claims:
        taken[hostname] = [old + new for old, new in zip(taken[hostname], claim, strict=True)]
    return taken


def used_by_others(hosts: Iterable[Host], servers: Collection[Server]) -> dict[str, list[int]]:
    """Hostname to the initially used amounts of a host, less those of its servers."""
    used = {host.hostname: host.used for host in hosts if host.used}
    others = {
        name: [amounts.get(resource, 0) for resource in RESOURCES] for name, amounts in used.items()
    }
    for server in servers:
        if server.host in others:
            pairs = zip(others[server.host], server.amounts, strict=True)
            others[server.host] = [rest - amount for rest, amount in pairs]
    return {name: [max(0, each) for each in amounts] for name, amounts in others.items()}
