# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from watcher.cloud.compute import Server
from watcher.common.errors import NotFound
from watcher.decision_engine.algorithms.zone_volumes import FULL, Quota, Volumes, age, rank
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone
from watcher.model.undone import Undone

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.scheduler import Scheduler
    from watcher.model.whatif import WhatIf

_NAMES = {"type": "array", "items": {"type": "string"}}

_THERE = "on the host that was asked for already"
_AT_DESTINATION = {
    undone.NO_HOST: "to go to a host that is disabled or down",
    undone.PLACE: "kept from the host that was asked for by its zone, aggregates or traits",
    undone.GROUP: "kept apart from a member of their group on the host that was asked for",
    undone.ROOM: "too large for the room on the host that was asked for",
    undone.ONE_AT_A_TIME: undone.REASONS[undone.ONE_AT_A_TIME],
}
"""Why the host that was asked for does not take a server, by the reason of a what-if."""


def _limit(description: str, default: int) -> dict[str, Any]:
    return parameters.number(description, default, type="integer", minimum=0)


class ZoneMigration(Strategy):
    """Moves servers off some hosts and volumes off some pools, a number at a time."""

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
                        "src_node": parameters.text("Hostname."),
                        "dst_node": parameters.text("Hostname; if absent, the scheduler picks."),
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
                        "src_pool": parameters.text("host@backend#pool."),
                        "dst_pool": parameters.text("host@backend#pool."),
                        "src_type": parameters.text("Only volumes of this type."),
                        "dst_type": parameters.text("Type that volumes get."),
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
            "with_attached_volume": parameters.flag("Move a server right after a volume of it."),
        },
        "additionalProperties": False,
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.scheduler import Scheduler
        from watcher.model.whatif import WhatIf

        parameters, model = inputs.parameters, inputs.compute_model()
        solution = SolutionBuilder()
        quota = Quota(parameters["parallel_total"])
        scheduler = Scheduler(inputs.cloud())
        servers = _Servers(
            WhatIf(model.free_to_leave_zones), scheduler, parameters, quota, solution
        )
        volumes = Volumes(
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
        given = parameters.get("compute_nodes") or parameters.get("storage_pools")
        nothing = "" if given else "neither compute_nodes nor storage_pools names anything to empty"
        solution.leave(nothing, [*servers.undone(), *volumes.undone()])
        return solution.build(**servers.indicators(), **volumes.indicators())


class _Servers:
    """The servers that are to move, and those of them that this plan moves."""

    def __init__(
        self,
        what_if: WhatIf,
        scheduler: Scheduler,
        parameters: Mapping[str, Any],
        quota: Quota,
        solution: SolutionBuilder,
    ) -> None:
        self._what_if, self._scheduler = what_if, scheduler
        self._quota, self._solution = quota, solution
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
        self._planned: dict[int, str | None] = {}
        """Servers that this plan moves, and how: ``live`` or ``cold``."""
        self._refused: dict[int, str] = {}
        """Servers that it does not move: it is full, or no host, or not the requested one, takes
        them."""

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
            self._refused[index] = FULL
            return
        if wanted is not None:
            destination = what_if.model.host_index[wanted]
            if why := self._why_refused(index, destination):
                self._refused[index] = why
                return
            what_if.move(index, destination)
            self._scheduler.place_server(uuid, wanted)
            where = f"{wanted} was asked for and has room"
        elif why := self._scheduler.pick(uuid):
            self._refused[index] = why
            return
        what_if.leavers[index] = False
        self._quota.take(server.host)
        self._planned[index] = _way(server)
        self._solution.migrate(
            server,
            None if wanted is None else what_if.model.hosts[destination],
            f"{server.host} is to be emptied; {where}",
        )

    def _why_refused(self, server: int, destination: int) -> str:
        """Why the requested host does not take a server; empty if it does."""
        if destination == self._what_if.placement[server]:
            return _THERE
        if self._what_if.possible_hosts(server)[destination]:
            return ""
        return _AT_DESTINATION[self._what_if.why_not(server, destination)]

    def undone(self) -> list[Undone]:
        """The servers of the source hosts that this plan does not move, and mistyped hosts."""
        model = self._what_if.model
        unknown = sorted(self._destinations.keys() - model.host_index.keys())
        staying = (
            (server.name, self._refused.get(index) or self._what_if.why_not(index))
            for index, server in enumerate(model.servers)
            if server.host in self._destinations and index not in self._planned
        )
        found = undone.grouped(staying)
        return found + undone.unknown(unknown, "in compute_nodes, not a host of the scope")

    def indicators(self) -> dict[str, int]:
        model = self._what_if.model
        there = sum(server.host in self._destinations for server in model.servers)
        self._solution.figure("servers on the source hosts", there, there - len(self._planned))
        ways = [_way(model.servers[index]) for index in self.targets.values()]
        return {
            f"{prefix}{way}_migrate_instance_count": counted.count(way)
            for prefix, counted in (("", ways), ("planned_", [*self._planned.values()]))
            for way in ("live", "cold")
        }


def _way(server: Server) -> str | None:
    """How a server can move in its state, apart from other reasons to stay."""
    return {"active": "live", "paused": "live", "stopped": "cold"}.get(server.state)


def _server_rank(server: Server, priority: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts servers as *priority* has it; its first key counts most."""
    names = {"project": server.project_id, "compute_node": server.host}
    values = {
        "vcpu_num": -server.vcpus,
        "mem_size": -server.memory_mb,
        "disk_size": -server.disk_gb,
        "created_at": age(server.created),
    }
    return rank(priority, names, "compute", values)
