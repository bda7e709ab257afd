# SPDX-License-Identifier: Apache-2.0
"""The block storage snapshot."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from watcher.cloud.block_storage import Pool, StorageNode, Volume, VolumeType
from watcher.model.types import Ints


@dataclasses.dataclass(frozen=True, eq=False)
class StorageModel:
    """Backends, their pools and volumes at one moment.  Immutable.

    ``placement``  int [V], index of each volume's pool in ``pools``
    """

    nodes: Sequence[StorageNode]
    pools: Sequence[Pool]
    volumes: Sequence[Volume]
    placement: Ints
    types: Mapping[str, VolumeType]
    """By name."""
    with_snapshots: frozenset[str]
    """Uuids of the volumes that have snapshots."""
    outside: Sequence[Pool] = ()
    """Pools outside the scope, where block storage may put volumes nevertheless."""

    @classmethod
    def build(
        cls,
        nodes: Sequence[StorageNode],
        pools: Sequence[Pool],
        volumes: Sequence[Volume],
        types: Sequence[VolumeType] = (),
        with_snapshots: frozenset[str] = frozenset(),
    ) -> "StorageModel":
        """A snapshot of *nodes*, of their pools, and of the volumes in those.

        All are sorted, so that equal clouds give equal snapshots.
        """
        nodes = sorted(nodes, key=lambda node: node.host)
        hosts = {node.host for node in nodes}
        pools = sorted((pool for pool in pools if pool.node in hosts), key=lambda pool: pool.name)
        index = {pool.name: position for position, pool in enumerate(pools)}
        volumes = sorted(
            (volume for volume in volumes if volume.host in index), key=lambda volume: volume.uuid
        )
        placement = np.array([index[volume.host] for volume in volumes], dtype=np.int64)
        placement.setflags(write=False)
        return cls(
            tuple(nodes),
            tuple(pools),
            tuple(volumes),
            placement,
            {each.name: each for each in types},
            with_snapshots,
        )

    @cached_property
    def types_of(self) -> dict[str, frozenset[str]]:
        """Node's host to the names of the volume types that ask for its backend."""
        asked: dict[str, set[str]] = {}
        for each in self.types.values():
            asked.setdefault(each.backend, set()).add(each.name)
        return {node.host: frozenset(asked.get(node.backend, ())) for node in self.nodes}

    @cached_property
    def pool_index(self) -> dict[str, int]:
        """Pool name to index."""
        return {pool.name: position for position, pool in enumerate(self.pools)}
