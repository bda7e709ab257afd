# SPDX-License-Identifier: Apache-2.0
"""Block storage in memory, from the ``storage`` part of a simulated cloud's file.

::

    storage:
      migration_seconds: 5
      types:
        - {name: fast, extra_specs: {volume_backend_name: ssd}}
      pools:
        - {name: "node-1@ssd#a", total_capacity_gb: 1000}
      volumes:
        - {name: data, host: "node-1@ssd#a", size_gb: 100, volume_type: fast}

Fields are those of ``cloud.block_storage``. ``nodes`` may be left out, because the pools
define them.  A pool without a free capacity has what its volumes leave.  A volume may have
``migration_seconds``, ``migration_fails`` and ``has_snapshots``.
"""

import contextlib
import dataclasses
import datetime
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from oslo_utils import timeutils

from watcher.cloud.block_storage import (
    Attachment,
    Pool,
    StorageNode,
    Volume,
    VolumeChanges,
    VolumeType,
)
from watcher.common.errors import CloudRefused, Invalid, NotFound
from watcher.simulation.fields import columns, fitting, made, moment, refuse_unknown, uuid_of
from watcher.simulation.migrations import Timed

_KEYS = {"migration_seconds", "nodes", "pools", "types", "volumes"}
_OWN = ("migration_seconds", "migration_fails", "has_snapshots")
_CHANGING = ("host", "volume_type", "status", "migration_status")
"""The fields of volumes that change."""


@dataclasses.dataclass
class _Move(Timed):
    """A volume on its way to a pool, to a type, or to both."""

    volume: str
    pool: str
    volume_type: str
    fails: bool
    status_before: str
    retypes: bool


