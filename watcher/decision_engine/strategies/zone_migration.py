# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.cloud.block_storage import Volume
from watcher.cloud.compute import Server
from watcher.common.errors import NotFound
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.model.compute import ComputeModel
    from watcher.decision_engine.model.storage import StorageModel
    from watcher.decision_engine.whatif import WhatIf

_NAMES = {"type": "array", "items": {"type": "string"}}
_NAME = {"type": "string"}


def _limit(description: str, default: int) -> dict[str, Any]:
    return {"description": description, "type": "integer", "minimum": 0, "default": default}


class ZoneMigration(Strategy):
    """Moves servers off some hosts and volumes off some pools, a number at a time.

    What is asked for first by ``priority`` moves first, volumes before servers, until a
    limit is reached: limits bound what one plan does, so a large zone takes several
    audits.  Active and paused servers move live, stopped ones cold.  Without a
    destination the scheduler picks the host; a given one must have room, or the server
    stays for a later audit.  So must a given pool, and a volume that cannot be migrated
    as it is (in some other status than available or in-use, or with snapshots) stays.

    No metrics are read.  All servers and volumes are looked at once, and sorted.
    """

    name = "zone_migration"
    display_name = "Zone migration"
    goal = "hardware_maintenance"
    optimizes = False
    schema = {
        "properties": {
            "compute_nodes": {
                "description": "Hosts to move servers off, and where to.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "src_node": {"description": "Hostname.", **_NAME},
                        "dst_node": {
                            "description": "Hostname; if absent, the scheduler picks.",
                            **_NAME,
                        },
                    },
                    "required": ["src_node"],
                    "additionalProperties": False,
                },
            },
            "storage_pools": {
                "description": "Pools to move volumes off, and where to.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "src_pool": {"description": "host@backend#pool.", **_NAME},
                        "dst_pool": {"description": "host@backend#pool.", **_NAME},
                        "src_type": {"description": "Only volumes of this type.", **_NAME},
                        "dst_type": {"description": "Type that volumes get.", **_NAME},
                    },
                    "required": ["src_pool"],
                    "oneOf": [{"required": ["dst_pool"]}, {"required": ["dst_type"]}],
                    "additionalProperties": False,
                },
            },
            "parallel_total": _limit("Actions in one plan.", 6),
            "parallel_per_node": _limit("Servers that leave one host in one plan.", 2),
            "parallel_per_pool": _limit("Volumes that leave one pool in one plan.", 2),
            "priority": {
                "description": "What moves first; the first key counts most.",
                "type": "object",
                "properties": {
                    "project": {"description": "Projects, the first ones first.", **_NAMES},
                    "compute_node": {"description": "Hostnames, the first ones first.", **_NAMES},
                    "storage_pool": {"description": "Pools, the first ones first.", **_NAMES},
                    "compute": {
                        "description": "Largest, or oldest, servers first.",
                        "enum": ["vcpu_num", "mem_size", "disk_size", "created_at"],
                    },
                    "storage": {
                        "description": "Largest, or oldest, volumes first.",
                        "enum": ["size", "created_at"],
                    },
                },
                "additionalProperties": False,
            },
            "with_attached_volume": {
                "description": "Move a server right after a volume of it.",
                "type": "boolean",
                "default": False,
            },
        },
        "additionalProperties": False,
    }

    def execute(self, inputs: Inputs) -> Solution:
        # NumPy comes with it: only engines that run such audits pay for that.
        from watcher.decision_engine.whatif import WhatIf

        parameters, model = inputs.parameters, inputs.compute_model()
        solution = SolutionBuilder()
        quota = _Quota(parameters["parallel_total"])
        servers = _Servers(WhatIf(model), parameters, quota, solution)
        volumes = _Volumes(
            inputs.storage_model() if parameters.get("storage_pools") else None,
            model,
            parameters,
            quota,
            solution,
        )
        for volume in volumes.targets:
            if volumes.migrate(volume) and parameters["with_attached_volume"]:
                for attachment in volume.attachments:
                    servers.migrate(attachment.server_id)
        for uuid in servers.targets:
            servers.migrate(uuid)
        return solution.build(**servers.indicators(), **volumes.indicators())


