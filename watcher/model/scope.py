# SPDX-License-Identifier: Apache-2.0
"""The compute scope of an audit: which hosts it sees, and which servers it may move."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from watcher.cloud.compute import Host, Server
from watcher.model.compute import ComputeModel
from watcher.model.scope_rules import EVERYTHING, Entries, all_of, mask_of, names_of
from watcher.model.types import Bools

_MISSING = object()


def apply(model: ComputeModel, scope: Sequence[Mapping[str, Any]]) -> ComputeModel:
    """*model* with the hosts that *scope* allows, and their servers.

    Hosts outside are removed with their servers.  Servers that are excluded stay as load,
    but are no longer ``movable``. Names that the cloud does not have match nothing.
    *scope* is as ``schemas.scope`` returns it.
    """
    rules = all_of(scope, "compute")
    if not rules:
        return model
    excluded = all_of(rules, "exclude")
    hosts = _allowed_hosts(model.hosts, rules) & ~_excluded_hosts(model.hosts, excluded)
    part = _part(model, hosts)
    excluded_servers = _excluded_servers(part.servers, excluded)
    return dataclasses.replace(part, movable=part.movable & ~excluded_servers)


def unknown(model: ComputeModel, scope: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names and ids of *scope* that match nothing of *model*, the whole cloud, sorted.

    They are misspelt, or name something that was deleted.
    """
    rules = all_of(scope, "compute")
    excluded = all_of(rules, "exclude")
    aggregates = [*all_of(rules, "host_aggregates"), *all_of(excluded, "host_aggregates")]
    wanted = _values_of(aggregates)
    known = {value for host in model.hosts for each in host.aggregates for value in each[:2]}
    missing = wanted - known
    missing |= names_of(all_of(rules, "availability_zones")) - {host.zone for host in model.hosts}
    missing |= names_of(all_of(excluded, "compute_nodes")) - model.host_index.keys()
    uuids = {entry["uuid"] for entry in all_of(excluded, "instances")}
    missing |= uuids - model.server_index.keys() if uuids else set()
    return sorted(str(each) for each in missing - {EVERYTHING})


def _part(model: ComputeModel, hosts: Bools) -> ComputeModel:
    """The *hosts* [H] of a model, with the servers that are on them."""
    if hosts.all():
        return model
    servers = hosts[model.placement]
    position = np.cumsum(hosts) - 1
    return ComputeModel(
        hosts=tuple(compress(model.hosts, hosts)),
        servers=tuple(compress(model.servers, servers)),
        capacity=model.capacity[hosts],
        demand=model.demand[servers],
        placement=position[model.placement[servers]],
        movable=model.movable[servers],
        groups=model.groups,
    )


def _allowed_hosts(hosts: Sequence[Host], rules: Entries) -> Bools:
    """bool [H]: in one of the included aggregates or zones; all, if none are named."""
    aggregates, zones = all_of(rules, "host_aggregates"), all_of(rules, "availability_zones")
    if not aggregates and not zones:
        return np.ones(len(hosts), dtype=np.bool_)
    included, names = _values_of(aggregates), names_of(zones)
    return mask_of(
        [host.zone in names or EVERYTHING in names or _is_in_one(host, included) for host in hosts]
    )


def _excluded_hosts(hosts: Sequence[Host], excluded: Entries) -> Bools:
    """bool [H]"""
    names = names_of(all_of(excluded, "compute_nodes"))
    aggregates = _values_of(all_of(excluded, "host_aggregates"))
    return mask_of([host.hostname in names or _is_in_one(host, aggregates) for host in hosts])


def _excluded_servers(servers: Sequence[Server], excluded: Entries) -> Bools:
    """bool [V]"""
    mask = np.zeros(len(servers), dtype=np.bool_)
    # One field of all servers after the other, which is much faster than all fields of each server.
    if uuids := {entry["uuid"] for entry in all_of(excluded, "instances")}:
        mask |= mask_of([server.uuid in uuids for server in servers])
    if projects := {entry["uuid"] for entry in all_of(excluded, "projects")}:
        mask |= mask_of([server.project_id in projects for server in servers])
    for entry in all_of(excluded, "instance_metadata"):
        mask |= _with_metadata(servers, entry)
    return mask


def _with_metadata(servers: Sequence[Server], wanted: Mapping[str, Any]) -> Bools:
    """bool [V]: the server has all keys, and at least one value is equal, in upper or lower
    case."""
    complete = np.ones(len(servers), dtype=np.bool_)
    equal = np.zeros(len(servers), dtype=np.bool_)
    for key, value in wanted.items():
        text = str(value).lower()
        values = [server.metadata.get(key, _MISSING) for server in servers]
        complete &= mask_of([each is not _MISSING for each in values])
        equal |= mask_of([str(each).lower() == text for each in values])
    return complete & equal


def _values_of(aggregates: Entries) -> set[Any]:
    """The ids and names of host aggregates."""
    return {value for entry in aggregates for value in entry.values()}


def _is_in_one(host: Host, aggregates: set[Any]) -> bool:
    """Whether a host is in one of the *aggregates*, ids and names."""
    return any(
        not aggregates.isdisjoint((each.id, each.name, EVERYTHING)) for each in host.aggregates
    )
