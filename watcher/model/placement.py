# SPDX-License-Identifier: Apache-2.0
"""Where servers may be, apart from room: zones, aggregates and server groups."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from watcher.cloud.compute import Host, Server, ServerGroup
from watcher.model.types import Bools, Ints

_SPEC = "aggregate_instance_extra_specs:"
"""Extra specs with this scope are what nova's AggregateInstanceExtraSpecsFilter reads.

It reads those without any scope, too.  Not every cloud has that filter, so these count
only where an aggregate has the key.
"""
_TENANTS = "filter_tenant_id"
"""Metadata keys that begin so are what nova's AggregateMultiTenancyIsolation reads."""
_EITHER = "<or>"

_Kind = tuple[str, str, frozenset[tuple[str, str]]]
"""Zone, project and extra specs: what decides where a server may be."""


@dataclasses.dataclass(frozen=True, eq=False)
class PlacementRules:
    """The rules of a cluster with H hosts, V servers, K kinds of them and G groups.

    ``kind``      int [V], servers of one kind may be on the same hosts
    ``allowed``   bool [K, H], by zone and aggregates
    ``bound``     bool [V], kept together with others: they cannot be moved one by one
    ``group``     int [V], the group whose members are kept apart, or G for none
    ``limit``     int [G], how many members of a group one host may have
    """

    kind: Ints
    allowed: Bools
    bound: Bools
    group: Ints
    limit: Ints

    @classmethod
    def of(
        cls, hosts: Sequence[Host], servers: Sequence[Server], groups: Sequence[ServerGroup]
    ) -> "PlacementRules":
        places = [_Place.of(host) for host in hosts]
        projects = {project for place in places for project in place.projects}
        keys = {key for place in places for key in place.metadata}
        kinds: dict[_Kind, int] = {}
        kind = [kinds.setdefault(_kind(each, projects, keys), len(kinds)) for each in servers]
        index = {server.uuid: position for position, server in enumerate(servers)}
        together = [group for group in groups if group.policy == "affinity"]
        apart = [group for group in groups if group.policy == "anti-affinity"]
        return cls(
            kind=np.array(kind, dtype=np.int64),
            allowed=np.array(
                [[place.allows(each) for place in places] for each in kinds], dtype=np.bool_
            ).reshape(len(kinds), len(hosts)),
            bound=_bound(together, index),
            group=_group(apart, index),
            limit=np.array([group.max_server_per_host for group in apart], dtype=np.int64),
        )


@dataclasses.dataclass(frozen=True)
class _Place:
    """What a host has that servers may ask for, or be kept out by."""

    zone: str
    metadata: Mapping[str, set[str]]
    """Of its aggregates; a value may be a list with commas."""
    projects: frozenset[str]
    """The projects that its aggregates are reserved to; none: to nobody."""

    @classmethod
    def of(cls, host: Host) -> "_Place":
        metadata: dict[str, set[str]] = defaultdict(set)
        projects: set[str] = set()
        for aggregate in host.aggregates:
            for key, value in aggregate.metadata.items():
                metadata[key] |= _split(value)
                if key.startswith(_TENANTS):
                    projects |= _split(value)
        return cls(host.zone, metadata, frozenset(projects))

    def allows(self, kind: _Kind) -> bool:
        zone, project, specs = kind
        if zone and zone != self.zone:
            return False
        if self.projects and project not in self.projects:
            return False
        return all(_wanted(value) & self.metadata.get(key, set()) for key, value in specs)


def _kind(server: Server, projects: set[str], keys: set[str]) -> _Kind:
    specs = frozenset(
        (key.removeprefix(_SPEC), value)
        for key, value in server.extra_specs.items()
        if key.startswith(_SPEC) or key in keys
    )
    project = server.project_id if server.project_id in projects else ""
    return server.pinned_az, project, specs


def _wanted(value: str) -> set[str]:
    """The values that satisfy an extra spec: ``a``, or ``<or> a <or> b``.

    One with another operator is satisfied nowhere: its server stays.
    """
    if value.startswith(_EITHER):
        return {each.strip() for each in value.split(_EITHER) if each.strip()}
    return {value}


def _split(value: str) -> set[str]:
    return {each.strip() for each in str(value).split(",")}


def _bound(groups: Sequence[ServerGroup], index: Mapping[str, int]) -> Bools:
    """bool [V].  Members that the scope leaves out count: they stay where they are."""
    bound = np.zeros(len(index), dtype=np.bool_)
    for group in groups:
        if len(group.members) > 1:
            bound[[index[uuid] for uuid in group.members if uuid in index]] = True
    return bound


def _group(groups: Sequence[ServerGroup], index: Mapping[str, int]) -> Ints:
    group_of = np.full(len(index), len(groups), dtype=np.int64)
    for number, group in enumerate(groups):
        group_of[[index[uuid] for uuid in group.members if uuid in index]] = number
    return group_of
