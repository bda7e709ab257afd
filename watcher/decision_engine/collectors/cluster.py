# SPDX-License-Identifier: Apache-2.0
"""What is known of a compute service: as it was last read, with what it told since."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cloud.compute import Host, Server, ServerGroup

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

T = TypeVar("T")
_Told = tuple[datetime.datetime, T | None]
"""When it was said, and what; None: that the thing is gone."""

GONE = frozenset({"deleted", "soft-delete"})
"""States of servers that nova's list of servers leaves out."""


class Cluster:
    """Two layers: what was read, and above it what was told later than that.

    What is told holds until the next reading, so whatever a notification gets wrong,
    and whichever gets lost, does not last.  Times are UTC.
    """

    def __init__(self) -> None:
        self.read_at: datetime.datetime | None = None
        """When the last reading began; None before the first."""
        self._hosts: dict[str, Host] = {}
        self._servers: dict[str, Server] = {}
        self._groups: Sequence[ServerGroup] = ()
        self._told_hosts: dict[str, _Told[Mapping[str, Any]]] = {}
        self._told_servers: dict[str, _Told[Server]] = {}
        self._elsewhere: set[str] = {""}
        """Hosts that are named but are no compute hosts of ours, such as those of bare metal."""
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
        """Take a reading of everything that began at *began*."""
        named = self._told_of()
        self._servers = {each.uuid: each for each in servers if each.state not in GONE}
        self._model = None
        self._take(began, hosts, groups)
        named |= {each.host for each in self._servers.values()}
        # What was told of while the hosts were read may have come too late to be among them.
        self._elsewhere = (named - self._hosts.keys() - self._told_of()) | {""}

    def read_changes(
        self,
        began: datetime.datetime,
        hosts: Sequence[Host],
        changed: Sequence[Server],
        groups: Iterable[ServerGroup],
    ) -> bool:
        """Take a reading of the hosts, and of the servers *changed* since the last one.

        False, and nothing taken, if that does not fit what is known.
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
        # Of a deleted server that was archived meanwhile only its notification tells.
        for uuid in self._told_gone() - {server.uuid for server in changed}:
            self._servers.pop(uuid, None)
        self._take(began, hosts, groups)
        return True

    def tell_server(self, sent: datetime.datetime, uuid: str, server: Server | None) -> None:
        """What was said of a server at *sent*; None: that it is gone."""
        if self._is_old(sent, self._told_servers.get(uuid)):
            return
        self._told_servers[uuid] = sent, server
        self._changed.add(uuid)

    def tell_host(
        self, sent: datetime.datetime, hostname: str, changes: Mapping[str, Any] | None
    ) -> None:
        """What was said of fields of a host at *sent*; None: that it is gone."""
        if not self._is_old(sent, self._told_hosts.get(hostname)):
            self._told_hosts[hostname] = sent, changes

    @property
    def complete(self) -> bool:
        """Whether no reading is needed to know how things are.

        No notification tells the inventory of a new host, or the zone that a new server
        is pinned to and what its image needs.
        """
        new = {uuid for uuid, (_, server) in self._told_servers.items() if server}
        known = self._hosts.keys() | self._elsewhere
        return new <= self._servers.keys() and self._told_of() <= known

    def model(self) -> ComputeModel:
        """The model of what is known.  The same object for as long as that is the same."""
        from watcher.model.compute import ComputeModel

        hosts = self._present_hosts()
        changes = {uuid: self._server(uuid) for uuid in self._changed}
        if self._model is not None and self._model.is_of(hosts):
            self._model = self._model.updated(hosts, changes, self._groups)
        else:
            known = map(self._server, self._servers.keys() | self._told_servers.keys())
            servers = [server for server in known if server is not None]
            self._model = ComputeModel.build(hosts, servers, self._groups)
        self._changed.clear()
        return self._model

    def _take(
        self, began: datetime.datetime, hosts: Iterable[Host], groups: Iterable[ServerGroup]
    ) -> None:
        self._hosts = {host.hostname: host for host in hosts}
        self._groups = tuple(groups)
        self._told_hosts = _since(began, self._told_hosts)
        told = _since(began, self._told_servers)
        self._changed |= self._told_servers.keys() - told.keys()
        self._told_servers = told
        self.read_at = began

    def _fits(self, hosts: Sequence[Host], changed: Sequence[Server]) -> bool:
        """Whether every host that is named is known to be ours or not to be."""
        names = {host.hostname for host in hosts}
        now = {server.uuid: server for server in changed}
        lost = self._hosts.keys() - names
        if lost:
            now = {**self._servers, **now}
        named = {server.host for server in now.values() if server.state not in GONE}
        return named | self._told_of() <= names | self._elsewhere

    def _told_of(self) -> set[str]:
        """The hosts that were told of, or on which servers were told to be."""
        hosts = {name for name, (_, changes) in self._told_hosts.items() if changes is not None}
        return hosts | {server.host for _, server in self._told_servers.values() if server}

    def _told_gone(self) -> set[str]:
        return {uuid for uuid, (_, server) in self._told_servers.items() if server is None}

    def _is_old(self, sent: datetime.datetime, told: _Told[Any] | None) -> bool:
        """Whether a reading, or what was told before, is younger than what was sent then."""
        if self.read_at is not None and sent < self.read_at:
            return True
        return told is not None and sent < told[0]

    def _server(self, uuid: str) -> Server | None:
        told, read = self._told_servers.get(uuid), self._servers.get(uuid)
        if told is None:
            return read
        if told[1] is None or read is None:
            return told[1]
        now = dataclasses.replace(told[1], pinned_az=read.pinned_az, zone=read.zone)
        if now.flavor == read.flavor:  # and the image, too, is the one that was read
            now = dataclasses.replace(now, needs=read.needs)
        return now

    def _present_hosts(self) -> list[Host]:
        hosts = dict(self._hosts)
        for hostname, (_, changes) in self._told_hosts.items():
            if hostname not in hosts:
                continue
            if changes is None:
                del hosts[hostname]
            else:
                hosts[hostname] = dataclasses.replace(hosts[hostname], **changes)
        return sorted(hosts.values(), key=lambda host: host.uuid)


def _since(began: datetime.datetime, told: Mapping[str, _Told[T]]) -> dict[str, _Told[T]]:
    return {name: each for name, each in told.items() if each[0] >= began}
