# SPDX-License-Identifier: Apache-2.0
"""The interface of a cloud's bare metal service, as far as Watcher needs it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from watcher.cloud.compute import Host


@dataclasses.dataclass(frozen=True, slots=True)
class BaremetalNode:
    """A machine, and the compute host that runs on it."""

    uuid: str
    name: str = ""
    power_state: str = "unknown"
    """``on``, ``off`` or ``unknown``, whatever the service calls it."""
    switches: bool | None = False
    """Whether it is being switched on or off; None if the service does not show it."""
    maintenance: bool = False
    maintenance_reason: str | None = None
    host_uuid: str | None = None
    """The compute host's uuid, if the service links it by that."""
    hostname: str | None = None
    """The compute host's hostname, if the service links it by that."""


class Baremetal(Protocol):
    """The bare metal service.

    Every method may raise CloudUnavailable (try again later) and CloudRefused (the service
    refused the request); those that name a node raise NotFound for an unknown one.
    """

    keeps_hosts_up: bool
    """Whether compute still shows a host as up when its machine is switched off."""

    def nodes(self) -> Sequence[BaremetalNode]: ...

    def node(self, uuid: str) -> BaremetalNode: ...

    def set_power(self, uuid: str, state: str) -> None:
        """Begin to switch a machine ``on`` or ``off``."""


def hosts_of(nodes: Iterable[BaremetalNode], hosts: Sequence[Host]) -> Mapping[str, Host]:
    """Node uuid to the compute host that runs on the node, if it is known.

    A machine's full name also matches a host with only its first part as name.
    """
    known = {host.hostname: host for host in hosts} | {host.uuid: host for host in hosts}
    found = {}
    for node in nodes:
        name = node.hostname or ""
        links = (node.host_uuid, name, name.partition(".")[0])
        host = next((known[link] for link in links if link in known), None)
        if host is not None:
            found[node.uuid] = host
    return found
