# SPDX-License-Identifier: Apache-2.0
"""The storage scope of an audit: which pools and volumes it sees."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from watcher.cloud.block_storage import StorageNode, Volume
from watcher.decision_engine.model.storage import StorageModel
from watcher.decision_engine.model.types import Bools

Entries = Iterable[Mapping[str, Any]]

EVERYTHING = "*"


def apply(model: StorageModel, scope: Sequence[Mapping[str, Any]]) -> StorageModel:
    """*model* with the backends that *scope* allows, without what it excludes.

    A backend is allowed by its zone or by one of its volume types; its pools and
    their volumes come with it.  What is excluded is gone, and pools stay as full as
    they are.  Names that the cloud does not know match nothing.  *scope* is as
    ``schemas.scope`` returns it.
    """
    rules = _all(scope, "storage")
    if not rules:
        return model
    excluded = _all(rules, "exclude")
    nodes = _allowed(model, rules)
    hosts = {node.host for node in nodes}
    closed = _names(_all(excluded, "storage_pools"))
    pools = _mask(pool.node in hosts and pool.name not in closed for pool in model.pools)
    volumes = pools[model.placement] & ~_excluded(model.volumes, excluded)
    placement = (np.cumsum(pools) - 1)[model.placement[volumes]]
    placement.setflags(write=False)
    return dataclasses.replace(
        model,
        nodes=tuple(nodes),
        pools=tuple(compress(model.pools, pools)),
        volumes=tuple(compress(model.volumes, volumes)),
        placement=placement,
    )


def _allowed(model: StorageModel, rules: Entries) -> list[StorageNode]:
    """Those in one of the included zones, or of one of the types; all, if none are named."""
    zones, types = _names(_all(rules, "availability_zones")), _names(_all(rules, "volume_types"))
    if EVERYTHING in zones | types or not zones | types:
        return list(model.nodes)
    return [
        node
        for node in model.nodes
        if node.zone in zones or not types.isdisjoint(model.types_of[node.host])
    ]


def _excluded(volumes: Sequence[Volume], excluded: Entries) -> Bools:
    """bool [V]"""
    uuids = {entry["uuid"] for entry in _all(excluded, "volumes")}
    projects = {entry["uuid"] for entry in _all(excluded, "projects")}
    return _mask(volume.uuid in uuids or volume.project_id in projects for volume in volumes)


def _names(entries: Entries) -> set[str]:
    return {entry["name"] for entry in entries}


def _all(rules: Entries, field: str) -> list[Any]:
    return [entry for rule in rules for entry in rule.get(field, ())]


def _mask(values: Iterable[bool]) -> Bools:
    return np.fromiter(values, dtype=np.bool_)
