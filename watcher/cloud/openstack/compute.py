# SPDX-License-Identifier: Apache-2.0
"""Compute through nova and placement."""

import dataclasses
import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oslo_config import cfg
from oslo_log import log

from watcher.cloud.compute import Aggregate, Flavor, Host, HostState, Migration, Server, ServerGroup
from watcher.cloud.extra_specs import ALWAYS
from watcher.cloud.openstack import nova_json
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.nova_common import (
    CHANGED_MIGRATIONS,
    MINIMUM,
    changed_since,
    path_of,
)
from watcher.cloud.openstack.placement import NO_AMOUNTS, UNKNOWN, Placement, Provider
from watcher.cloud.openstack.server_groups import ServerGroups
from watcher.cloud.openstack.service_client import Json, ServiceClient
from watcher.common.errors import CloudRefused, CloudUnavailable, NotFound

LOG = log.getLogger(__name__)

_DOWN_CELLS = "2.69"
"""From this microversion on, nova shows what it leaves out because a cell is down."""
_DETAILS = "2.84"
"""From this microversion on, nova shows why an operation on a server failed."""
_PINNED_ZONE = "2.96"
_IMAGES = "2.98"
"""From this microversion on, servers show the properties of their images."""
_LIVE = ("2.88", "2.100")
"""From these microversions on, nova migrates more servers live: see ``Needs.live_since``."""
# With later microversions nova asks each host for its uptime.
_HYPERVISORS = "2.53"
_SERVICES = {"binary": "nova-compute"}

_understood = understood("nova")


