# SPDX-License-Identifier: Apache-2.0
"""The hosts that a simulated cloud gives to servers that move, as nova's scheduler would."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property

from watcher.cloud.compute import Host, Server, ServerGroup
from watcher.cloud.places import why_not_placed
from watcher.common.errors import CloudRefused
from watcher.simulation.migrations import SimulatedMigration
from watcher.simulation.room import Taken, left, refusal


@dataclasses.dataclass(frozen=True)
class Destinations:
    """The state that the choice depends on."""

    hosts: Mapping[str, Host]
    """By hostname, as is *taken*."""
    taken: Taken
    groups: Sequence[ServerGroup]
    servers: Mapping[str, Server]
    """By uuid."""
    moves: Mapping[str, SimulatedMigration]
    """Migrations under way or not confirmed, by the uuid of the server: it counts on both hosts."""

    def choose(self, server: Server, wanted: str | None, may_stay: bool) -> str:
        """The name of the host to move to.  CloudRefused if *wanted*, or every host, is unfit."""
        if may_stay and not refusal(server, self.hosts[server.host], self.taken):
            return server.host
        if wanted is None:
            return self._best(server)
        if wanted == server.host:
            raise CloudRefused(f"Server {server.uuid} is on host {wanted} already.")
        if wanted not in self.hosts:
            raise CloudRefused(f"Host {wanted} was not found.")
        if why_not := self._refusal(server, self.hosts[wanted]):
            raise CloudRefused(why_not)
        return wanted

    def _best(self, server: Server) -> str:
        """Wishes of soft groups count more than free memory."""
        fit = [
            host
            for host in self.hosts.values()
            if host.hostname != server.host and not self._refusal(server, host)
        ]
        if not fit:
            raise CloudRefused(f"No host has room for server {server.uuid}.")
        rank = {
            host.hostname: (self._wishes(server, host.hostname), left(host, self.taken)[1])
            for host in fit
        }
        return max(rank, key=lambda name: rank[name])

    def _refusal(self, server: Server, host: Host) -> str | None:
        if why_not := refusal(server, host, self.taken):
            return why_not
        if why_not := why_not_placed(server, host, self._keys):
            return f"Host {host.hostname} {why_not}; server {server.uuid} cannot go there."
        for group, hosts in self._groups(server):
            limit = group.max_server_per_host
            there = [*hosts, *group.unlisted].count(host.hostname)
            if group.policy == "anti-affinity" and there >= limit:
                return f"Host {host.hostname} has {limit} of group {group.uuid} already."
            if group.policy == "affinity" and host.hostname not in [*hosts, server.host]:
                return f"Server {server.uuid} would leave its group {group.uuid}."
        return None

    @cached_property
    def _keys(self) -> set[str]:
        """Those of all aggregates."""
        hosts = self.hosts.values()
        return {key for host in hosts for each in host.aggregates for key in each.metadata}

    def _wishes(self, server: Server, hostname: str) -> int:
        """How many other members a host has, less those that wish to be apart."""
        signs = {"soft-affinity": 1, "soft-anti-affinity": -1}
        groups = self._groups(server)
        return sum(signs.get(each.policy, 0) * hosts.count(hostname) for each, hosts in groups)

    def _groups(self, server: Server) -> list[tuple[ServerGroup, list[str]]]:
        """The groups of a server, and the hosts on which each other member counts."""
        return [
            (
                group,
                [name for uuid in group.members if uuid != server.uuid for name in self._at(uuid)],
            )
            for group in self.groups
            if server.uuid in group.members
        ]

    def _at(self, uuid: str) -> set[str]:
        server, move = self.servers.get(uuid), self.moves.get(uuid)
        names = {move.source, move.destination} if move else set[str]()
        return names | {server.host} - {""} if server else set()


def shown_groups(groups: Sequence[ServerGroup], servers: Sequence[Server]) -> list[ServerGroup]:
    """The groups with their soft-deleted members, which are in no list of *servers*."""
    hidden = [each for each in servers if each.state == "soft-delete"]
    return [
        dataclasses.replace(
            group,
            unlisted=[
                *group.unlisted,
                *(each.host for each in hidden if each.uuid in group.members),
            ],
        )
        for group in groups
    ]
