# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Container
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
        explained = [
            (move, _reason(move, model, balance, threshold))
            for move in balance.run(_movable(inputs, model, balance))
        ]
        for move, reason in sorted(explained, key=lambda each: not each[0].volume_type):
            pool = model.pools[move.destination].name
            solution.migrate_volume(model.volumes[move.volume], pool, move.volume_type, reason)
        solution.figures(before, _figures(balance))
        _say_what_stays(solution, model, balance, {move.volume for move, _ in explained}, threshold)
        # The goal's specification counts servers, and no server moves.
        return solution.build(instance_migrations_count=0, instances_count=0)


def _movable(inputs: Inputs, model: StorageModel, balance: PoolBalance) -> list[bool]:
    """[V]: the volumes that are at rest, have no snapshots and are on a pool that is too full."""
    over = balance.over[model.placement].tolist()
    movable = [
        full
        and volume.uuid not in model.with_snapshots
        and volume.status in ("available", "in-use")
        and volume.migration_status in (None, "", "none", "success")
        and not (volume.multiattach and volume.attachments)
        for full, volume in zip(over, model.volumes, strict=True)
    ]
    if any(
        each and volume.attachments for each, volume in zip(movable, model.volumes, strict=True)
    ):
        idle = _idle_servers(inputs)
        movable = [
            each and not (volume.attachments and volume.attachments[0].server_id in idle)
            for each, volume in zip(movable, model.volumes, strict=True)
        ]
    return movable


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


def _say_what_stays(
    solution: SolutionBuilder,
    model: StorageModel,
    balance: PoolBalance,
    moved: Container[int],
    threshold: float,
) -> None:
    too_full = balance.fullest()[1]
    if too_full:
        over = balance.over[model.placement].tolist()
        solution.leave(
            f"{_pools(too_full)} {threshold:g} % full or more",
            undone.grouped(
                (
                    (volume.name or volume.uuid, _obstacle(model, volume))
                    for index, volume in enumerate(model.volumes)
                    if over[index] and index not in moved
                ),
                "volumes",
            ),
        )


def _pools(count: int) -> str:
    return "1 pool stays" if count == 1 else f"{count} pools stay"


def _obstacle(model: StorageModel, volume: Volume) -> str:
    if volume.uuid in model.with_snapshots:
        return "with snapshots"
    if volume.status not in ("available", "in-use") or volume.moving:
        return undone.BUSY
    if volume.multiattach and volume.attachments:
        return "attached to several servers"
    return "for which no other pool has the room and the type"
