# SPDX-License-Identifier: Apache-2.0
"""The interface of a cloud's compute service, as far as Watcher needs it."""

import dataclasses
import datetime
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from oslo_utils import uuidutils

from watcher.cloud.needs import NOTHING, Holding, Needs

DISABLED = "watcher_disabled"
"""The reason with which Watcher disables a host that has no servers, or while servers move."""
MAINTAINING = "watcher_maintaining"
"""The reason with which Watcher disables a host for maintenance."""
POWERED_OFF = "watcher: powered off"
"""The reason with which Watcher disables the compute service of a machine that it switches
off. Switching the machine on enables it again."""
FORMER_REASON = "Watcher node resource consolidation strategy"
"""A former reason, for hosts that were disabled only while servers moved; read as DISABLED."""

LIVE_STATES = ("active", "paused")
"""The states in which nova migrates servers live."""


class DisabledReason(NamedTuple):
    """The content of a ``disabled_reason`` of Watcher's."""

    word: str
    """DISABLED or MAINTAINING"""
    plan: str | None
    """Uuid of the action plan that disabled the host; None if the reason does not name it."""


def read_disabled_reason(reason: str | None) -> DisabledReason | None:
    """Read a ``disabled_reason``: a word and the plan, or a word alone.  None if it is not
    Watcher's."""
    if reason == FORMER_REASON:
        return DisabledReason(DISABLED, None)
    word, _, plan = (reason or "").partition(" ")
    if word not in (DISABLED, MAINTAINING) or (plan and not uuidutils.is_uuid_like(plan)):
        return None
    return DisabledReason(word, plan or None)


RESOURCES = ("vcpus", "memory_mb", "disk_gb", "pcpus")
"""The resources that hosts have and servers take: shared vCPUs, MiB, GB, dedicated CPUs."""


class Units(NamedTuple):
    """The amounts of a resource that placement gives to one server."""

    least: int = 1
    most: int | None = None
    """None: as much as the host has in all."""
    step: int = 1
    """Amounts are multiples of it."""


class Inventory(NamedTuple):
    """The amounts of one resource on a host."""

    total: int
    reserved: int
    ratio: float
    units: Units
    used: int
    """Used by all consumers in placement, including other servers, migrations and
    reservations. 0 if not known."""

    @property
    def capacity(self) -> float:
        return (self.total - self.reserved) * self.ratio

    def allows(self, amount: float) -> bool:
        """Whether one server may have so much; whether there is room is another question."""
        most = self.total if self.units.most is None else self.units.most
        fits = self.units.least <= amount <= most and amount % self.units.step == 0
        return amount == 0 or fits


