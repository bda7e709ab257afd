# SPDX-License-Identifier: Apache-2.0
"""On which hosts servers may be, apart from room: zones, aggregates, traits, units, server
groups."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from watcher.cloud.compute import LIVE_STATES, Host, Inventory, Platform, Server, ServerGroup
from watcher.cloud.needs import Needs
from watcher.model.types import Bools, Floats, Ints

_SPEC = "aggregate_instance_extra_specs:"
"""Extra specs with this scope are what nova's AggregateInstanceExtraSpecsFilter reads.

It reads those without any scope, too.  Not every cloud has that filter, so these count
only where an aggregate has the key.
"""
_TENANTS = "filter_tenant_id"
"""Metadata keys that begin so are what nova's AggregateMultiTenancyIsolation reads."""
_TRAIT = "trait:"
"""Metadata keys that begin so isolate an aggregate for servers that require the trait, with nova's
``enable_isolated_aggregate_filtering``."""
_EITHER = "<or>"

_Pairs = frozenset[tuple[str, str]]
_Members = Sequence[tuple[ServerGroup, list[int]]]


class _Kind(NamedTuple):
    """The properties of a server that decide, with its size, where it may be."""

    zone: str
    project: str
    is_confined: bool
    """Whether it stays on hosts that are reserved for its project."""
    source: Platform | None
    """The platform that it leaves live; None: it is not running, or all are equal."""
    specs: _Pairs
    needs: Needs
    properties: _Pairs
    """Those of its image."""


_WISHES = {"soft-anti-affinity": 1, "soft-affinity": -1}


@dataclasses.dataclass(frozen=True, eq=False)
class PlacementRules:
    """The rules of a cluster with H hosts, V servers, K kinds of them and G groups.

    ``kind``      int [V], servers of one kind may be on the same hosts
    ``allowed``   bool [K, H], by zone, aggregates, traits and the amounts of one server
    ``size``      int [V], servers of one size ask for amounts that the same hosts give
    ``fits``      bool [S, H], whether a host gives so much to one server; part of ``allowed``
    ``unjudged``  bool [K], whether only nova can tell if a host takes such a server
    ``together``  bool [V], kept together with others: they cannot be moved one by one
    ``unsettled`` bool [V], in an anti-affinity group of which another member moves or is resized:
                  nova counts that one on both of its hosts
    ``several``   bool [V], in several groups that are rules; only one is examined
    ``group``     int [V], the group whose members are kept apart, or wish to be apart or
                  together, or G for none
    ``limit``     int [G], how many members of a group one host may have
    ``unlisted``  int [2, N], group and host of each of ``ServerGroup.unlisted``
    ``wish``      int [G + 1], 1 if members wish to be apart, -1 if together, else 0
    """

    kind: Ints
    allowed: Bools
    size: Ints
    fits: Bools
    unjudged: Bools
    together: Bools
    unsettled: Bools
    several: Bools
    group: Ints
    limit: Ints
    unlisted: Ints
    wish: Ints

    @classmethod
    def of(
        cls,
        hosts: Sequence[Host],
        servers: Sequence[Server],
        groups: Sequence[ServerGroup],
        demand: Floats,
        confined: bool = True,
    ) -> PlacementRules:
        """If *confined*, servers on hosts that are reserved for their project stay on such."""
        at, places = _places(hosts, servers)
        homes = {host.hostname: places[n] for host, n in zip(hosts, at, strict=True)}
        kind, kinds = _kinds(places, servers, homes if confined else {}, _sources(hosts))
        size, fits = _fits(hosts, demand)
        both, number = np.unique(kind * len(fits) + size, return_inverse=True)
        one, other = np.divmod(both, max(len(fits), 1))
        unjudged = np.array([bool(each.needs.unjudged) for each in kinds], dtype=np.bool_)
        members = _members(groups, servers)
        # Of several groups of a server the last one counts, so wishes come first.
        policies = (*_WISHES, "anti-affinity")
        apart = [each for policy in policies for each in members if each[0].policy == policy]
        return cls(
            kind=number,
            allowed=_allowed(places, at, kinds)[one] & fits[other],
            size=size,
            fits=fits,
            unjudged=unjudged[one],
            together=_together(members, len(servers)),
            unsettled=_unsettled(members, servers),
            several=_several(members, len(servers)),
            group=_group(apart, len(servers)),
            limit=np.array([_limit(group) for group, _ in apart], dtype=np.int64),
            unlisted=_unlisted([group for group, _ in apart], hosts),
            wish=np.array([*(_WISHES.get(group.policy, 0) for group, _ in apart), 0], np.int64),
        )


