# SPDX-License-Identifier: Apache-2.0
"""The interface of a cloud's block storage service, as far as Watcher needs it."""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

_MOVING = ("starting", "migrating", "completing")


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeType:
    id: str
    name: str
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def backend(self) -> str:
        """The ``volume_backend_name`` that it asks for; empty: any."""
        return self.extra_specs.get("volume_backend_name", "")


@dataclasses.dataclass(frozen=True, slots=True)
class StorageNode:
    """A backend: one volume service, with its pools."""

    host: str
    """``host@backend``"""
    zone: str = ""
    status: str = "enabled"
    state: str = "up"

    @property
    def backend(self) -> str:
        """The ``volume_backend_name`` of volume types that choose the pool."""
        return self.host.partition("@")[2]


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """A pool of a backend. A capacity is None if the backend does not report it."""

    name: str
    """``host@backend#pool``"""
    total_volumes: int = 0
    total_capacity_gb: float | None = None
    free_capacity_gb: float | None = None
    provisioned_capacity_gb: float | None = None
    allocated_capacity_gb: float | None = None
    max_over_subscription_ratio: float = 1.0
    capabilities: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def node(self) -> str:
        """``host@backend``"""
        return self.name.partition("#")[0]

    def accepts(self, volume_type: VolumeType) -> bool:
        """Whether it has all that the type requires, as far as it reports."""
        return all(
            _meets(self.capabilities[name], wanted)
            for name, wanted in volume_type.extra_specs.items()
            if name in self.capabilities
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Attachment:
    server_id: str
    attachment_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    uuid: str
    name: str
    size_gb: int
    host: str
    """Name of its pool; empty while it has none."""
    status: str = "available"
    volume_type: str = ""
    """Name of its type; empty if it has none."""
    project_id: str = ""
    bootable: bool = False
    multiattach: bool = False
    attachments: Sequence[Attachment] = ()
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    snapshot_id: str | None = None
    """The snapshot that it was made of."""
    migration_status: str | None = None
    """The result of its last migration or, while one is under way, its progress."""
    created: datetime.datetime | None = None

    @property
    def moving(self) -> bool:
        """Whether it is on its way to another pool or type."""
        return self.status == "retyping" or self.migration_status in _MOVING


class VolumeChanges(NamedTuple):
    changed: Sequence[Volume]
    """New and changed volumes, without deleted ones."""
    total: int
    """The number of all volumes, which shows whether some were deleted."""


class BlockStorage(Protocol):
    """The block storage service.

    Every method may raise CloudUnavailable (try again later) and CloudRefused (the service
    refused the request); those that name an object raise NotFound for an unknown one.
    Requests return when the service has accepted them, not when the work is done.
    """

    def nodes(self) -> Sequence[StorageNode]: ...

    def pools(self) -> Sequence[Pool]: ...

    def volumes(self) -> Sequence[Volume]: ...

    def volume_changes(self, since: datetime.datetime) -> VolumeChanges | None:
        """The changes from *since* (UTC) on; None if the service cannot list changes."""

    def volume_types(self) -> Sequence[VolumeType]: ...

    def volumes_with_snapshots(self) -> Collection[str]:
        """Uuids of the volumes that have snapshots."""

    def volume(self, uuid: str) -> Volume: ...

    def has_leftover(self, uuid: str) -> bool:
        """Whether what a migration left of the volume on its old pool is still there."""

    def migrate(self, uuid: str, pool: str) -> None:
        """Begin to move a volume to a pool."""

    def retype(self, uuid: str, volume_type: str) -> None:
        """Begin to give a volume another type, moving it if it has to move."""


def _meets(capability: Any, wanted: str) -> bool:
    """Extra specs are texts; ``<is> True`` requires a boolean."""
    return str(capability).lower() == wanted.removeprefix("<is>").strip().lower()
