# SPDX-License-Identifier: Apache-2.0
"""The known hosts and servers, and the model that is made of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from watcher.cloud.compute import RESOURCES, Host, Server, ServerGroup
from watcher.cloud.nested import Nested, nested_of, with_nested

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

GONE = frozenset({"deleted", "soft-delete"})
"""States of servers that nova's list of servers leaves out."""


class ComputeReadings:
    """The last reading of everything, with later readings of what has changed applied to it."""

    def __init__(self) -> None:
        self._hosts: Sequence[Host] = ()
        self._servers: dict[str, Server] = {}
        self._taken = Counter[tuple[str, str]]()
        """What servers take, by the hostname and a name of ``RESOURCES``."""
        self._nested: Nested = {}
        self._groups: Sequence[ServerGroup] = ()
        self._elsewhere: set[str] = {""}
        """Names of hosts that have servers but are no compute hosts, such as those of bare
        metal."""
        self._model: ComputeModel | None = None
        self._changed: set[str] = set()
        """Uuids of the servers that may differ from those of the model."""

    def read_all(
        self,
        hosts: Iterable[Host],
        servers: Iterable[Server],
        groups: Iterable[ServerGroup],
        deleted: Collection[str] = (),
    ) -> None:
        """Store a complete reading; servers in *deleted*, uuids, are left out."""
        self._servers = {
            each.uuid: each
            for each in servers
            if each.state not in GONE and each.uuid not in deleted
        }
        self._taken.clear()
        for server in self._servers.values():
            self._count(server, 1)
        self._model = None
        self._replace_hosts(hosts, groups)
        names = {host.hostname for host in self._hosts}
        self._elsewhere = {each.host for each in self._servers.values()} - names | {""}

    def read_changes(
        self,
        hosts: Sequence[Host],
        changed: Sequence[Server],
        groups: Iterable[ServerGroup],
        deleted: Collection[str] = (),
    ) -> bool:
        """Store a reading of the hosts, and of the servers *changed* since the last one.

        The list of changes lacks a server that was deleted and archived in between, so *deleted*,
        uuids, are removed as well.  False, and nothing is stored, if a server is on a host that is
        not known.
        """
        if not self._fits(hosts, changed):
            return False
        gone = {server.uuid for server in changed if server.state in GONE}.union(deleted)
        now: dict[str, Server | None] = {server.uuid: server for server in changed}
        now |= dict.fromkeys(gone)
        for uuid, server in now.items():
            before = self._servers.pop(uuid, None)
            if server is not None:
                self._servers[uuid] = server
            if before != server:
                self._changed.add(uuid)
                self._count(before, -1)
                self._count(server, 1)
        self._replace_hosts(hosts, groups)
        return True

    def doubted(self) -> Sequence[str]:
        """The names of the hosts of which more is used than their servers take."""
        return [
            host.hostname
            for host in self._hosts
            if any(host.used.get(name, 0) > self._taken[host.hostname, name] for name in RESOURCES)
        ]

    def read_used(self, used: Mapping[str, Mapping[str, int]]) -> None:
        """Store by hostname what is used of hosts."""
        self._hosts = [
            dataclasses.replace(host, used=used[host.hostname]) if host.hostname in used else host
            for host in self._hosts
        ]

    def model(self) -> ComputeModel:
        """The model; the same object until something changes."""
        from watcher.model.compute import ComputeModel

        nested = self._nested
        if self._model is not None and self._model.has_hosts(self._hosts):
            found = {uuid: self._servers.get(uuid) for uuid in self._changed}
            changes = {uuid: each and with_nested(each, nested) for uuid, each in found.items()}
            self._model = self._model.updated(self._hosts, changes, self._groups)
        else:
            servers = [with_nested(each, nested) for each in self._servers.values()]
            self._model = ComputeModel.build(self._hosts, servers, self._groups)
        self._changed.clear()
        return self._model

    def _count(self, server: Server | None, times: int) -> None:
        if server is not None and server.host:
            for name, amount in zip(RESOURCES, server.amounts, strict=True):
                self._taken[server.host, name] += times * amount

    def _replace_hosts(self, hosts: Iterable[Host], groups: Iterable[ServerGroup]) -> None:
        self._hosts = sorted(hosts, key=lambda host: host.uuid)
        self._groups = tuple(groups)
        before, self._nested = self._nested, nested_of(self._hosts)
        self._changed |= {uuid for (_, uuid), _ in before.items() ^ self._nested.items()}

    def _fits(self, hosts: Sequence[Host], changed: Sequence[Server]) -> bool:
        """Whether every host that has servers is known, as a compute host or as another one."""
        names = {host.hostname for host in hosts}
        now = {server.uuid: server for server in changed}
        if any(host.hostname not in names for host in self._hosts):
            now = {**self._servers, **now}
        named = {server.host for server in now.values() if server.state not in GONE}
        return named <= names | self._elsewhere