class Aggregate(NamedTuple):
    """A host aggregate, as each of its hosts knows it."""

    id: int
    name: str
    metadata: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class ServerGroup:
    """Servers that the scheduler keeps together or apart."""

    uuid: str
    policy: str
    """``affinity``, ``anti-affinity``, ``soft-affinity`` or ``soft-anti-affinity``."""
    members: Sequence[str]
    """Uuids of its servers."""
    max_server_per_host: int = 1
    """How many of them one host may have; counts for ``anti-affinity`` alone."""
    unlisted: Sequence[str] = ()
    """Hostnames where ``anti-affinity`` counts further members: soft-deleted or just gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    id: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int


_USUAL = Units()


class Platform(NamedTuple):
    """The parts of a host that a live migration depends on."""

    hypervisor_type: str
    hypervisor_version: int
    cpu: frozenset[str]
    """The traits of the CPU that its guests get, as nova reports them."""

    def takes_from(self, source: "Platform") -> bool:
        """Whether servers move here live from *source*: the type of the hypervisor is the same,
        its version is not older, and the CPU has all that guests have there."""
        return (
            self.hypervisor_type == source.hypervisor_type
            and self.hypervisor_version >= source.hypervisor_version
            and self.cpu >= source.cpu
        )


@functools.lru_cache(maxsize=1024)
def _cpu(traits: frozenset[str]) -> frozenset[str]:
    return frozenset(
        each
        for each in traits
        if each.startswith(("HW_ARCH_", "HW_CPU_X86_")) and "AMD_SEV" not in each
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A compute host with its inventory: whole amounts, before ratio and reserve."""

    uuid: str
    hostname: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    vcpus_reserved: int = 0
    memory_mb_reserved: int = 0
    disk_gb_reserved: int = 0
    vcpu_ratio: float = 1.0
    memory_ratio: float = 1.0
    disk_ratio: float = 1.0
    status: str = "enabled"
    """``enabled`` or ``disabled``: whether the scheduler uses it."""
    state: str = "up"
    """``up`` or ``down``: whether it answers."""
    disabled_reason: str | None = None
    zone: str = ""
    aggregates: Sequence[Aggregate] = ()
    pcpus: int = 0
    """CPUs that are dedicated to single servers, not included in *vcpus*."""
    pcpus_reserved: int = 0
    units: Mapping[str, Units] = dataclasses.field(default_factory=dict)
    """Units that differ from the default, by a name of ``RESOURCES``."""
    used: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The use by all consumers in placement, by a name of ``RESOURCES``."""
    traits: frozenset[str] = frozenset()
    hypervisor_hostname: str = ""
    """The hypervisor's name of the host, which may have a domain that *hostname* lacks;
    empty: equal."""
    hypervisor_type: str = ""
    hypervisor_version: int = 0
    nested: Mapping[str, tuple[Holding, ...]] = dataclasses.field(default_factory=dict)
    """Consumer in placement, such as a server's uuid, to what it has of providers below that of
    the host."""

    @property
    def cpus(self) -> int:
        """All CPUs that its servers can use."""
        return self.vcpus + self.pcpus

    @property
    def inventories(self) -> tuple[Inventory, ...]:
        """The inventories, in the order of ``RESOURCES``."""
        amounts = (
            (self.vcpus, self.vcpus_reserved, self.vcpu_ratio),
            (self.memory_mb, self.memory_mb_reserved, self.memory_ratio),
            (self.disk_gb, self.disk_gb_reserved, self.disk_ratio),
            (self.pcpus, self.pcpus_reserved, 1.0),
        )
        return tuple(
            Inventory(*each, self.units.get(name, _USUAL), self.used.get(name, 0))
            for name, each in zip(RESOURCES, amounts, strict=True)
        )

    @property
    def platform(self) -> Platform:
        return Platform(self.hypervisor_type, self.hypervisor_version, _cpu(self.traits))

    @property
    def available(self) -> bool:
        """Up and enabled: fit to take servers."""
        return self.state == "up" and self.status == "enabled"

    @property
    def disabled_as(self) -> str | None:
        """DISABLED or MAINTAINING: why Watcher disabled it; None if Watcher did not."""
        reason = self._reason
        return reason and reason.word

    @property
    def disabled_by(self) -> str | None:
        """Uuid of the action plan that disabled it, if the reason names it."""
        reason = self._reason
        return reason and reason.plan

    @property
    def _reason(self) -> DisabledReason | None:
        return read_disabled_reason(self.disabled_reason) if self.status == "disabled" else None


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server (instance), with its resources and its host."""

    uuid: str
    name: str
    host: str
    """Hostname of its compute host; empty while it has none."""
    vcpus: int
    memory_mb: int
    disk_gb: int
    state: str = "active"
    """nova's vm_state: active, paused, stopped, ..."""
    task_state: str | None = None
    """nova's present task with it, such as ``migrating``; None if there is none."""
    project_id: str = ""
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    created: datetime.datetime | None = None
    locked: bool = False
    flavor: str = ""
    """Name of its flavor."""
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The extra specs of its flavor."""
    pinned_az: str = ""
    """The availability zone that was requested for it; empty: any, or not known."""
    zone: str = ""
    """The availability zone in which it has to stay, because it is not known whether it was
    requested; empty: none."""
    needs: Needs = NOTHING
    live: bool = True
    """Whether nova migrates it live, if it is in a state for that."""

    @property
    def amounts(self) -> tuple[int, ...]:
        """The amounts that it takes of its host, in the order of ``RESOURCES``."""
        needs = self.needs
        return (
            self.vcpus - needs.pcpus if needs.vcpus is None else needs.vcpus,
            self.memory_mb if needs.memory_mb is None else needs.memory_mb,
            self.disk_gb if needs.disk_gb is None else needs.disk_gb,
            needs.pcpus,
        )

    @property
    def migration(self) -> str | None:
        """``live`` or ``cold``: how it can be moved in its state; None if it cannot be."""
        if self.locked or self.task_state is not None or self.needs.is_fixed:
            return None
        if self.state in LIVE_STATES:
            return "live" if self.live else None
        return "cold" if self.state == "stopped" else None

    @property
    def is_between_hosts(self) -> bool:
        """Whether it may count on two hosts, because it moves, or can go back to where it was."""
        task = self.task_state or ""
        return self.state == "resized" or task == "migrating" or task.startswith("resize_")

    @property
    def migratable(self) -> bool:
        """Active, not locked and at rest: fit to be migrated live."""
        return self.state == "active" and self.migration == "live"


@dataclasses.dataclass(frozen=True, slots=True)
class Migration:
    """A move of a server from one host to another, by Watcher or others."""

    server: str
    """Its uuid; the server may have been deleted."""
    source: str
    """Hostname, as is *destination*."""
    destination: str
    """Empty while the scheduler has not picked one."""
    ended: datetime.datetime | None
    """When the server had arrived, or the move had failed, in naive UTC; None while the
    move is under way."""
    succeeded: bool


class HostState(NamedTuple):
    """The state of a compute service: ``enabled`` or ``disabled``, and ``up`` or ``down``."""

    status: str
    state: str


class Compute(Protocol):
    """The compute service.

    Every method may raise CloudUnavailable (try again later) and CloudRefused (the service refused
    the request); those that name a server or host raise NotFound for an unknown one.  Requests
    return when the service has accepted them, not when the work is done: poll ``server``.
    """

    def hosts(self) -> Sequence[Host]: ...

    def some_hosts(
        self, hostnames: Collection[str], others: Collection[str] = ()
    ) -> Sequence[Host]:
        """The hosts of *hostnames* that exist, perhaps without their traits, and those of *others*,
        perhaps without amounts as well, with fewer requests than one ``host`` for each."""

    def traits(self, hostname: str) -> frozenset[str]:
        """The traits of a host, in one request."""

    def used(self, hostnames: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        """Hostname to the present ``Host.used``; ``hosts`` may not know yet what was given up."""

    def servers(self) -> Sequence[Server]: ...

    def servers_on(self, hostname: str) -> Sequence[Server]:
        """The servers of one host, in one request; none if there is no such host."""

    def changed_servers(self, since: datetime.datetime) -> Sequence[Server]:
        """The servers that changed after *since* (UTC); deleted ones in state ``deleted``."""

    def migrations(self, since: datetime.datetime) -> Sequence[Migration]:
        """Migrations between two hosts (live, cold, evacuations, resizes to another host): those
        that ended after *since* (naive UTC), and those under way that changed after it."""

    def server_groups(self) -> Sequence[ServerGroup]: ...

    def host(self, hostname: str) -> Host: ...

    def host_state(self, hostname: str) -> HostState:
        """Whether a host takes servers, which needs fewer requests than ``host``."""

    def server(self, uuid: str) -> Server: ...

    def has_candidate(self, server: Server, hostnames: Sequence[str]) -> bool:
        """Whether placement has room on one of some hosts for all that a server needs."""

    def failure(self, uuid: str) -> str | None:
        """Why the last operation on a server failed, in the service's words and with the id
        of the request; None if it did not fail, or the reason is not known."""

    def live_migrate(self, uuid: str, destination: str | None) -> None:
        """Begin to move a running server to *destination* (None: the scheduler picks)."""

    def cold_migrate(self, uuid: str, destination: str | None) -> None:
        """Begin to move a server that may be stopped; ends in vm_state ``resized``."""

    def confirm_resize(self, uuid: str) -> None:
        """Confirm a cold migration, which frees the source."""

    def abort_live_migration(self, uuid: str) -> None:
        """Ask for the end of a live migration that is under way."""

    def enable(self, hostname: str) -> None:
        """Let the scheduler use a host."""

    def disable(self, hostname: str, reason: str) -> None:
        """Keep the scheduler from using a host; its servers stay."""

    def flavor(self, ident: str) -> Flavor:
        """The flavor of an id or, failing that, of a name."""

    def resize(self, uuid: str, flavor_id: str) -> None:
        """Begin to change a server's flavor; ends in vm_state ``resized``."""

    def start(self, uuid: str) -> None: ...

    def stop(self, uuid: str) -> None: ...

    def shelve(self, uuid: str) -> None:
        """Begin to shelve a server: it ends ``shelved`` or, off its host, ``shelved_offloaded``."""

    def delete(self, uuid: str) -> None:
        """Begin to delete a server.  It is gone at the end or, if the service keeps deleted
        servers for a while, in vm_state ``soft-delete``."""