class SimulatedStorage:
    """The ``BlockStorage`` of a simulated cloud.  Any thread may call it.

    During a move, a volume takes room on both pools.
    """

    def __init__(self, content: Mapping[str, Any], clock: Callable[[], float]) -> None:
        """Invalid, with the name of the field, if *content* does not fit."""
        if not isinstance(content, Mapping):
            raise Invalid("storage: must be one mapping, with pools and volumes.")
        refuse_unknown("storage", content, _KEYS)
        self._clock, self._lock = clock, threading.RLock()
        self._volumes: dict[str, Volume] = {}
        self._courses: dict[str, tuple[float, bool]] = {}
        self._snapshots: set[str] = set()
        self._moves: dict[str, _Move] = {}
        self._changed: dict[str, datetime.datetime] = {}
        """When each volume last changed, of those that have."""
        with fitting("storage"):
            self._read(content)
        self._at_first = self._taken()

    def _read(self, content: Mapping[str, Any]) -> None:
        pools = [_pool(entry) for entry in content.get("pools", ())]
        self._pools = {pool.name: pool for pool in pools}
        self._types = [_volume_type(each) for each in content.get("types", ())]
        self._nodes = self._made_nodes(content.get("nodes", ()))
        seconds = float(content.get("migration_seconds", 10))
        for entry in content.get("volumes", ()):
            self._add(entry, seconds)

    def _made_nodes(self, entries: Sequence[Mapping[str, Any]]) -> list[StorageNode]:
        nodes = [made(StorageNode, "storage.nodes", entry) for entry in entries]
        known = {node.host for node in nodes}
        hosts = dict.fromkeys(pool.node for pool in self._pools.values())
        return nodes + [StorageNode(host) for host in hosts if host not in known]

    def _add(self, entry: Mapping[str, Any], seconds: float) -> None:
        fields = {key: value for key, value in entry.items() if key not in _OWN}
        fields.setdefault("uuid", uuid_of(fields.get("name", "")))
        fields["attachments"] = tuple(
            made(Attachment, "storage.volumes", each) for each in fields.get("attachments", ())
        )
        fields["created"] = moment(fields.get("created"))
        volume = made(Volume, "storage.volumes", fields)
        if volume.host and volume.host not in self._pools:
            raise Invalid(
                f"storage.volumes: {volume.uuid} is in pool '{volume.host}', which is not there."
            )
        self._volumes[volume.uuid] = volume
        self._courses[volume.uuid] = (
            float(entry.get("migration_seconds", seconds)),
            bool(entry.get("migration_fails", False)),
        )
        if entry.get("has_snapshots"):
            self._snapshots.add(volume.uuid)

    def nodes(self) -> Sequence[StorageNode]:
        return self._nodes

    def pools(self) -> Sequence[Pool]:
        with self._present():
            taken = self._taken()
            numbers = Counter(volume.host for volume in self._volumes.values())
            return [
                dataclasses.replace(
                    self._filled(pool, taken[pool.name]), total_volumes=numbers[pool.name]
                )
                for pool in self._pools.values()
            ]

    def volumes(self) -> Sequence[Volume]:
        with self._present():
            return list(self._volumes.values())

    def volume_changes(self, since: datetime.datetime) -> VolumeChanges:
        with self._present():
            changed = [self._volumes[uuid] for uuid, at in self._changed.items() if at >= since]
            return VolumeChanges(changed, len(self._volumes))

    def volume_types(self) -> Sequence[VolumeType]:
        return self._types

    def volumes_with_snapshots(self) -> Collection[str]:
        return self._snapshots

    def volume(self, uuid: str) -> Volume:
        with self._present():
            volume = self._volumes.get(uuid)
        if volume is None:
            raise NotFound(f"Volume {uuid} was not found.")
        return volume

    def has_leftover(self, uuid: str) -> bool:
        return False

    def migrate(self, uuid: str, pool: str) -> None:
        with self._present():
            volume = self._at_rest(uuid)
            if pool not in self._pools:
                raise CloudRefused(f"Pool {pool} was not found.")
            if pool == volume.host:
                raise CloudRefused(f"Volume {uuid} is in pool {pool} already.")
            self._begin(volume, pool, volume.volume_type)
            self.change(uuid, migration_status="migrating")

    def retype(self, uuid: str, volume_type: str) -> None:
        with self._present():
            volume = self._at_rest(uuid)
            wanted = next((each for each in self._types if each.name == volume_type), None)
            if wanted is None:
                raise CloudRefused(f"Volume type {volume_type} was not found.")
            if volume_type == volume.volume_type:
                raise CloudRefused(f"Volume {uuid} has the type {volume_type} already.")
            self._begin(volume, self._pool_for(volume, wanted), volume_type, retypes=True)
            self.change(uuid, status="retyping")

    def _at_rest(self, uuid: str) -> Volume:
        volume = self.volume(uuid)
        if uuid in self._moves or volume.status not in ("available", "in-use"):
            raise CloudRefused(f"Volume {uuid} is {volume.status} and busy.")
        return volume

    def _pool_for(self, volume: Volume, wanted: VolumeType) -> str:
        """The pool of the volume if it accepts the type, or the emptiest that does; empty: none."""
        fit = [pool for pool in self.pools() if pool.accepts(wanted)]
        if any(pool.name == volume.host for pool in fit):
            return volume.host
        return max(fit, key=lambda pool: pool.free_capacity_gb or 0).name if fit else ""

    def _begin(self, volume: Volume, pool: str, volume_type: str, retypes: bool = False) -> None:
        seconds, fails = self._courses[volume.uuid]
        fails = fails or not self._has_room(volume, pool)
        self._moves[volume.uuid] = _Move(
            volume.uuid,
            pool,
            volume_type,
            fails,
            volume.status,
            retypes,
            begun=self._clock(),
            seconds=seconds,
        )

    def _has_room(self, volume: Volume, pool: str) -> bool:
        if pool in ("", volume.host):
            return pool != ""
        free = self._filled(self._pools[pool], self._taken()[pool]).free_capacity_gb
        return free is None or free >= volume.size_gb

    def to_dict(self) -> dict[str, Any]:
        """The present state, as ``restore`` reads it."""
        with self._present() as now:
            return {
                "volumes": {
                    volume.uuid: columns(volume, _CHANGING) for volume in self._volumes.values()
                },
                "moves": [
                    {**dataclasses.asdict(move), "begun": move.begun - now}
                    for move in self._moves.values()
                ],
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        with self._lock:
            now = self._clock()
            for uuid, changes in state["volumes"].items():
                if uuid in self._volumes and changes["host"] in {"", *self._pools}:
                    self.change(uuid, **changes)
            for entry in state["moves"]:
                if entry["volume"] in self._volumes:
                    move = _Move(**{**entry, "begun": now + entry["begun"]})
                    self._moves[move.volume] = move

    @contextlib.contextmanager
    def _present(self) -> Iterator[float]:
        """Hold the lock, with every move ended that is due by now."""
        with self._lock:
            now = self._clock()
            for move in [move for move in self._moves.values() if move.due <= now]:
                self._end(move)
            yield now

    def _end(self, move: _Move) -> None:
        del self._moves[move.volume]
        if not move.fails:
            self.change(move.volume, host=move.pool, volume_type=move.volume_type)
        if move.retypes:
            self.change(move.volume, status=move.status_before)
        else:
            self.change(move.volume, migration_status="error" if move.fails else "success")

    def change(self, uuid: str, **changes: Any) -> None:
        """Change fields of a volume, as if others than Watcher had done it."""
        self._volumes[uuid] = dataclasses.replace(self._volumes[uuid], **changes)
        self._changed[uuid] = timeutils.utcnow()

    def remove(self, uuid: str) -> None:
        """Let a volume be gone at once, whatever is being done with it."""
        del self._volumes[uuid]
        self._moves.pop(uuid, None)

    def _taken(self) -> Counter[str]:
        """GB of each pool that are taken by volumes and by moves to it."""
        taken: Counter[str] = Counter()
        for volume in self._volumes.values():
            taken[volume.host] += volume.size_gb
        for move in self._moves.values():
            if move.pool != self._volumes[move.volume].host:
                taken[move.pool] += self._volumes[move.volume].size_gb
        return taken

    def _filled(self, pool: Pool, taken: int) -> Pool:
        """*pool* with its present free capacity."""
        more = taken - self._at_first[pool.name]
        free, allocated = pool.free_capacity_gb, pool.allocated_capacity_gb
        provisioned = pool.provisioned_capacity_gb
        if free is None and pool.total_capacity_gb is not None:
            free = pool.total_capacity_gb - self._at_first[pool.name]
        return dataclasses.replace(
            pool,
            free_capacity_gb=None if free is None else free - more,
            allocated_capacity_gb=taken if allocated is None else allocated + more,
            provisioned_capacity_gb=taken if provisioned is None else provisioned + more,
        )


def _pool(entry: Mapping[str, Any]) -> Pool:
    pool = made(Pool, "storage.pools", entry)
    backend = {"volume_backend_name": pool.node.partition("@")[2]}
    return dataclasses.replace(pool, capabilities={**backend, **pool.capabilities})


def _volume_type(entry: Mapping[str, Any]) -> VolumeType:
    fields = dict(entry)
    fields.setdefault("id", uuid_of(fields.get("name", "")))
    return made(VolumeType, "storage.types", fields)
