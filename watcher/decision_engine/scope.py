# SPDX-License-Identifier: Apache-2.0
"""The compute scope of an audit: which hosts it sees, and which servers it may move."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from watcher.cloud.compute import Host, Server
from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Bools

Entries = Iterable[Mapping[str, Any]]

EVERYTHING = "*"

_MISSING = object()


def apply(model: ComputeModel, scope: Sequence[Mapping[str, Any]]) -> ComputeModel:
    """*model* with the hosts that *scope* allows, and their servers.

    Hosts outside are gone with their servers.  Servers that are excluded stay as
    load, but are no longer ``movable``.  Names that the cloud does not know match
    nothing.  *scope* is as ``schemas.scope`` returns it.
    """
    rules = _all(scope, "compute")
    if not rules:
        return model
    excluded = _all(rules, "exclude")
    hosts = _allowed_hosts(model.hosts, rules) & ~_excluded_hosts(model.hosts, excluded)
    part = _part(model, hosts)
    excluded_servers = _excluded_servers(part.servers, excluded)
    return dataclasses.replace(part, movable=part.movable & ~excluded_servers)


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
    aggregates, zones = _all(rules, "host_aggregates"), _all(rules, "availability_zones")
    if not aggregates and not zones:
        return np.ones(len(hosts), dtype=np.bool_)
    included, names = _Aggregates(aggregates), _names(zones)
    return _mask([host.zone in names or EVERYTHING in names or host in included for host in hosts])


def _excluded_hosts(hosts: Sequence[Host], excluded: Entries) -> Bools:
    """bool [H]"""
    names = _names(_all(excluded, "compute_nodes"))
    aggregates = _Aggregates(_all(excluded, "host_aggregates"))
    return _mask([host.hostname in names or host in aggregates for host in hosts])


def _excluded_servers(servers: Sequence[Server], excluded: Entries) -> Bools:
    """bool [V]"""
    mask = np.zeros(len(servers), dtype=np.bool_)
    # One field of all servers after the other: a look at all fields of each takes far longer.
    if uuids := {entry["uuid"] for entry in _all(excluded, "instances")}:
        mask |= _mask([server.uuid in uuids for server in servers])
    if projects := {entry["uuid"] for entry in _all(excluded, "projects")}:
        mask |= _mask([server.project_id in projects for server in servers])
    for entry in _all(excluded, "instance_metadata"):
        mask |= _with_metadata(servers, entry)
    return mask


def _with_metadata(servers: Sequence[Server], wanted: Mapping[str, Any]) -> Bools:
    """bool [V]: all keys are there, and one value at least is equal, in upper or lower case."""
    complete = np.ones(len(servers), dtype=np.bool_)
    equal = np.zeros(len(servers), dtype=np.bool_)
    for key, value in wanted.items():
        text = str(value).lower()
        values = [server.metadata.get(key, _MISSING) for server in servers]
        complete &= _mask([each is not _MISSING for each in values])
        equal |= _mask([str(each).lower() == text for each in values])
    return complete & equal


class _Aggregates:
    """Host aggregates by id or name; a host is in them if it is in one of them."""

    def __init__(self, entries: Entries) -> None:
        self._chosen = {value for entry in entries for value in entry.values()}

    def __contains__(self, host: Host) -> bool:
        return any(
            aggregate.id in self._chosen
            or aggregate.name in self._chosen
            or EVERYTHING in self._chosen
            for aggregate in host.aggregates
        )


def _names(entries: Entries) -> set[str]:
    return {entry["name"] for entry in entries}


def _all(rules: Entries, field: str) -> list[Any]:
    return [entry for rule in rules for entry in rule.get(field, ())]


def _mask(values: Sequence[bool]) -> Bools:
    return np.array(values, dtype=np.bool_)
