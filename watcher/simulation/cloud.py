# SPDX-License-Identifier: Apache-2.0
"""A cloud in memory, from a file: for demonstrations, tests and benchmarks.

Migrations take time and can fail.  The load of a host is that of its servers.  Nothing
runs in the background: each call first brings the cloud up to the present time of its clock.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_utils import timeutils

from watcher.cloud import Cloud, compute
from watcher.cloud.compute import RESOURCES, Flavor, Host, HostState, Server, ServerGroup
from watcher.common.errors import CloudRefused, Invalid, NotFound
from watcher.simulation import migrations, room
from watcher.simulation.baremetal import SimulatedBaremetal
from watcher.simulation.block_storage import SimulatedStorage
from watcher.simulation.destinations import Destinations, shown_groups
from watcher.simulation.fields import columns
from watcher.simulation.loads import SimulatedLoads
from watcher.simulation.migrations import EndedMigrations, SimulatedMigration, Switch
from watcher.simulation.scenario import Course, Scenario

_OF_HOST = ("status", "state", "disabled_reason")
_OF_SERVER = ("host", "state", "task_state")
"""The fields of hosts and servers that change."""


class SimulatedCloud:
    """The ``Compute`` of its ``cloud``.  Any thread may call it."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float] = time.monotonic) -> None:
        self.scenario, self._clock = scenario, clock
        self._lock = threading.RLock()
        self._began = clock()
        self._hosts = {host.hostname: host for host in scenario.hosts}
        self._servers = {server.uuid: server for server in scenario.servers}
        self._deleted: dict[str, Server] = {}
        self._others = room.used_by_others(scenario.hosts, scenario.servers)
        self._migrations: dict[str, SimulatedMigration] = {}
        self._unconfirmed: dict[str, SimulatedMigration] = {}
        self._ended = EndedMigrations()
        self._switches: dict[str, Switch] = {}
        self._failed: set[str] = set()
        """Servers whose last migration or resize failed."""
        self._changed: dict[str, datetime.datetime] = {}
        """When each server last changed, of those that have."""
        self.storage = (
            None if scenario.storage is None else SimulatedStorage(scenario.storage, clock)
        )
        self.baremetal = SimulatedBaremetal(scenario.machines, clock, self._power)
        self.loads = SimulatedLoads(scenario, self.servers, lambda: self._clock() - self._began)
        self.cloud = Cloud(
            compute_service=self,
            block_storage_service=self.storage,
            baremetal_service=self.baremetal if scenario.machines else None,
            own_metrics=self.loads,
        )

    @classmethod
    def from_file(
        cls, path: str | Path, clock: Callable[[], float] = time.monotonic
    ) -> "SimulatedCloud":
        """The cloud that a scenario file describes.  Invalid if the file does not fit."""
        return cls(Scenario.from_file(path), clock)

    def hosts(self) -> Sequence[Host]:
        """All hosts, with their used amounts if these are more than their servers use."""
        with self._present():
            # Such a server is in no list, as in nova.
            hidden = any(each.state == "soft-delete" for each in self._servers.values())
            if not (hidden or self._others or self._migrations or self._unconfirmed):
                return list(self._hosts.values())
            taken = self._taken()
            return [
                dataclasses.replace(host, used=dict(zip(RESOURCES, taken[name], strict=True)))
                for name, host in self._hosts.items()
            ]

    def some_hosts(
        self, hostnames: Collection[str], others: Collection[str] = ()
    ) -> Sequence[Host]:
        return [host for host in self.hosts() if host.hostname in (*hostnames, *others)]

    def traits(self, hostname: str) -> frozenset[str]:
        return self.host(hostname).traits

    def used(self, hostnames: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        return {host.hostname: host.used for host in self.some_hosts(hostnames)}

    def servers(self) -> Sequence[Server]:
        with self._present():
            return list(self._servers.values())

    def servers_on(self, hostname: str) -> Sequence[Server]:
        return [server for server in self.servers() if server.host == hostname]

    def changed_servers(self, since: datetime.datetime) -> Sequence[Server]:
        with self._present():
            known = {**self._deleted, **self._servers}
            return [known[uuid] for uuid, when in self._changed.items() if when > since]

    def migrations(self, since: datetime.datetime) -> Sequence[compute.Migration]:
        with self._present() as now:
            under_way = [
                compute.Migration(each.server, each.source, each.destination, None, False)
                for each in self._migrations.values()
                if each.source != each.destination
            ]
            return [*self._ended.since(since, now), *under_way]

    def server_groups(self) -> Sequence[ServerGroup]:
        return shown_groups(self.scenario.groups, self.servers())

    def host(self, hostname: str) -> Host:
        with self._present():
            host = self._hosts.get(hostname)
        if host is None:
            raise NotFound(f"Host {hostname} was not found.")
        return host

    def host_state(self, hostname: str) -> HostState:
        host = self.host(hostname)
        return HostState(host.status, host.state)

    def server(self, uuid: str) -> Server:
        with self._present():
            server = self._servers.get(uuid)
        if server is None:
            raise NotFound(f"Server {uuid} was not found.")
        return server

    def has_candidate(self, server: Server, hostnames: Sequence[str]) -> bool:
        with self._present():
            taken = self._taken()
            return not all(room.refusal(server, self.host(each), taken) for each in hostnames)

    def failure(self, uuid: str) -> str | None:
        with self._present():
            return "It was configured to fail." if uuid in self._failed else None

    def live_migrate(self, uuid: str, destination: str | None) -> None:
        with self._present():
            server = self.server(uuid)
            if server.state not in ("active", "paused"):
                raise CloudRefused(
                    f"Server {uuid} is {server.state}; only a running one moves live."
                )
            self._begin(server, destination, live=True)

    def cold_migrate(self, uuid: str, destination: str | None) -> None:
        with self._present():
            server = self.server(uuid)
            if server.state not in ("active", "stopped"):
                raise CloudRefused(f"Server {uuid} is {server.state} and cannot move cold.")
            self._begin(server, destination, live=False)

    def flavor(self, ident: str) -> Flavor:
        for attribute in ("id", "name"):
            for flavor in self.scenario.flavors:
                if getattr(flavor, attribute) == ident:
                    return flavor
        raise NotFound(f"Flavor {ident} was not found.")

    def resize(self, uuid: str, flavor_id: str) -> None:
        """The server stays on its host if that has room for both sizes, as in nova; else it
        moves."""
        with self._present():
            server, flavor = self.server(uuid), self.flavor(flavor_id)
            if server.state not in ("active", "stopped"):
                raise CloudRefused(f"Server {uuid} is {server.state} and cannot be resized.")
            if server.flavor == flavor.name:
                raise CloudRefused(f"Server {uuid} has flavor {flavor.name} already.")
            self._begin(server, None, live=False, flavor=flavor)

    def start(self, uuid: str) -> None:
        self._switch(uuid, ("stopped",), "active", "powering-on")

    def stop(self, uuid: str) -> None:
        self._switch(uuid, ("active",), "stopped", "powering-off")

    def shelve(self, uuid: str) -> None:
        self._switch(uuid, ("active", "paused", "stopped"), "shelved_offloaded", "shelving")

    def delete(self, uuid: str) -> None:
        with self._present() as now:
            self.server(uuid)
            for work in (self._migrations, self._unconfirmed):
                work.pop(uuid, None)
            self._switches[uuid] = self._switched(uuid, "deleted", now)
            self.change(uuid, task_state="deleting")

    def confirm_resize(self, uuid: str) -> None:
        with self._present():
            self.server(uuid)
            migration = self._unconfirmed.pop(uuid, None)
            if migration is None:
                raise CloudRefused(f"Server {uuid} has no migration to confirm.")
            self.change(uuid, state=migration.state_before)

    def abort_live_migration(self, uuid: str) -> None:
        with self._present() as now:
            self.server(uuid)
            migration = self._migrations.get(uuid)
            if migration is None or not migration.live:
                raise CloudRefused(f"Server {uuid} has no live migration under way.")
            del self._migrations[uuid]
            self._ended.add(migration, now, succeeded=False)
            self.change(uuid, task_state=None)

    def enable(self, hostname: str) -> None:
        self._change_host(hostname, status="enabled", disabled_reason=None)

    def disable(self, hostname: str, reason: str) -> None:
        self._change_host(hostname, status="disabled", disabled_reason=reason or None)

    def _change_host(self, hostname: str, **changes: Any) -> None:
        with self._present():
            self.host(hostname)  # NotFound for an unknown host
            self._hosts[hostname] = dataclasses.replace(self._hosts[hostname], **changes)

    def to_dict(self) -> dict[str, Any]:
        """The present state, for pictures and for ``resume``.

        ``cpu`` of a host is percent, of a server percent of its vCPUs; ``elapsed`` and
        ``seconds`` are seconds; ``progress`` of a migration is 0 to 1.
        """
        with self._present() as now:
            loads, cpu = self.loads.cpu_of_hosts(), self.loads.cpu_of_servers()
            return {
                "elapsed": round(now - self._began, 3),
                "hosts": [
                    {
                        "hostname": host.hostname,
                        **columns(host, _OF_HOST),
                        "cpu": round(loads[host.uuid], 2),
                    }
                    for host in self._hosts.values()
                ],
                "servers": {
                    each.uuid: {
                        "name": each.name,
                        **columns(each, _OF_SERVER),
                        "cpu": cpu.get(each.uuid),
                    }
                    for each in self._servers.values()
                },
                "migrations": [self._show(move, now) for move in self._migrations.values()],
                "unconfirmed": [self._show(move, now) for move in self._unconfirmed.values()],
                "baremetal": self.baremetal.to_dict(),
                **({"storage": self.storage.to_dict()} if self.storage else {}),
                "switches": [self._show(switch, now) for switch in self._switches.values()],
            }

    def save(self, path: str | Path) -> None:
        """Write ``to_dict`` to a file, so that a reader sees either the old file or the new one."""
        new = f"{path}.new"
        Path(new).write_text(json.dumps(self.to_dict(), separators=(",", ":")))
        os.replace(new, path)

    def resume(self, path: str | Path) -> None:
        """Continue from a saved state.  Invalid if *path* is not the state of a cloud.

        Hosts and servers that are not in the state begin as the scenario defines them.
        """
        try:
            state = json.loads(Path(path).read_text())
            with self.baremetal.present(), self._lock:
                self._restore(state)
        except (ValueError, KeyError, TypeError) as error:
            raise Invalid(f"{path} is not the state of a simulated cloud: {error!r}.") from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        now = self._clock()
        if "baremetal" in state:
            self.baremetal.restore(state["baremetal"])
        if self.storage and "storage" in state:
            self.storage.restore(state["storage"])
        self._began = now - state["elapsed"]
        for entry in state["hosts"]:
            if host := self._hosts.get(entry["hostname"]):
                changes = {key: entry[key] for key in _OF_HOST}
                self._hosts[host.hostname] = dataclasses.replace(host, **changes)
        for uuid, entry in state["servers"].items():
            if uuid in self._servers and entry["host"] in self._hosts:
                self.change(uuid, **{key: entry[key] for key in _OF_SERVER})
        known = self._servers, now
        self._migrations |= migrations.restored(SimulatedMigration, state["migrations"], *known)
        self._unconfirmed |= migrations.restored(SimulatedMigration, state["unconfirmed"], *known)
        self._switches |= migrations.restored(Switch, state["switches"], *known)

    @contextlib.contextmanager
    def _present(self) -> Iterator[float]:
        """Hold the lock, with all work ended that is due by now."""
        with self.baremetal.present(), self._lock:
            now = self._clock()
            due = [move for move in self._migrations.values() if move.due <= now]
            for migration in sorted(due, key=lambda move: move.due):
                self._end(migration)
            for switch in [each for each in self._switches.values() if each.due <= now]:
                self._end_switch(switch)
            yield now

    def _end(self, migration: SimulatedMigration) -> None:
        uuid = migration.server
        del self._migrations[uuid]
        self._ended.add(migration, migration.due, not migration.fails)
        if migration.fails:
            self._failed.add(uuid)
            self.change(uuid, task_state=None)
            return
        if not migration.live:
            migration.claim = list(self._servers[uuid].amounts)
            self._unconfirmed[uuid] = migration
            self.change(uuid, state="resized")
        if migration.flavor:
            self.change(uuid, **room.sized(self.flavor(migration.flavor)))
        self.change(uuid, task_state=None, host=migration.destination)

    def _switch(self, uuid: str, before: Sequence[str], after: str, task_state: str) -> None:
        with self._present() as now:
            server = self.server(uuid)
            if server.state not in before or server.task_state is not None:
                raise CloudRefused(
                    f"Server {uuid} is {server.state}, not {' or '.join(before)} and at rest."
                )
            self._switches[uuid] = self._switched(uuid, after, now)
            self.change(uuid, task_state=task_state)

    def _switched(self, uuid: str, state: str, now: float) -> Switch:
        return Switch(uuid, state, begun=now, seconds=self.scenario.switch_seconds)

    def _end_switch(self, switch: Switch) -> None:
        uuid = switch.server
        del self._switches[uuid]
        gone = {"host": ""} if switch.state in ("deleted", "shelved_offloaded") else {}
        self.change(uuid, task_state=None, state=switch.state, **gone)
        if switch.state == "deleted":
            self._deleted[uuid] = self._servers.pop(uuid)

    def _power(self, hostname: str, state: str) -> None:
        """A host is up as long as its machine is on."""
        host = self._hosts[hostname]
        self._hosts[hostname] = dataclasses.replace(host, state="up" if state == "on" else "down")

    def _begin(
        self, server: Server, destination: str | None, live: bool, flavor: Flavor | None = None
    ) -> None:
        if server.task_state is not None:
            raise CloudRefused(f"Server {server.uuid} is busy: {server.task_state}.")
        wanted = dataclasses.replace(server, **room.sized(flavor)) if flavor else server
        moves, groups = {**self._unconfirmed, **self._migrations}, self.scenario.groups
        hosts = Destinations(self._hosts, self._taken(), groups, self._servers, moves)
        target = hosts.choose(wanted, destination, may_stay=flavor is not None)
        self._failed.discard(server.uuid)
        course = self.scenario.courses.get(server.uuid, Course(self.scenario.migration_seconds))
        self._migrations[server.uuid] = SimulatedMigration(
            server.uuid,
            live,
            server.host,
            target,
            course.fails,
            server.state,
            list(wanted.amounts),
            flavor.id if flavor else "",
            begun=self._clock(),
            seconds=course.seconds,
        )
        self.change(server.uuid, task_state="migrating" if live else "resize_migrating")

    def change(self, uuid: str, **changes: Any) -> None:
        """Change fields of a server, as if others than Watcher had done it."""
        self._servers[uuid] = dataclasses.replace(self._servers[uuid], **changes)
        self._changed[uuid] = timeutils.utcnow()

    def remove(self, uuid: str) -> None:
        """Let a server be gone at once, whatever is being done with it."""
        work: list[dict[str, Any]] = [self._migrations, self._unconfirmed, self._switches]
        for each in (self._servers, *work):
            each.pop(uuid, None)

    def _show(self, work: SimulatedMigration | Switch, now: float) -> dict[str, Any]:
        return migrations.to_dict(work, self._servers[work.server].name, now)

    def _taken(self) -> dict[str, list[int]]:
        """The amounts of each host that servers take, or that migrations claim."""
        claims: list[tuple[str, Sequence[int]]]
        claims = [(each.host, each.amounts) for each in self._servers.values() if each.host]
        claims += [(move.destination, move.claim) for move in self._migrations.values()]
        claims += [(move.source, move.claim) for move in self._unconfirmed.values()]
        return room.total(self._hosts, self._others, claims)
