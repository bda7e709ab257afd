# SPDX-License-Identifier: Apache-2.0
"""Nova's JSON as hosts, servers, server groups and flavors."""

import datetime
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import TypeVar

from watcher.cloud.compute import (
    Aggregate,
    Flavor,
    Host,
    Migration,
    Server,
    ServerGroup,
    Units,
)
from watcher.cloud.needs import Needs
from watcher.cloud.openstack.errors import one_line, understood
from watcher.cloud.openstack.placement import NOTHING, Provider
from watcher.cloud.openstack.service_client import Json

T = TypeVar("T")

_NO_SPECS: Mapping[str, str] = {}
_SPECS: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
_CLASSES = {"vcpus": "VCPU", "memory_mb": "MEMORY_MB", "disk_gb": "DISK_GB", "pcpus": "PCPU"}
_RUNNING = (1, 3)
"""The power states, running and paused, in which nova migrates a server live."""

_ARRIVED = {"completed", "done", "finished", "confirming", "confirmed"}
"""In these states of a migration the server has arrived; ``done`` is that of an evacuation,
the last three are those of a cold migration or of a resize."""
_FAILED = {"error", "failed", "cancelled", "reverted"}


def read(rows: Iterable[Json], make: Callable[[Json], T]) -> list[T]:
    """The result of *make* for each row.  CloudUnavailable if a row has not the documented form."""
    made = []
    for row in rows:
        with understood("nova", str(row)[:200]):
            made.append(make(row))
    return made


def server(row: Json, stay_in_zone: bool, live: Collection[str]) -> Server:
    """A server.  With *stay_in_zone* it has to stay in its zone, unless nova shows whether it is
    pinned.  *live* are the microversions of ``Needs.live_since`` that nova has."""
    flavor = row["flavor"]
    image = row["image"] or {}
    bound = stay_in_zone and "pinned_availability_zone" not in row
    specs = _shared(flavor.get("extra_specs") or {})
    needs = Needs.of(flavor["vcpus"], specs, image.get("properties"))
    return Server(
        uuid=row["id"],
        name=row["name"],
        host=intern(row["OS-EXT-SRV-ATTR:host"] or ""),
        vcpus=flavor["vcpus"],
        memory_mb=flavor["ram"],
        disk_gb=_disk_gb(flavor, root=bool(image)),
        state=intern(row["OS-EXT-STS:vm_state"]),
        task_state=row["OS-EXT-STS:task_state"],
        project_id=intern(row["tenant_id"]),
        metadata=row["metadata"],
        created=_time(row["created"]),
        locked=row["locked"],
        flavor=intern(flavor["original_name"]),
        extra_specs=specs,
        pinned_az=intern(row.get("pinned_availability_zone") or ""),
        zone=intern(row["OS-EXT-AZ:availability_zone"] or "") if bound else "",
        needs=needs,
        live=needs.live_since in live and row["OS-EXT-STS:power_state"] in _RUNNING,
    )


def _shared(specs: Json) -> Mapping[str, str]:
    """One object for all servers of a flavor: it may be large."""
    return _SPECS.setdefault(tuple(sorted(specs.items())), specs) if specs else _NO_SPECS


def failed_action(row: Json) -> str | None:
    """The request id of an action on a server that failed; None if it did not."""
    return str(row["request_id"]) if row["message"] == "Error" else None


def failure(row: Json) -> str:
    """Why an action on a server failed, and in which request."""
    action = row["instanceAction"]
    details = [event["details"] for event in action["events"] if event.get("details")]
    words = one_line(details[-1]) if details else f"its {action['action']} failed"
    return f"nova says: {words} ({action['request_id']})"


def moves(row: Json) -> bool:
    """Whether a migration is one between two hosts; a resize may stay on its host."""
    return bool(row["source_compute"]) and row["source_compute"] != row["dest_compute"]


def migration(row: Json) -> Migration:
    """A migration.  Its end is the time of nova's last change, which may be later: see
    ``changed_after_arrival``."""
    succeeded = row["status"] in _ARRIVED
    ended = succeeded or row["status"] in _FAILED
    return Migration(
        server=row["instance_uuid"],
        source=intern(row["source_compute"]),
        destination=intern(row["dest_compute"] or ""),
        ended=changed(row) if ended else None,
        succeeded=succeeded,
    )


def changed(row: Json) -> datetime.datetime:
    """When nova last changed a migration; for a new one, when it was created."""
    return _time(row["updated_at"] or row["created_at"])