def _sources(hosts: Sequence[Host]) -> Mapping[str, Platform]:
    """Hostname to platform; empty if all are equal."""
    sources = {host.hostname: host.platform for host in hosts}
    return sources if len({*sources.values()}) > 1 else {}


def _kinds(
    places: Sequence[_Place],
    servers: Sequence[Server],
    homes: Mapping[str, _Place],
    sources: Mapping[str, Platform],
) -> tuple[Ints, list[_Kind]]:
    """int [V], the kind of each server, and the list of kinds."""
    projects = {project for place in places for project in place.projects}
    keys = {key for place in places for key in place.metadata}
    homes = {name: place for name, place in homes.items() if place.owners}
    kinds: dict[_Kind, int] = {}
    known: dict[tuple[Any, ...], int] = {}
    numbers = []
    for each in servers:
        look = (
            each.pinned_az or each.zone,
            each.project_id if each.project_id in projects else "",
            each.host in homes and each.project_id in homes[each.host].owners,
            sources.get(each.host) if each.state in LIVE_STATES else None,
            # Servers of one flavor share the objects with its extra specs.
            id(each.extra_specs) if each.extra_specs else 0,
            id(each.needs),
        )
        number = known.get(look)
        if number is None:
            kind = _Kind(*look[:4], *_asked(each, keys))
            number = known[look] = kinds.setdefault(kind, len(kinds))
        numbers.append(number)
    return np.array(numbers, dtype=np.int64), list(kinds)


def _allowed(places: Sequence[_Place], at: Ints, kinds: Sequence[_Kind]) -> Bools:
    """bool [K, H]; *at* is the index of each host's place, because equal hosts are examined
    once."""
    allowed = [[place.allows(each) for place in places] for each in kinds]
    return np.array(allowed, dtype=np.bool_).reshape(len(kinds), len(places))[:, at]


def _fits(hosts: Sequence[Host], demand: Floats) -> tuple[Ints, Bools]:
    """int [V] and bool [S, H]: the size of each server, and the hosts that give one server so
    much."""
    kinds: dict[tuple[Any, ...], int] = {}
    inventories = [host.inventories for host in hosts]
    limits = [tuple((each.units, each.total) for each in row) for row in inventories]
    at = np.array([kinds.setdefault(each, len(kinds)) for each in limits], dtype=np.int64)
    rows = [inventories[each] for each in np.unique(at, return_index=True)[1].tolist()]
    size, examples = _alike(demand)
    fits: dict[tuple[bool, ...], int] = {}
    number = [
        fits.setdefault(tuple(all(map(Inventory.allows, row, each)) for row in rows), len(fits))
        for each in demand[examples].tolist()
    ]
    table = np.array(list(fits), dtype=np.bool_).reshape(len(fits), len(rows))
    return np.array(number, dtype=np.int64)[size], table[:, at]


def _alike(demand: Floats) -> tuple[Ints, Ints]:
    """int [V], the same number for equal rows, and for each number the index of one such row."""
    number = np.zeros(len(demand), dtype=np.int64)
    for column in demand.T:  # much faster than sorting whole rows
        values, place = np.unique(column, return_inverse=True)
        number = np.unique(number * len(values) + place, return_inverse=True)[1]
    return number, np.unique(number, return_index=True)[1]


@dataclasses.dataclass(frozen=True)
class _Place:
    """The properties of a host that servers may require, or that may exclude them."""

    zone: str
    metadata: Mapping[str, set[str]]
    """The metadata of its aggregates; a value may be a list with commas."""
    projects: frozenset[str]
    """The projects that its aggregates are reserved for; empty: it is not reserved."""
    owners: frozenset[str]
    """The projects of which one of its aggregates is for each alone."""
    traits: frozenset[str]
    platform: Platform
    asked: frozenset[str]
    """The traits that its servers must require, because its aggregates are isolated by them."""

    @classmethod
    def of(cls, host: Host) -> _Place:
        metadata: dict[str, set[str]] = defaultdict(set)
        projects: set[str] = set()
        owners: set[str] = set()
        for aggregate in host.aggregates:
            for key, value in aggregate.metadata.items():
                metadata[key] |= _split(value)
                if key.startswith(_TENANTS):
                    projects |= _split(value)
                    owners.add(value)
        asked = (key.removeprefix(_TRAIT) for key in metadata if key.startswith(_TRAIT))
        return cls(
            host.zone,
            metadata,
            frozenset(projects),
            frozenset(owners),
            host.traits,
            host.platform,
            frozenset(asked),
        )

    def allows(self, kind: _Kind) -> bool:
        needs, metadata = kind.needs, self.metadata
        return (
            kind.zone in ("", self.zone)
            and (not self.projects or kind.project in self.projects)
            and (not kind.is_confined or kind.project in self.owners)
            and (kind.source is None or self.platform.takes_from(kind.source))
            and self.asked <= needs.required <= self.traits
            and not needs.forbidden & self.traits
            and all(_wanted(value) & metadata.get(key, set()) for key, value in kind.specs)
            and all(value in metadata.get(key, {value}) for key, value in kind.properties)
        )


