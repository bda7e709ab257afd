# SPDX-License-Identifier: Apache-2.0
"""Random changes of an emulated cloud, such as happen between the making of a plan and its
start."""

import random
from typing import Any

from watcher.tests.emulated.nova import Nova
from watcher.tests.emulated.placement import Placement

_OF_SERVERS: tuple[dict[str, Any], ...] = (
    {"locked": True},
    {"OS-EXT-STS:vm_state": "deleted"},
    {"OS-EXT-STS:vm_state": "stopped", "OS-EXT-STS:power_state": 4},
    {"OS-EXT-STS:task_state": "rebooting"},
)
_OF_HOSTS: tuple[dict[str, Any], ...] = ({"status": "disabled"}, {"state": "down"})


def change(nova: Nova, placement: Placement, draw: random.Random) -> None:
    """Change some servers and hosts, where they are, and what lets them be there."""
    hosts = [row for row in nova.hypervisors.values() if row["hypervisor_type"] != "ironic"]
    names = {row["service"]["host"] for row in hosts}
    for _ in range(draw.randint(1, 4)):
        servers = [ident for ident, row in nova.all.items() if row["OS-EXT-SRV-ATTR:host"] in names]
        if not servers:
            return
        server, host = draw.choice(servers), draw.choice(hosts)
        match draw.randrange(6):
            case 0:
                nova.touch(server, **draw.choice(_OF_SERVERS))
            case 1:
                host |= draw.choice(_OF_HOSTS)
            case 2:
                _move(nova, server, sorted(names), draw)
            case 3:
                placement.traits[host["id"]] ^= {"FAST"}
                placement.generations[host["id"]] += 1
            case 4:
                amounts = {"VCPU": draw.choice([1, 4, 8]), "MEMORY_MB": draw.choice([512, 4096])}
                placement.allocate(f"others {draw.random()}", {host["id"]: amounts})
            case 5:
                aggregate, name = draw.choice(nova.aggregates), host["service"]["host"]
                aggregate["hosts"] = sorted({*aggregate["hosts"]} ^ {name})


def _move(nova: Nova, server: str, names: list[str], draw: random.Random) -> None:
    zones = {each["host"]: each["zone"] for each in nova.compute_services.values()}
    if fit := [name for name in names if not nova.refusal(server, name)]:
        name = draw.choice(fit)
        where = {"OS-EXT-SRV-ATTR:host": name, "OS-EXT-AZ:availability_zone": zones[name]}
        nova.touch(server, **where)
