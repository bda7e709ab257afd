# SPDX-License-Identifier: Apache-2.0
"""Bringing storage pools below a threshold by moving volumes: arithmetic on arrays.

Shapes: P pools, V volumes.
"""

import bisect
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from watcher.cloud.block_storage import Pool, Volume, VolumeType
from watcher.decision_engine.algorithms.loads import array
from watcher.model.storage import StorageModel
from watcher.model.types import Bools, Floats


class VolumeMove(NamedTuple):
    """A volume to move and its new pool, by their indices.

    With a ``volume_type`` the volume moves by a change of its type; otherwise it keeps its type.
    """

    volume: int
    source: int
    destination: int
    volume_type: str = ""


class PoolBalance:
    """Pools and how full they are, with the moves made.

    A pool whose backend does not report its total or free capacity neither gives nor takes volumes,
    and neither does an excluded one.  A pool whose backend is down or disabled takes none.
    """

    def __init__(
        self, model: StorageModel, threshold: float, excluded: Collection[str] = ()
    ) -> None:
        """*threshold* is percent of a pool's total; *excluded* are names of pools, the part
        after ``#``."""
        self._model = model
        pools = model.pools
        self.total = array([pool.total_capacity_gb or None for pool in pools])
        self.free = array([pool.free_capacity_gb for pool in pools])
        """float [P], GB; NaN where it is not known"""
        self._free_for_retypes = np.where(np.isnan(self.free), np.inf, self.free)
        """The same without the moves that are migrations; infinite where it is not known."""
        self._promised = np.fmax(
            array([pool.allocated_capacity_gb or 0.0 for pool in pools]),
            array([pool.provisioned_capacity_gb or 0.0 for pool in pools]),
        )
        ratios = array([pool.max_over_subscription_ratio for pool in pools])
        self._promisable = self.total * ratios
        self._reserved = self.total * array([_reserved(pool) for pool in pools])
        self._limit = self.total * threshold / 100
        known = np.isfinite(self.total) & np.isfinite(self.free)
        known &= np.array([_own_name(pool) not in excluded for pool in pools], dtype=np.bool_)
        self.over = known & (self.used >= self._limit)
        """bool [P]: those that are at the threshold or above it before the moves"""
        up = {node.host for node in model.nodes if (node.state, node.status) == ("up", "enabled")}
        takes = np.array([pool.node in up for pool in pools], dtype=np.bool_)
        self._takers = known & takes & ~self.over
        self._accepting = cache(self._pools_accepting)
        self._alternatives = cache(self._types_like)
        self._free_outside = cache(self._most_free_outside)

    @property
    def used(self) -> Floats:
        """float [P], GB"""
        return self.total - self.free

    def fullest(self) -> tuple[float, int]:
        """How full the fullest pool is, 0 to 1, and how many are not below the threshold."""
        known = self.over | self._takers
        fullness = (self.used / self.total)[known]
        too_full = int((self.used[known] >= self._limit[known]).sum())
        return float(fullness.max(initial=0.0)), too_full

    def run(self, movable: Sequence[bool]) -> Iterator[VolumeMove]:
        """Moves that bring the pools of ``over`` below the threshold, as far as they can.

        *movable* [V].  Volumes that are not attached leave a pool first, then attached volumes,
        and bootable volumes last.  Of these the smallest that is enough leaves, or else the
        largest, so that little is moved.  No pool that takes a volume is filled to the threshold,
        into its reserve, or beyond its over-subscription.
        """
        if not self.over.any() or not self._takers.any():
            return
        crowds: dict[int, tuple[list[int], ...]] = {
            int(pool): ([], [], []) for pool in np.flatnonzero(self.over)
        }
        volumes = self._model.volumes
        for index, pool in enumerate(self._model.placement.tolist()):
            if pool in crowds and movable[index]:
                crowds[pool][_reluctance(volumes[index])].append(index)
        for source, crowd in crowds.items():
            for volumes_alike in crowd:
                yield from self._relieve(source, volumes_alike)

    def _relieve(self, source: int, candidates: list[int]) -> Iterator[VolumeMove]:
        volumes = self._model.volumes
        candidates.sort(key=lambda index: volumes[index].size_gb)
        sizes = [volumes[index].size_gb for index in candidates]
        while candidates:
            excess = self.used[source] - self._limit[source]
            if excess < 0:
                return
            chosen = min(bisect.bisect_right(sizes, excess), len(sizes) - 1)
            index = candidates.pop(chosen)
            del sizes[chosen]
            move = self._move(index, source)
            if move is not None:
                yield move

    def _move(self, index: int, source: int) -> VolumeMove | None:
        """Make the best move of a volume.  None if there is none."""
        volume = self._model.volumes[index]
        move = self._migration(index, volume, source) or self._retype(index, volume, source)
        if move is not None:
            for pool, size in ((source, -volume.size_gb), (move.destination, volume.size_gb)):
                self.free[pool] -= size
                self._promised[pool] += size
                self._free_for_retypes[pool] -= size if move.volume_type else 0
        return move

    def _migration(self, index: int, volume: Volume, source: int) -> VolumeMove | None:
        fit = self._fit(volume)
        if volume.volume_type:
            fit = fit & self._accepting(volume.volume_type)
        if not fit.any():
            return None
        return VolumeMove(index, source, int(np.argmax(np.where(fit, self._emptiness, -np.inf))))

    def _retype(self, index: int, volume: Volume, source: int) -> VolumeMove | None:
        """The best move to another type that differs in its backend only.

        The scheduler picks the pool. By default it takes the one with most free capacity of
        all that have the type, in the scope or not.  Plans make retypes before migrations.
        """
        fit = self._fit(volume)
        if not fit.any():
            return None
        free = self._free_for_retypes
        landings = []
        for name in self._alternatives(volume.volume_type):
            accepting = self._accepting(name)
            pool = int(np.argmax(np.where(accepting, free, -np.inf)))
            landed = accepting.any() and free[pool] > self._free_outside(name)
            if landed and not accepting[source] and fit[pool]:
                landings.append(VolumeMove(index, source, pool, name))
        return max(
            landings, key=lambda move: float(self._emptiness[move.destination]), default=None
        )

    def _types_like(self, name: str) -> list[str]:
        """The types of another backend whose other extra specs are those of this one."""
        own = self._model.types.get(name)
        return [
            each.name
            for each in sorted(self._model.types.values(), key=lambda each: each.name)
            if own is not None
            and each.backend not in ("", own.backend)
            and _specs(each) == _specs(own)
        ]

    def _most_free_outside(self, name: str) -> float:
        """The most free GB of a pool outside the scope that has the type; below 0 if there is
        none."""
        wanted = self._model.types[name]
        return max(
            (
                np.inf if pool.free_capacity_gb is None else pool.free_capacity_gb
                for pool in self._model.outside
                if pool.accepts(wanted)
            ),
            default=-1.0,
        )

    def _fit(self, volume: Volume) -> Bools:
        """bool [P]: the pools that may take a volume."""
        size = volume.size_gb
        return (
            self._takers
            & (self.used + size < self._limit)
            & (self.free - size >= self._reserved)
            & (self._promised + size <= self._promisable)
        )

    @property
    def _emptiness(self) -> Floats:
        return self.free / self.total

    def _pools_accepting(self, volume_type: str) -> Bools:
        wanted = self._model.types.get(volume_type)
        return np.array(
            [wanted is not None and pool.accepts(wanted) for pool in self._model.pools],
            dtype=np.bool_,
        )


def _reluctance(volume: Volume) -> int:
    """How much a move of the volume disturbs others: 0 least, 2 most."""
    if volume.status == "available":
        return 0
    return 2 if volume.bootable else 1


def _specs(volume_type: VolumeType) -> dict[str, str]:
    specs = dict(volume_type.extra_specs)
    specs.pop("volume_backend_name", None)
    return specs


def _reserved(pool: Pool) -> float:
    """The fraction of its total that a pool reserves."""
    try:
        return float(pool.capabilities.get("reserved_percentage") or 0) / 100
    except (TypeError, ValueError):
        return 0.0


def _own_name(pool: Pool) -> str:
    return pool.capabilities.get("pool_name") or pool.name.partition("#")[2]