def changed_after_arrival(row: Json, since: datetime.datetime) -> bool:
    """Whether the server may have arrived before *since*, although the migration changed later.

    A cold migration changes again when it is confirmed, an evacuation when the evacuated
    host returns.
    """
    late = {"confirming", "confirmed"}
    if row["migration_type"] == "evacuation":
        late = {"completed"}
    return row["status"] in late and _time(row["created_at"]) < since


def launched(row: Json) -> datetime.datetime | None:
    """When a server last started on a host other than by a live migration."""
    text = row["OS-SRV-USG:launched_at"]
    return _time(text) if text else None


def flavor(row: Json) -> Flavor:
    # In a server, its flavor has this field without the prefix.
    size = row | {"ephemeral": row["OS-FLV-EXT-DATA:ephemeral"]}
    return Flavor(row["id"], row["name"], row["vcpus"], row["ram"], _disk_gb(size))


def server_group(row: Json) -> ServerGroup:
    """From microversion 2.64 on, or an older one."""
    rules = row.get("rules") or {}
    return ServerGroup(
        uuid=row["id"],
        policy=row["policy"] if "policy" in row else row["policies"][0],
        members=tuple(row["members"]),
        max_server_per_host=rules.get("max_server_per_host", 1),
    )


def host(hypervisor: Json, provider: Provider, zone: str, aggregates: Sequence[Aggregate]) -> Host:
    """A host with its inventories in placement: at least MEMORY_MB, and VCPU or PCPU.

    Without DISK_GB the disk is what the hypervisor shows, and gives nothing to a server: nova asks
    placement for what a named host has itself, and not for what other providers share with it.
    """
    inventories = provider.inventories
    vcpu, memory = inventories.get("VCPU", NOTHING), inventories["MEMORY_MB"]
    pcpu = inventories.get("PCPU", NOTHING)
    disk = inventories.get("DISK_GB") or NOTHING | {"total": hypervisor["local_gb"]}
    return Host(
        uuid=hypervisor["id"],
        hostname=intern(hypervisor["service"]["host"]),
        vcpus=vcpu["total"],
        memory_mb=memory["total"],
        disk_gb=disk["total"],
        vcpus_reserved=vcpu["reserved"],
        memory_mb_reserved=memory["reserved"],
        disk_gb_reserved=disk["reserved"],
        vcpu_ratio=vcpu["allocation_ratio"],
        memory_ratio=memory["allocation_ratio"],
        disk_ratio=disk["allocation_ratio"],
        status=hypervisor["status"],
        state=hypervisor["state"],
        disabled_reason=hypervisor["service"]["disabled_reason"],
        zone=zone,
        aggregates=aggregates,
        pcpus=pcpu["total"],
        pcpus_reserved=pcpu["reserved"],
        units=_units(inventories),
        used=used(provider.usages),
        traits=provider.traits,
        hypervisor_hostname=hypervisor["hypervisor_hostname"],
        hypervisor_type=intern(hypervisor["hypervisor_type"] or ""),
        hypervisor_version=hypervisor["hypervisor_version"] or 0,
        nested=provider.nested,
    )


def used(usages: Mapping[str, int]) -> dict[str, int]:
    """``Host.used``, of what is used by resource class."""
    return {name: usages.get(each, 0) for name, each in _CLASSES.items()}


def _units(inventories: Mapping[str, Json]) -> dict[str, Units]:
    """Of each resource that a host has, and of its disk."""
    units = {
        name: Units(has.get("min_unit", 1), has.get("max_unit"), has.get("step_size", 1))
        for name, each in _CLASSES.items()
        if (has := inventories.get(each)) is not None
    }
    return {"disk_gb": Units(1, 0)} | units


def aggregates_of_hosts(rows: Iterable[Json]) -> dict[str, list[Aggregate]]:
    """Hostname to the aggregates that the host is in."""
    found: dict[str, list[Aggregate]] = {}
    for row in rows:
        aggregate = Aggregate(row["id"], row["name"], row["metadata"])
        for hostname in row["hosts"]:
            found.setdefault(hostname, []).append(aggregate)
    return found


def _disk_gb(flavor: Json, root: bool = True) -> int:
    """The GB that a server takes of its host's disk; *root* is false if it boots from a volume."""
    # Before microversion 2.75 a flavor without swap has an empty string.
    swap_gb = math.ceil(int(flavor["swap"] or 0) / 1024)
    return int((flavor["disk"] if root else 0) + flavor["ephemeral"] + swap_gb)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.removesuffix("Z"))
