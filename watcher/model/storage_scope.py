# SPDX-License-Identifier: Apache-2.0
"""The storage scope of an audit: which pools and volumes it sees."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from watcher.cloud.block_storage import StorageNode, Volume
from watcher.model.scope_rules import EVERYTHING, Entries, all_of, mask_of, names_of
from watcher.model.storage import StorageModel
from watcher.model.types import Bools


def apply(model: StorageModel, scope: Sequence[Mapping[str, Any]]) -> StorageModel:
    """*model* with the backends that *scope* allows, without what it excludes.

    A backend is allowed by its zone or by one of its volume types; its pools and their volumes come
    with it.  What is excluded is removed, but pools stay as full as they are.  Names that the cloud
    does not have match nothing.  *scope* is as ``schemas.scope`` returns it.
    """
    rules = all_of(scope, "storage")
    if not rules:
        return model
    excluded = all_of(rules, "exclude")
    nodes = _allowed(model, rules)
    hosts = {node.host for node in nodes}
    excluded_pools = names_of(all_of(excluded, "storage_pools"))
    pools = mask_of(
        [pool.node in hosts and pool.name not in excluded_pools for pool in model.pools]
    )
    volumes = pools[model.placement] & ~_excluded(model.volumes, excluded)
    placement = (np.cumsum(pools) - 1)[model.placement[volumes]]
    placement.setflags(write=False)
    return dataclasses.replace(
        model,
        nodes=tuple(nodes),
        pools=tuple(compress(model.pools, pools)),
        volumes=tuple(compress(model.volumes, volumes)),
        placement=placement,
        outside=(*model.outside, *compress(model.pools, ~pools)),
    )


def _allowed(model: StorageModel, rules: Entries) -> list[StorageNode]:
    """The backends in one of the included zones, or of one of the types; all, if none are named."""
    zones, types = (
        names_of(all_of(rules, "availability_zones")),
        names_of(all_of(rules, "volume_types")),
    )
    if EVERYTHING in zones | types or not zones | types:
        return list(model.nodes)
    return [
        node
        for node in model.nodes
        if node.zone in zones or not types.isdisjoint(model.types_of[node.host])
    ]


def _excluded(volumes: Sequence[Volume], excluded: Entries) -> Bools:
    """bool [V]"""
    uuids = {entry["uuid"] for entry in all_of(excluded, "volumes")}
    projects = {entry["uuid"] for entry in all_of(excluded, "projects")}
    return mask_of([volume.uuid in uuids or volume.project_id in projects for volume in volumes])
