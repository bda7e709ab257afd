# SPDX-License-Identifier: Apache-2.0
"""Where servers may be, apart from room: zones, aggregates and server groups."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from watcher.cloud.compute import Host, Server, ServerGroup
from watcher.decision_engine.model.types import Bools, Ints

_SPEC = "aggregate_instance_extra_specs:"
"""Extra specs with this scope are what nova's AggregateInstanceExtraSpecsFilter reads."""
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
        projects = _isolated_projects(hosts)
        kinds: dict[_Kind, int] = {}
        kind = [kinds.setdefault(_kind(server, projects), len(kinds)) for server in servers]
        index = {server.uuid: position for position, server in enumerate(servers)}
        together = [group for group in groups if group.policy == "affinity"]
        apart = [group for group in groups if group.policy == "anti-affinity"]
        return cls(
            kind=np.array(kind, dtype=np.int64),
            allowed=np.array(
                [[_allows(host, each) for host in hosts] for each in kinds], dtype=np.bool_
            ).reshape(len(kinds), len(hosts)),
            bound=_bound(together, index),
            group=_group(apart, index),
            limit=np.array([group.max_server_per_host for group in apart], dtype=np.int64),
        )


def _kind(server: Server, projects: set[str]) -> _Kind:
    specs = frozenset(
        (key.removeprefix(_SPEC), value)
        for key, value in server.extra_specs.items()
        if key.startswith(_SPEC)
    )
    project = server.project_id if server.project_id in projects else ""
    return server.pinned_az, project, specs


def _allows(host: Host, kind: _Kind) -> bool:
    zone, project, specs = kind
    if zone and zone != host.zone:
        return False
    tenants = _tenants(host)
    if tenants and project not in tenants:
        return False
    metadata: Mapping[str, set[str]] = _metadata(host)
    return all(_wanted(value) & metadata.get(key, set()) for key, value in specs)


def _wanted(value: str) -> set[str]:
    """The values that satisfy an extra spec: ``a``, or ``<or> a <or> b``."""
    if value.startswith(_EITHER):
        return {each.strip() for each in value.split(_EITHER) if each.strip()}
    return {value}


def _metadata(host: Host) -> dict[str, set[str]]:
    """Aggregate metadata of a host; a value may be a list with commas."""
    values: dict[str, set[str]] = defaultdict(set)
    for aggregate in host.aggregates:
        for key, value in aggregate.metadata.items():
            values[key] |= _split(value)
    return values


def _tenants(host: Host) -> set[str]:
    """The projects that the aggregates of a host are reserved to; none: to nobody."""
    return {
        tenant
        for aggregate in host.aggregates
        for key, value in aggregate.metadata.items()
        if key.startswith(_TENANTS)
        for tenant in _split(value)
    }


def _isolated_projects(hosts: Iterable[Host]) -> set[str]:
    return {tenant for host in hosts for tenant in _tenants(host)}


def _split(value: str) -> set[str]:
    return {each.strip() for each in str(value).split(",")}


def _bound(groups: Sequence[ServerGroup], index: Mapping[str, int]) -> Bools:
    bound = np.zeros(len(index), dtype=np.bool_)
    for group in groups:
        members = [index[uuid] for uuid in group.members if uuid in index]
        if len(members) > 1:
            bound[members] = True
    return bound


def _group(groups: Sequence[ServerGroup], index: Mapping[str, int]) -> Ints:
    group_of = np.full(len(index), len(groups), dtype=np.int64)
    for number, group in enumerate(groups):
        group_of[[index[uuid] for uuid in group.members if uuid in index]] = number
    return group_of
