# SPDX-License-Identifier: Apache-2.0
"""Moving volumes off storage pools, a number at a time, in an order that users choose."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.cloud.block_storage import Volume
from watcher.common.errors import NotFound
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import undone
from watcher.model.undone import Undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel

FULL = "left for the next plan by parallel_total, parallel_per_node or parallel_per_pool"
SAME_POOL = "in the pool that was asked for already"
SNAPSHOTS = "with snapshots"
ATTACHED = "attached to several servers, or to one that is neither active nor paused"
UNFIT = "for which the pool that was asked for is not in service or lacks the type"
TOO_LARGE = "too large for the room in the pool that was asked for"
SAME_TYPE = "of the wanted type already"


class Quota:
    """How many actions a plan may have."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._taken: dict[str, int] = collections.Counter()

    def allows(self, source: str, per_source: int) -> bool:
        return self._left > 0 and self._taken[source] < per_source

    def take(self, source: str) -> None:
        self._left -= 1
        self._taken[source] += 1


class Volumes:
    """The volumes that the parameters name, and those of them that this plan moves."""

    def __init__(
        self,
        storage: StorageModel | None,
        compute: ComputeModel,
        parameters: Mapping[str, Any],
        quota: Quota,
        solution: SolutionBuilder,
    ) -> None:
        self._compute, self._quota, self._solution = compute, quota, solution
        self._per_pool = parameters["parallel_per_pool"]
        self._entries: Sequence[Mapping[str, str]] = parameters.get("storage_pools", ())
        self.targets: list[Volume] = []
        """The volumes to move, in order."""
        self._planned = 0
        self._reasons: dict[str, str] = {}
        """Name to reason, of the volumes that stay."""
        self._unknown: list[str] = []
        if storage is None:
            return
        self._storage = storage
        self._check_known()
        self._free = {pool.name: pool.free_capacity_gb for pool in storage.pools}
        self.targets = self._sorted(parameters.get("priority", {}))
        pools = {entry["src_pool"] for entry in self._entries}
        self._unknown = sorted(pools - storage.pool_index.keys())

    def undone(self) -> list[Undone]:
        """The volumes of the source pools that this plan does not move, and mistyped pools."""
        found = undone.grouped(self._reasons.items(), "volumes")
        return found + undone.unknown(self._unknown, "in storage_pools, not a pool of the scope")

    def _check_known(self) -> None:
        destinations = {"dst_pool": self._storage.pool_index, "dst_type": self._storage.types}
        for entry in self._entries:
            for key, known in destinations.items():
                if key in entry and entry[key] not in known:
                    raise NotFound(f"storage_pools: there is no {key} '{entry[key]}'.")

    def _sorted(self, priority: Mapping[str, Any]) -> list[Volume]:
        sources = [entry["src_pool"] for entry in self._entries]
        found = [volume for volume in self._storage.volumes if self._entry(volume)]
        found.sort(key=lambda volume: (*_volume_rank(volume, priority), sources.index(volume.host)))
        return found

    def _entry(self, volume: Volume) -> Mapping[str, str]:
        """The entry of the parameters for a volume: that of its pool and type, else that of its
        pool alone, else none."""
        here = [entry for entry in self._entries if entry["src_pool"] == volume.host]
        for wanted in (volume.volume_type, None):
            for entry in here:
                if entry.get("src_type") == wanted:
                    return entry
        return {}

    def migrate(self, volume: Volume) -> bool:
        """Plan to move a volume, if possible.  Returns whether it was planned."""
        entry = self._entry(volume)
        pool, volume_type = entry.get("dst_pool"), entry.get("dst_type", "")
        why = self._obstacle(volume, pool, volume_type)
        if why:
            self._reasons[volume.name or volume.uuid] = why
            return False
        where = (
            f"{pool} was asked for and has room" if pool else f"type {volume_type} was asked for"
        )
        self._quota.take(volume.host)
        self._planned += 1
        self._solution.migrate_volume(
            volume, pool, volume_type, f"{volume.host} is to be emptied; {where}"
        )
        return True

    def _obstacle(self, volume: Volume, pool: str | None, volume_type: str) -> str:
        """Why a volume is not planned to move now; if it is planned, its room is taken."""
        if volume.status not in ("available", "in-use") or volume.moving:
            return undone.BUSY
        if not self._quota.allows(volume.host, self._per_pool):
            return FULL
        if pool is not None:
            return self._refusal(volume, pool)
        return SAME_TYPE if volume_type == volume.volume_type else ""

    def _refusal(self, volume: Volume, pool: str) -> str:
        """Why a volume cannot be migrated there now; if it can, its room is taken."""
        free = self._free[pool]
        if pool == volume.host:
            return SAME_POOL
        if volume.uuid in self._storage.with_snapshots:
            return SNAPSHOTS
        if not self._servers_bear_it(volume):
            return ATTACHED
        if not self._takes(pool, volume):
            return UNFIT
        if free is not None and free < volume.size_gb:
            return TOO_LARGE
        if free is not None:
            self._free[pool] = free - volume.size_gb
        return ""

    def _takes(self, name: str, volume: Volume) -> bool:
        """Whether a pool is in service and has the capabilities that a volume's type requires."""
        pool = self._storage.pools[self._storage.pool_index[name]]
        node = next(node for node in self._storage.nodes if node.host == pool.node)
        volume_type = self._storage.types.get(volume.volume_type)
        return (node.state, node.status) == ("up", "enabled") and (
            volume_type is None or pool.accepts(volume_type)
        )

    def _servers_bear_it(self, volume: Volume) -> bool:
        """A volume in use can move only if it is attached to one server that runs or is paused."""
        if len(volume.attachments) > 1:
            return False
        index = self._compute.server_index
        known = [each.server_id for each in volume.attachments if each.server_id in index]
        states = {self._compute.servers[index[uuid]].state for uuid in known}
        return states <= {"active", "paused"}

    def indicators(self) -> dict[str, int]:
        there = len(self.targets)
        self._solution.figure("volumes in the source pools", there, there - self._planned)
        return {
            f"{prefix}{kind}_count": count
            for prefix, count in (("", there), ("planned_", self._planned))
            for kind in ("volume_migrate", "volume_update")
        }


def _volume_rank(volume: Volume, priority: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts volumes as *priority* has it; its first key counts most."""
    names = {"project": volume.project_id, "storage_pool": volume.host}
    values = {"size": -volume.size_gb, "created_at": age(volume.created)}
    return rank(priority, names, "storage", values)


def rank(
    priority: Mapping[str, Any], names: Mapping[str, str], kind: str, values: Mapping[str, Any]
) -> tuple[Any, ...]:
    """*names* are sorted by their position in the list of their key, *values* by themselves."""
    return tuple(
        _position(names[key], wanted) if key in names else values[wanted]
        for key, wanted in priority.items()
        if key in names or key == kind
    )


def _position(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)


def age(created: datetime.datetime | None) -> tuple[bool, datetime.datetime | None]:
    """A volume without a known age counts as new."""
    return created is None, created