class Nova:
    """The Compute of a real cloud."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._nova = ServiceClient(conf, "nova")
        self._groups = ServerGroups(self._nova)
        self._placement = Placement(conf)
        self._stay_in_zone: bool = conf.compute_model.stay_in_zone
        self._hypervisors: Mapping[str, str] = {}
        """Hostname to uuid, from the last list."""

    # Queries

    @_understood
    def hosts(self) -> Sequence[Host]:
        """All hosts but those of bare metal.

        A host without an inventory in placement (it is new, or is being removed) is left
        out and logged, because its capacity is not known.
        """
        return self._complete(self._list_hypervisors, self._placement.providers)

    @_understood
    def some_hosts(
        self, hostnames: Collection[str], others: Collection[str] = ()
    ) -> Sequence[Host]:
        names = {*hostnames, *others}

        def chosen() -> Sequence[Json]:
            rows = self._list_hypervisors()
            return [row for row in rows if row["service"]["host"] in names]

        def ask(uuids: Sequence[str]) -> Mapping[str, Provider]:
            whole = {self._hypervisors[name] for name in hostnames if name in self._hypervisors}
            return dict.fromkeys(uuids, NO_AMOUNTS) | self._placement.without_traits([*whole])

        return self._complete(chosen, ask)

    @_understood
    def traits(self, hostname: str) -> frozenset[str]:
        return self._placement.traits(self._uuid(hostname))

    @_understood
    def used(self, hostnames: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        uuids = {name: self._uuid(name) for name in hostnames}
        usages = self._placement.usages([*uuids.values()])
        return {
            name: nova_json.used(usages[uuid]) for name, uuid in uuids.items() if uuid in usages
        }

    def _complete(
        self,
        list_hypervisors: Callable[[], Sequence[Json]],
        ask_placement: Callable[[Sequence[str]], Mapping[str, Provider]],
    ) -> Sequence[Host]:
        with ThreadPoolExecutor(2, "nova") as pool:
            asked = pool.submit(self._zones), pool.submit(self._aggregates)
            hypervisors = list_hypervisors()
            providers = ask_placement([row["id"] for row in hypervisors])
            zones, aggregates = asked[0].result(), asked[1].result()
        complete = []
        for row in hypervisors:
            missing = providers.get(row["id"], UNKNOWN).missing
            if missing:
                LOG.warning(
                    "Host %s is left out: placement has no inventory of its %s.",
                    row["service"]["host"],
                    " and ".join(missing),
                )
            else:
                complete.append(row)
        return nova_json.read(
            complete, lambda row: _host(row, providers[row["id"]], zones, aggregates)
        )

    def servers(self) -> Sequence[Server]:
        return _present(self._servers())

    def servers_on(self, hostname: str) -> Sequence[Server]:
        return _present(self._servers(host=hostname))

    def changed_servers(self, since: datetime.datetime) -> Sequence[Server]:
        return self._servers(**changed_since(since))

    @_understood
    def migrations(self, since: datetime.datetime) -> Sequence[Migration]:
        chosen = self._nova.supports(CHANGED_MIGRATIONS)
        version, filters = (CHANGED_MIGRATIONS, changed_since(since)) if chosen else (MINIMUM, {})
        try:
            rows = list(self._nova.rows("/os-migrations", "migrations", version, **filters))
        except CloudRefused as error:
            raise CloudRefused(
                "nova does not list migrations, which loads of hosts are corrected by; the user "
                "of [nova] or [watcher_clients_auth] needs the role admin, or the policy "
                f"os_compute_api:os-migrations:index: {error}"
            ) from error
        moves = [row for row in rows if nova_json.moves(row) and nova_json.changed(row) >= since]
        found = nova_json.read(moves, lambda row: self._migration(row, since))
        return [each for each in found if each.ended is None or each.ended > since]

    def server_groups(self) -> Sequence[ServerGroup]:
        return self._groups.all()

    @_understood
    def host(self, hostname: str) -> Host:
        hypervisor = self._hypervisor(hostname)
        provider = self._placement.of(hypervisor["id"])
        if provider.missing:
            raise CloudUnavailable(f"Placement has no inventory of host {hostname}.")
        zones, aggregates = self._zones(host=hostname), self._aggregates()
        return nova_json.read([hypervisor], lambda row: _host(row, provider, zones, aggregates))[0]

    @_understood
    def host_state(self, hostname: str) -> HostState:
        row = self._hypervisor(hostname)
        return HostState(row["status"], row["state"])

    @_understood
    def server(self, uuid: str) -> Server:
        answer = self._nova.get(path_of("servers", uuid), self._server_version())
        return self._read_servers([answer["server"]])[0]

    @_understood
    def flavor(self, ident: str) -> Flavor:
        try:
            rows = [self._nova.get(path_of("flavors", ident), MINIMUM)["flavor"]]
        except NotFound:
            everyones = self._nova.rows("/flavors/detail", "flavors", MINIMUM, is_public="None")
            rows = [row for row in everyones if row["name"] == ident]
        if not rows:
            raise NotFound(f"Flavor {ident} was not found.")
        return nova_json.read(rows, nova_json.flavor)[0]

    @_understood
    def has_candidate(self, server: Server, hostnames: Sequence[str]) -> bool:
        return self._placement.has_candidate(server, [*map(self._uuid, hostnames)])

    def failure(self, uuid: str) -> str | None:
        version = _DETAILS if self._nova.supports(_DETAILS) else MINIMUM
        path = path_of("servers", uuid) + "/os-instance-actions"
        newest = list(self._nova.rows(path, "instanceActions", version))[:1]
        for action in nova_json.read(newest, nova_json.failed_action):
            if action is None:
                return None
            answer = self._nova.get(f"{path}/{action}", version)
            return nova_json.read([answer], nova_json.failure)[0]
        return None

    # Operations

    def live_migrate(self, uuid: str, destination: str | None) -> None:
        self._act(uuid, "os-migrateLive", {"host": destination, "block_migration": "auto"}, "2.30")

    def cold_migrate(self, uuid: str, destination: str | None) -> None:
        self._act(uuid, "migrate", {"host": destination})

    def confirm_resize(self, uuid: str) -> None:
        self._act(uuid, "confirmResize")

    def resize(self, uuid: str, flavor_id: str) -> None:
        self._act(uuid, "resize", {"flavorRef": flavor_id})

    def start(self, uuid: str) -> None:
        self._act(uuid, "os-start")

    def stop(self, uuid: str) -> None:
        self._act(uuid, "os-stop")

    def shelve(self, uuid: str) -> None:
        self._act(uuid, "shelve")

    @_understood
    def delete(self, uuid: str) -> None:
        self._nova.delete(path_of("servers", uuid), MINIMUM)

    @_understood
    def abort_live_migration(self, uuid: str) -> None:
        """Abort the running migration if there is one: nova aborts waiting ones only from 2.65
        on."""
        version = "2.65" if self._nova.supports("2.65") else MINIMUM
        path = path_of("servers", uuid) + "/migrations"
        migrations = list(self._nova.rows(path, "migrations", version))
        if not migrations:
            raise CloudRefused(f"Server {uuid} has no live migration under way.")
        first = min(migrations, key=lambda row: row["status"] != "running")
        self._nova.delete(f"{path}/{first['id']}", version)

    @_understood
    def enable(self, hostname: str) -> None:
        self._set_service(hostname, {"status": "enabled"})

    @_understood
    def disable(self, hostname: str, reason: str) -> None:
        body = {"status": "disabled"}
        self._set_service(hostname, body | {"disabled_reason": reason} if reason else body)

    # Requests to nova

    def _servers(self, **filters: str) -> list[Server]:
        rows = self._nova.rows(
            "/servers/detail", "servers", self._server_version(), all_tenants=True, **filters
        )
        return self._read_servers(rows)

    def _read_servers(self, rows: Iterable[Json]) -> list[Server]:
        """Read the rows page by page: the JSON of all servers takes many times the memory of their
        objects."""
        live = {ALWAYS, *filter(self._nova.supports, _LIVE)}
        return nova_json.read(
            map(_shown, rows), lambda row: nova_json.server(row, self._stay_in_zone, live)
        )

    def _migration(self, row: Json, since: datetime.datetime) -> Migration:
        migration = nova_json.migration(row)
        if nova_json.changed_after_arrival(row, since):
            launched = self._launched(migration.server)
            if launched is not None:
                return dataclasses.replace(migration, ended=launched)
        return migration

    def _launched(self, uuid: str) -> datetime.datetime | None:
        try:
            answer = self._nova.get(path_of("servers", uuid), MINIMUM)
        except NotFound:  # the reason is not known any more
            return None
        return nova_json.launched(answer["server"])

    def _server_version(self) -> str:
        versions = (_IMAGES, _PINNED_ZONE, _DOWN_CELLS)
        return next(filter(self._nova.supports, versions), MINIMUM)

    def _list_hypervisors(self) -> list[Json]:
        rows = self._nova.rows("/os-hypervisors/detail", "hypervisors", _HYPERVISORS)
        virtual = [row for row in rows if row["hypervisor_type"] != "ironic"]
        self._hypervisors = {row["service"]["host"]: row["id"] for row in virtual}
        return virtual

    def _uuid(self, hostname: str) -> str:
        uuid: str = self._hypervisors.get(hostname) or self._hypervisor(hostname)["id"]
        return uuid

    def _hypervisor(self, hostname: str) -> Json:
        """Read a hypervisor by its uuid in the last list: nova's search by name also matches
        similar names."""
        uuid = self._hypervisors.get(hostname)
        if uuid is not None:
            try:
                row: Json = self._nova.get(path_of("os-hypervisors", uuid), _HYPERVISORS)[
                    "hypervisor"
                ]
            except NotFound:
                row = {}
            if row and row["service"]["host"] == hostname:
                return row
        for row in self._list_hypervisors():
            if row["service"]["host"] == hostname:
                return row
        raise NotFound(f"Host {hostname} was not found.")

    def _services(self, **filters: str) -> list[Json]:
        version = _DOWN_CELLS if self._nova.supports(_DOWN_CELLS) else MINIMUM
        rows = list(self._nova.rows("/os-services", "services", version, **_SERVICES, **filters))
        for row in rows:
            if row.get("status") == "UNKNOWN":
                raise CloudUnavailable(
                    f"The cell of host {row.get('host')} is down: nova cannot show its hosts."
                )
        return rows

    def _zones(self, **filters: str) -> dict[str, str]:
        return {row["host"]: row["zone"] for row in self._services(**filters)}

    def _aggregates(self) -> dict[str, list[Aggregate]]:
        rows = self._nova.rows("/os-aggregates", "aggregates", MINIMUM)
        return nova_json.aggregates_of_hosts(rows)

    def _set_service(self, hostname: str, body: Mapping[str, str]) -> None:
        services = self._services(host=hostname)
        if not services:
            raise NotFound(f"Host {hostname} was not found.")
        self._nova.put(path_of("os-services", services[0]["id"]), body, MINIMUM)

    def _act(self, uuid: str, action: str, arguments: Any = None, version: str = MINIMUM) -> None:
        self._nova.post(path_of("servers", uuid) + "/action", {action: arguments}, version)


def _shown(row: Json) -> Json:
    """The server itself, if nova shows all of it."""
    if row.get("status") == "UNKNOWN":
        raise CloudUnavailable(
            f"The cell of server {row.get('id')} is down: nova cannot show its servers."
        )
    if "OS-EXT-SRV-ATTR:host" not in row:
        raise CloudRefused(
            "nova does not show the hosts of servers; the user of [nova] or "
            "[watcher_clients_auth] needs the role admin."
        )
    return row


def _present(servers: Sequence[Server]) -> list[Server]:
    """For a moment nova still lists servers that are already deleted."""
    return [server for server in servers if server.state != "deleted"]


def _host(
    row: Json,
    provider: Provider,
    zones: Mapping[str, str],
    aggregates: Mapping[str, Sequence[Aggregate]],
) -> Host:
    hostname = row["service"]["host"]
    return nova_json.host(
        row, provider, zones.get(hostname, ""), tuple(aggregates.get(hostname, ()))
    )
