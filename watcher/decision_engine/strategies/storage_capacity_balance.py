# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from oslo_config import cfg

from watcher.cloud.block_storage import Volume
from watcher.common.errors import NotConfigured
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.decision_engine.algorithms.pool_balance import PoolBalance, VolumeMove
    from watcher.model.storage import StorageModel

NO_POOL = "for which no other pool has the room and the type"


class StorageCapacityBalance(Strategy):
    """Brings storage pools that are too full below a threshold, by moving volumes."""

    name = "storage_capacity_balance"
    display_name = "Storage Capacity Balance Strategy"
    goal = "workload_balancing"
    optimizes = False
    schema = {
        "properties": {
            "volume_threshold": parameters.number(
                "Percent of its total capacity from which on a pool is too full.",
                80.0,
                minimum=0,
                maximum=100,
            )
        }
    }
    options = (
        cfg.ListOpt(
            "ex_pools",
            default=["local_vstorage"],
            help="Pools that are left alone, as they call themselves: what follows the # in the "
            "name of a pool.",
        ),
    )

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.pool_balance import PoolBalance

        model, threshold = inputs.storage_model(), inputs.parameters["volume_threshold"]
        balance = PoolBalance(model, threshold, inputs.options.ex_pools)
        solution, before = SolutionBuilder(), _figures(balance)
        obstacles = _obstacles(inputs, model, balance)
        movable = [obstacles.get(index) == "" for index in range(len(model.volumes))]
        explained = [
            (move, _reason(move, model, balance, threshold)) for move in balance.run(movable)
        ]
        for move, reason in sorted(explained, key=lambda each: not each[0].volume_type):
            pool = model.pools[move.destination].name
            solution.migrate_volume(model.volumes[move.volume], pool, move.volume_type, reason)
        solution.figures(before, _figures(balance))
        moved, (_, too_full) = {move.volume for move, _ in explained}, balance.fullest()
        if too_full:
            staying = (
                (model.volumes[index].name or model.volumes[index].uuid, why or NO_POOL)
                for index, why in obstacles.items()
                if index not in moved
            )
            unmet = f"{_pools(too_full)} {threshold:g} % full or more"
            solution.leave(unmet, undone.grouped(staying, "volumes"))
        # The goal's specification counts servers, and no server moves.
        return solution.build(instance_migrations_count=0, instances_count=0)


def _obstacles(inputs: Inputs, model: StorageModel, balance: PoolBalance) -> dict[int, str]:
    """The volumes on pools that are too full, by index, and why each stays whatever room there is
    elsewhere; empty: it may move."""
    idle = functools.cache(lambda: _idle_servers(inputs))
    full = balance.over[model.placement].nonzero()[0].tolist()
    return {index: _obstacle(model, model.volumes[index], idle) for index in full}


def _obstacle(model: StorageModel, volume: Volume, idle: Callable[[], set[str]]) -> str:
    if volume.uuid in model.with_snapshots:
        return "with snapshots"
    if volume.status not in ("available", "in-use") or volume.moving:
        return undone.BUSY
    if volume.migration_status not in (None, "", "none", "success"):
        return "whose last migration failed"
    if volume.multiattach and volume.attachments:
        return "attached to several servers"
    if volume.attachments and volume.attachments[0].server_id in idle():
        return "attached to a server that is neither active nor paused"
    return ""


def _idle_servers(inputs: Inputs) -> set[str]:
    """Uuids of servers that do not run: these cannot copy their volumes."""
    try:
        servers = inputs.compute_model().servers
    except NotConfigured:
        return set()
    return {server.uuid for server in servers if server.state not in ("active", "paused")}


def _reason(move: VolumeMove, model: StorageModel, balance: PoolBalance, threshold: float) -> str:
    """The reason for a move that has just been made."""
    source, destination = model.pools[move.source], model.pools[move.destination]
    before = balance.used[move.source] + model.volumes[move.volume].size_gb
    full = 100 * before / balance.total[move.source]
    after = 100 * balance.used[move.destination] / balance.total[move.destination]
    return (
        f"{source.name} is {full:.1f} % full, not below {threshold:g} %; with it "
        f"{destination.name} is {after:.1f} % full"
    )


def _figures(balance: PoolBalance) -> dict[str, float]:
    fullest, too_full = balance.fullest()
    return {"pools that are too full": too_full, "fullest pool, %": round(100 * fullest, 1)}


def _pools(count: int) -> str:
    return "1 pool stays" if count == 1 else f"{count} pools stay"