def _places(hosts: Sequence[Host], servers: Sequence[Server]) -> tuple[Ints, list[_Place]]:
    """int [H], the place of each host, and the list of places."""
    traits = frozenset[str]()
    if any(host.traits for host in hosts):
        needs = {id(each.needs): each.needs for each in servers}.values()
        traits = traits.union(*(each.required | each.forbidden for each in needs))
    known: dict[tuple[Any, ...], int] = {}
    places: list[_Place] = []
    at = []
    for host in hosts:
        aggregates = ((each.id, tuple(each.metadata.items())) for each in host.aggregates)
        key = host.zone, tuple(aggregates), host.traits & traits, host.platform
        if key not in known:
            known[key] = len(places)
            places.append(_Place.of(host))
        at.append(known[key])
    return np.array(at, dtype=np.int64), places


def _asked(server: Server, keys: set[str]) -> tuple[_Pairs, Needs, _Pairs]:
    """The last parts of its kind; aggregates have the *keys*."""
    specs = frozenset(
        (key.removeprefix(_SPEC), value)
        for key, value in server.extra_specs.items()
        if key.startswith(_SPEC) or key in keys
    )
    needs = server.needs
    return specs, needs, frozenset(each for each in needs.properties if each[0] in keys)


def _wanted(value: str) -> set[str]:
    """The values that satisfy an extra spec: ``a``, or ``<or> a <or> b``.

    One with another operator is satisfied nowhere: its server stays.
    """
    if value.startswith(_EITHER):
        return {each.strip() for each in value.split(_EITHER) if each.strip()}
    return {value}


def _split(value: str) -> set[str]:
    return {each.strip() for each in str(value).split(",")}


def _members(groups: Sequence[ServerGroup], servers: Sequence[Server]) -> _Members:
    """Each group with the indices of those of its members that are among *servers*."""
    uuids = {uuid for group in groups for uuid in group.members}
    if not uuids:
        return [(group, []) for group in groups]
    index = {each.uuid: number for number, each in enumerate(servers) if each.uuid in uuids}
    return [(group, [index[uuid] for uuid in group.members if uuid in index]) for group in groups]


def _together(groups: _Members, count: int) -> Bools:
    """bool [V]: kept together with others, which may be outside the scope: these stay where they
    are.  A single one stays as well: for nova, the only host of its group is its own."""
    together = np.zeros(count, dtype=np.bool_)
    for group, members in groups:
        if group.policy == "affinity":
            together[members] = True
    return together


def _unsettled(groups: _Members, servers: Sequence[Server]) -> Bools:
    unsettled = np.zeros(len(servers), dtype=np.bool_)
    for group, members in groups:
        if group.policy == "anti-affinity":
            unsettled[members] |= any(servers[each].is_between_hosts for each in members)
    return unsettled


def _several(groups: _Members, count: int) -> Bools:
    number = np.zeros(count, dtype=np.int64)
    for group, members in groups:
        if group.policy in ("affinity", "anti-affinity"):
            number[members] += 1
    return number > 1


def _limit(group: ServerGroup) -> int:
    soft = group.policy in _WISHES
    return np.iinfo(np.int64).max if soft else group.max_server_per_host


def _unlisted(groups: Sequence[ServerGroup], hosts: Sequence[Host]) -> Ints:
    index = {host.hostname: number for number, host in enumerate(hosts)}
    pairs = [
        (number, index[name])
        for number, group in enumerate(groups)
        if group.policy == "anti-affinity"
        for name in group.unlisted
        if name in index
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


def _group(groups: _Members, count: int) -> Ints:
    group_of = np.full(count, len(groups), dtype=np.int64)
    for number, (_, members) in enumerate(groups):
        group_of[members] = number
    return group_of
