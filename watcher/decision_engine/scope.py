# SPDX-License-Identifier: Apache-2.0
"""The compute scope of an audit: which hosts it sees, and which servers it may move."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from watcher.cloud.compute import Host, Server
from watcher.common.errors import Invalid
from watcher.decision_engine.model.compute import Bools, ComputeModel

Entries = Iterable[Mapping[str, Any]]

EVERYTHING = "*"


def apply(model: ComputeModel, scope: Sequence[Mapping[str, Any]]) -> ComputeModel:
    """*model* with the hosts that *scope* allows, and their servers.

    Hosts outside are gone with their servers.  Servers that are excluded stay as
    load, but are no longer ``movable``.  Names that the cloud does not know match
    nothing.  A scope without compute rules leaves everything as it is.
    """
    rules = [rule for part in scope for rule in part.get("compute", ())]
    if not rules:
        return model
    excluded = [entry for rule in rules for entry in rule.get("exclude", ())]
    hosts = _allowed_hosts(model.hosts, rules) & ~_excluded_hosts(model.hosts, excluded)
    movable = model.movable & ~_excluded_servers(model.servers, excluded)
    return _part(dataclasses.replace(model, movable=movable), hosts)


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
    )


def _allowed_hosts(hosts: Sequence[Host], rules: Entries) -> Bools:
    """bool [H]: in one of the included aggregates or zones; all, if none are named."""
    aggregates = [entry for rule in rules for entry in rule.get("host_aggregates", ())]
    zones = [entry for rule in rules for entry in rule.get("availability_zones", ())]
    if not aggregates and not zones:
        return np.ones(len(hosts), dtype=np.bool_)
    in_aggregate = _Aggregates(aggregates)
    in_zone = _names(zones, "availability_zones")
    return _mask(
        host in in_aggregate or host.zone in in_zone or EVERYTHING in in_zone for host in hosts
    )


def _excluded_hosts(hosts: Sequence[Host], excluded: Entries) -> Bools:
    """bool [H]"""
    names = _names(_all(excluded, "compute_nodes"), "compute_nodes")
    in_aggregate = _Aggregates(_all(excluded, "host_aggregates"))
    return _mask(host.hostname in names or host in in_aggregate for host in hosts)


def _excluded_servers(servers: Sequence[Server], excluded: Entries) -> Bools:
    """bool [V]"""
    uuids = {entry["uuid"] for entry in _all(excluded, "instances")}
    projects = {entry["uuid"] for entry in _all(excluded, "projects")}
    metadata = [entry for entry in _all(excluded, "instance_metadata") if entry]
    return _mask(
        server.uuid in uuids
        or server.project_id in projects
        or any(_matches(server.metadata, wanted) for wanted in metadata)
        for server in servers
    )


def _matches(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """All keys are there, and one value at least is equal, in upper or lower case."""
    return wanted.keys() <= metadata.keys() and any(
        str(metadata[key]).lower() == str(value).lower() for key, value in wanted.items()
    )


class _Aggregates:
    """Host aggregates by id or name; a host is in them if it is in one of them."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._ids = {entry["id"] for entry in entries if "id" in entry}
        self._names = {entry["name"] for entry in entries if "name" in entry}
        _check_wildcard(self._ids | self._names, "host_aggregates")
        self._any = EVERYTHING in self._ids | self._names

    def __contains__(self, host: Host) -> bool:
        return any(
            self._any or number in self._ids or name in self._names
            for number, name in host.aggregates
        )


def _names(entries: Entries, field: str) -> set[str]:
    names = {entry["name"] for entry in entries}
    _check_wildcard(names, field)
    return names


def _check_wildcard(chosen: set[Any], field: str) -> None:
    if EVERYTHING in chosen and len(chosen) > 1:
        raise Invalid(f"scope.{field}: '*' must be the only entry.")


def _all(excluded: Entries, field: str) -> list[Any]:
    return [entry for rule in excluded for entry in rule.get(field, ())]


def _mask(values: Iterable[bool]) -> Bools:
    return np.fromiter(values, dtype=np.bool_)
