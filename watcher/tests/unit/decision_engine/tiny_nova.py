# SPDX-License-Identifier: Apache-2.0
"""A nova of a few hosts."""

import dataclasses
import datetime
from typing import Any

from watcher.cloud.compute import Server
from watcher.decision_engine.collectors.compute_readings import GONE
from watcher.tests.unit.decision_engine.clusters import host, uid

BEGIN = datetime.datetime(2026, 1, 1)


class TinyNova:
    """Each change of a server takes a second, and may be archived."""

    def __init__(self, hosts: int = 3) -> None:
        self.now = BEGIN
        self.hosts = {f"h{number}": host(f"h{number}") for number in range(hosts)}
        self.servers: dict[str, Server] = {}
        self.changed: dict[str, datetime.datetime] = {}

    def changed_servers(self, since: datetime.datetime) -> list[Server]:
        return [self.servers[uuid] for uuid, when in self.changed.items() if when >= since]

    def live_servers(self) -> list[Server]:
        return [each for each in self.servers.values() if each.state not in GONE]

    def archive(self) -> None:
        """As nova-manage db archive_deleted_rows does."""
        for uuid in [uuid for uuid in self.changed if self.servers[uuid].state == "deleted"]:
            del self.changed[uuid]

    def create(self, name: str, on: str, pinned_az: str = "") -> None:
        if uid(name) not in self.servers and on in self.hosts:
            self._become(Server(uid(name), name, on, 2, 512, 13, pinned_az=pinned_az))

    def live_migrate(self, name: str, to: str) -> None:
        self._change(name, host=to)

    def resize(self, name: str, vcpus: int) -> None:
        self._change(name, vcpus=vcpus, flavor=f"of-{vcpus}")

    def power_off(self, name: str) -> None:
        self._change(name, state="stopped")

    def shelve(self, name: str) -> None:
        self._change(name, host="", state="shelved_offloaded")

    def soft_delete(self, name: str) -> None:
        self._change(name, state="soft-delete")

    def restore(self, name: str) -> None:
        if uid(name) in self.servers and self.servers[uid(name)].state == "soft-delete":
            self._become(dataclasses.replace(self.servers[uid(name)], state="active"))

    def delete(self, name: str) -> None:
        self._change(name, state="deleted")

    def disable(self, hostname: str, reason: str | None) -> None:
        if hostname in self.hosts:
            status = "disabled" if reason else "enabled"
            self.hosts[hostname] = dataclasses.replace(
                self.hosts[hostname], status=status, disabled_reason=reason
            )

    def add_host(self, hostname: str) -> None:
        self.hosts.setdefault(hostname, host(hostname))

    def remove_host(self, hostname: str) -> None:
        if hostname not in {each.host for each in self.live_servers()}:
            self.hosts.pop(hostname, None)

    def _change(self, of: str, **changes: Any) -> None:
        server = self.servers.get(uid(of))
        movable = server is not None and server.state not in GONE | {"shelved_offloaded"}
        if movable and changes.get("host", "") in {"", *self.hosts}:
            self._become(dataclasses.replace(server, **changes))

    def _become(self, server: Server) -> None:
        self.now += datetime.timedelta(seconds=1)
        self.servers[server.uuid] = server
        self.changed[server.uuid] = self.now