class _Quota:
    """How many actions a plan may have."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._taken: dict[str, int] = collections.Counter()

    def allows(self, source: str, per_source: int) -> bool:
        return self._left > 0 and self._taken[source] < per_source

    def take(self, source: str) -> None:
        self._left -= 1
        self._taken[source] += 1


class _Servers:
    """The servers that are to move, and those of them that this plan moves."""

    def __init__(
        self,
        what_if: WhatIf,
        parameters: Mapping[str, Any],
        quota: _Quota,
        solution: SolutionBuilder,
    ) -> None:
        self._what_if, self._quota, self._solution = what_if, quota, solution
        self._per_node = parameters["parallel_per_node"]
        self._destinations: dict[str, str | None] = {}
        for entry in parameters.get("compute_nodes", ()):
            self._destinations.setdefault(entry["src_node"], entry.get("dst_node"))
        for hostname in self._destinations.values():
            if hostname is not None and hostname not in what_if.model.host_index:
                raise NotFound(
                    f"compute_nodes: there is no compute host '{hostname}' in the audit's scope."
                )
        self.targets = self._sorted(parameters.get("priority", {}))
        """Uuid to index in the model, in the order in which they are to move."""
        self._planned: list[str | None] = []
        """``live`` or ``cold``"""

    def _sorted(self, priority: Mapping[str, Any]) -> dict[str, int]:
        model = self._what_if.model
        sources = {hostname: rank for rank, hostname in enumerate(self._destinations)}
        found = [
            index
            for index, server in enumerate(model.servers)
            if server.host in sources and _way(server) and model.movable[index]
        ]
        found.sort(
            key=lambda index: (
                *_server_rank(model.servers[index], priority),
                sources[model.servers[index].host],
            )
        )
        return {model.servers[index].uuid: index for index in found}

    def migrate(self, uuid: str) -> None:
        """Plan to move a server, if it is to move, can, and has not been planned before."""
        index, what_if = self.targets.get(uuid), self._what_if
        if index is None or not what_if.leavers[index]:
            return
        server, where = what_if.model.servers[index], "the scheduler picks the host"
        wanted = self._destinations[server.host]
        if not self._quota.allows(server.host, self._per_node):
            return
        if wanted is not None:
            destination = what_if.model.host_index[wanted]
            if not what_if.hosts_for(index)[destination]:
                return
            what_if.move(index, destination)
            where = f"{wanted} was asked for and has room"
        what_if.leavers[index] = False
        self._quota.take(server.host)
        self._planned.append(_way(server))
        self._solution.migrate(
            server,
            None if wanted is None else what_if.model.hosts[destination],
            f"{server.host} is to be emptied; {where}",
        )

    def indicators(self) -> dict[str, int]:
        model = self._what_if.model
        there = sum(server.host in self._destinations for server in model.servers)
        self._solution.summary["servers on the source hosts"] = {
            "before": there,
            "after": there - len(self._planned),
        }
        ways = [_way(model.servers[index]) for index in self.targets.values()]
        return {
            f"{prefix}{way}_migrate_instance_count": counted.count(way)
            for prefix, counted in (("", ways), ("planned_", self._planned))
            for way in ("live", "cold")
        }


class _Volumes:
    """The volumes that are to move, and those of them that this plan moves."""

    def __init__(
        self,
        storage: StorageModel | None,
        compute: ComputeModel,
        parameters: Mapping[str, Any],
        quota: _Quota,
        solution: SolutionBuilder,
    ) -> None:
        self._compute, self._quota, self._solution = compute, quota, solution
        self._per_pool = parameters["parallel_per_pool"]
        self._entries: Sequence[Mapping[str, str]] = parameters.get("storage_pools", ())
        self.targets: list[Volume] = []
        """In the order in which they are to move."""
        self._planned = 0
        if storage is None:
            return
        self._storage = storage
        self._check_known()
        self._free = {pool.name: pool.free_capacity_gb for pool in storage.pools}
        self.targets = self._sorted(parameters.get("priority", {}))

    def _check_known(self) -> None:
        for entry in self._entries:
            for key, known in (
                ("dst_pool", self._storage.pool_index),
                ("dst_type", self._storage.types),
            ):
                if key in entry and entry[key] not in known:
                    raise NotFound(f"storage_pools: there is no {key} '{entry[key]}'.")

    def _sorted(self, priority: Mapping[str, Any]) -> list[Volume]:
        sources = [entry["src_pool"] for entry in self._entries]
        found = [volume for volume in self._storage.volumes if self._entry(volume)]
        found.sort(key=lambda volume: (*_volume_rank(volume, priority), sources.index(volume.host)))
        return found

    def _entry(self, volume: Volume) -> Mapping[str, str]:
        """What is asked for a volume: by its type, else by its pool alone; else nothing."""
        here = [entry for entry in self._entries if entry["src_pool"] == volume.host]
        for wanted in (volume.volume_type, None):
            for entry in here:
                if entry.get("src_type") == wanted:
                    return entry
        return {}

    def migrate(self, volume: Volume) -> bool:
        """Plan to move a volume, if it can; whether it was planned."""
        entry = self._entry(volume)
        pool, volume_type = entry.get("dst_pool"), entry.get("dst_type", "")
        if not _at_rest(volume) or not self._quota.allows(volume.host, self._per_pool):
            return False
        if pool is not None:
            if not self._fits(volume, pool):
                return False
            how = {"migration_type": "migrate", "destination_node": pool}
            where = f"{pool} was asked for and has room"
        elif volume_type == volume.volume_type:
            return False
        else:
            how = {"migration_type": "retype", "destination_type": volume_type}
            where = f"type {volume_type} was asked for"
        self._quota.take(volume.host)
        self._planned += 1
        self._solution.add(
            "volume_migrate",
            volume.uuid,
            f"{volume.host} is to be emptied; {where}",
            resource_name=volume.name,
            **how,
        )
        return True

    def _fits(self, volume: Volume, pool: str) -> bool:
        """Whether a volume can be migrated there now; if so, its room is taken."""
        model, free = self._storage, self._free[pool]
        if (
            pool == volume.host
            or not self._takes(pool, volume)
            or volume.uuid in model.with_snapshots
            or (free is not None and free < volume.size_gb)
            or not self._servers_bear_it(volume)
        ):
            return False
        if free is not None:
            self._free[pool] = free - volume.size_gb
        return True

    def _takes(self, name: str, volume: Volume) -> bool:
        """Whether a pool is in service, and has what the type of a volume asks for."""
        pool = self._storage.pools[self._storage.pool_index[name]]
        node = next(node for node in self._storage.nodes if node.host == pool.node)
        volume_type = self._storage.types.get(volume.volume_type)
        return (node.state, node.status) == ("up", "enabled") and (
            volume_type is None or pool.accepts(volume_type)
        )

    def _servers_bear_it(self, volume: Volume) -> bool:
        """Only one server that runs, or is paused, gets the new place of a volume."""
        if len(volume.attachments) > 1:
            return False
        index = self._compute.server_index
        known = [each.server_id for each in volume.attachments if each.server_id in index]
        states = {self._compute.servers[index[uuid]].state for uuid in known}
        return states <= {"active", "paused"}

    def indicators(self) -> dict[str, int]:
        there = len(self.targets)
        self._solution.summary["volumes in the source pools"] = {
            "before": there,
            "after": there - self._planned,
        }
        return {
            f"{prefix}{kind}_count": count
            for prefix, count in (("", there), ("planned_", self._planned))
            for kind in ("volume_migrate", "volume_update")
        }


def _way(server: Server) -> str | None:
    """How the state of a server lets it move, whatever else holds it."""
    return {"active": "live", "paused": "live", "stopped": "cold"}.get(server.state)


def _at_rest(volume: Volume) -> bool:
    return volume.status in ("available", "in-use") and not volume.moving


def _server_rank(server: Server, priority: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts servers as *priority* has it; its first key counts most."""
    names = {"project": server.project_id, "compute_node": server.host}
    values = {
        "vcpu_num": -server.vcpus,
        "mem_size": -server.memory_mb,
        "disk_size": -server.disk_gb,
        "created_at": _age(server.created),
    }
    return _rank(priority, names, "compute", values)


def _volume_rank(volume: Volume, priority: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts volumes as *priority* has it; its first key counts most."""
    names = {"project": volume.project_id, "storage_pool": volume.host}
    values = {"size": -volume.size_gb, "created_at": _age(volume.created)}
    return _rank(priority, names, "storage", values)


def _rank(
    priority: Mapping[str, Any],
    names: Mapping[str, str],
    kind: str,
    values: Mapping[str, Any],
) -> tuple[Any, ...]:
    """*names* rank by their position in the list of their key, *values* by themselves."""
    return tuple(
        _position(names[key], wanted) if key in names else values[wanted]
        for key, wanted in priority.items()
        if key in names or key == kind
    )


def _position(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)


def _age(created: datetime.datetime | None) -> tuple[bool, datetime.datetime | None]:
    """What is not known counts as new."""
    return created is None, created
