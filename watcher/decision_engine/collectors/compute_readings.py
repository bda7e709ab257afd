# SPDX-License-Identifier: Apache-2.0
"""The known hosts and servers: the last reading, with later notifications applied."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cloud.compute import Host, Server, ServerGroup

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

T = TypeVar("T")
_Notified = tuple[datetime.datetime, T | None]
"""The time of a notification, and its content; None: the host or server is gone."""

GONE = frozenset({"deleted", "soft-delete"})
"""States of servers that nova's list of servers leaves out."""


class ComputeReadings:
    """Two layers: the last reading, and above it the notifications that were sent after it.

    Notifications count until the next reading, which corrects wrong ones and replaces lost ones.
    Times are UTC.
    """

    def __init__(self) -> None:
        self.read_at: datetime.datetime | None = None
        """When the last reading began; None before the first."""
        self._hosts: dict[str, Host] = {}
        self._servers: dict[str, Server] = {}
        self._groups: Sequence[ServerGroup] = ()
        self._notified_hosts: dict[str, _Notified[Mapping[str, Any]]] = {}
        self._notified_servers: dict[str, _Notified[Server]] = {}
        self._elsewhere: set[str] = {""}
        """Names of hosts that have servers but are no compute hosts, such as those of bare
        metal."""
        self._model: ComputeModel | None = None
        self._changed: set[str] = set()
        """Uuids of the servers that may differ from those of the model."""

    def read_all(
        self,
        began: datetime.datetime,
        hosts: Iterable[Host],
        servers: Iterable[Server],
        groups: Iterable[ServerGroup],
    ) -> None:
        """Store a complete reading that began at *began*."""
        named = self._notified_hostnames()
        self._servers = {each.uuid: each for each in servers if each.state not in GONE}
        self._model = None
        self._take(began, hosts, groups)
        named |= {each.host for each in self._servers.values()}
        # Hosts of which a notification arrived during the reading may be too new to be in it.
        self._elsewhere = (named - self._hosts.keys() - self._notified_hostnames()) | {""}

    def read_changes(
        self,
        began: datetime.datetime,
        hosts: Sequence[Host],
        changed: Sequence[Server],
        groups: Iterable[ServerGroup],
    ) -> bool:
        """Store a reading of the hosts, and of the servers *changed* since the last one.

        False, and nothing is stored, if a server is on a host that is not known.
        """
        if not self._fits(hosts, changed):
            return False
        for server in changed:
            if self._servers.get(server.uuid) != server:
                self._changed.add(server.uuid)
            if server.state in GONE:
                self._servers.pop(server.uuid, None)
            else:
                self._servers[server.uuid] = server
        # The list of changes lacks a server that was deleted and archived in between; only its
        # notification shows that.
        for uuid in self._notified_deletions() - {server.uuid for server in changed}:
            self._servers.pop(uuid, None)
        self._take(began, hosts, groups)
        return True

    def update_server(self, sent: datetime.datetime, uuid: str, server: Server | None) -> None:
        """Apply a notification of *sent* about a server; None: the server is gone."""
        if self._is_old(sent, self._notified_servers.get(uuid)):
            return
        self._notified_servers[uuid] = sent, server
        self._changed.add(uuid)

    def update_host(
        self,
        sent: datetime.datetime,
        hostname: str,
        changes: Mapping[str, Any] | None,
        is_new: bool = False,
    ) -> None:
        """Apply a notification of *sent* about fields of a host; None: the host is gone."""
        if is_new and not self._is_old(sent, None):
            self._elsewhere.discard(hostname)  # It may have come back since the last reading.
        if not self._is_old(sent, self._notified_hosts.get(hostname)):
            self._notified_hosts[hostname] = sent, changes

    @property
    def complete(self) -> bool:
        """Whether the model is right without another reading.

        No notification has the inventory of a new host, the zone that a new server is
        pinned to, or what its image needs.
        """
        new = {uuid for uuid, (_, server) in self._notified_servers.items() if server}
        known = self._hosts.keys() | self._elsewhere
        return new <= self._servers.keys() and self._notified_hostnames() <= known

    def model(self) -> ComputeModel:
        """The model; the same object until something changes."""
        from watcher.model.compute import ComputeModel

        hosts = self._present_hosts()
        changes = {uuid: self._server(uuid) for uuid in self._changed}
        if self._model is not None and self._model.has_hosts(hosts):
            self._model = self._model.updated(hosts, changes, self._groups)
        else:
            known = map(self._server, self._servers.keys() | self._notified_servers.keys())
            servers = [server for server in known if server is not None]
            self._model = ComputeModel.build(hosts, servers, self._groups)
        self._changed.clear()
        return self._model

    def _take(
        self, began: datetime.datetime, hosts: Iterable[Host], groups: Iterable[ServerGroup]
    ) -> None:
        self._hosts = {host.hostname: host for host in hosts}
        self._groups = tuple(groups)
        self._notified_hosts = _since(began, self._notified_hosts)
        notified = _since(began, self._notified_servers)
        self._changed |= self._notified_servers.keys() - notified.keys()
        self._notified_servers = notified
        self.read_at = began

    def _fits(self, hosts: Sequence[Host], changed: Sequence[Server]) -> bool:
        """Whether every host that has servers is known, as a compute host or as another one."""
        names = {host.hostname for host in hosts}
        now = {server.uuid: server for server in changed}
        lost = self._hosts.keys() - names
        if lost:
            now = {**self._servers, **now}
        named = {server.host for server in now.values() if server.state not in GONE}
        return named | self._notified_hostnames() <= names | self._elsewhere

    def _notified_hostnames(self) -> set[str]:
        """The hosts in notifications about hosts, and those of the servers in other
        notifications."""
        hosts = {name for name, (_, changes) in self._notified_hosts.items() if changes is not None}
        return hosts | {server.host for _, server in self._notified_servers.values() if server}

    def _notified_deletions(self) -> set[str]:
        return {uuid for uuid, (_, server) in self._notified_servers.items() if server is None}

    def _is_old(self, sent: datetime.datetime, notified: _Notified[Any] | None) -> bool:
        """Whether the last reading or notification is younger than one that was *sent* then."""
        if self.read_at is not None and sent < self.read_at:
            return True
        return notified is not None and sent < notified[0]

    def _server(self, uuid: str) -> Server | None:
        notified, read = self._notified_servers.get(uuid), self._servers.get(uuid)
        if notified is None:
            return read
        if notified[1] is None or read is None:
            return notified[1]
        now = dataclasses.replace(notified[1], pinned_az=read.pinned_az, zone=read.zone)
        if now.flavor == read.flavor:  # then the image has not changed either
            now = dataclasses.replace(now, needs=read.needs)
        return now

    def _present_hosts(self) -> list[Host]:
        hosts = dict(self._hosts)
        for hostname, (_, changes) in self._notified_hosts.items():
            if hostname not in hosts:
                continue
            if changes is None:
                del hosts[hostname]
            else:
                hosts[hostname] = dataclasses.replace(hosts[hostname], **changes)
        return sorted(hosts.values(), key=lambda host: host.uuid)


def _since(
    began: datetime.datetime, notified: Mapping[str, _Notified[T]]
) -> dict[str, _Notified[T]]:
    return {name: each for name, each in notified.items() if each[0] >= began}
