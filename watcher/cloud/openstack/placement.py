# SPDX-License-Identifier: Apache-2.0
"""Data of compute hosts in placement: inventories, usages, traits and candidates."""

import functools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from oslo_config import cfg
from oslo_log import log

from watcher.cloud.compute import Server
from watcher.cloud.needs import Holding, amounts_in
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service_client import Json, ServiceClient
from watcher.common.errors import CloudRefused, NotFound, WatcherError

LOG = log.getLogger(__name__)

_VERSION = "1.14"
_CANDIDATES = "1.31"
"""From this microversion on, candidates can be requested within one host."""
_NAMED_GROUPS = "1.33"
"""From this microversion on, groups of resources may have names."""
_SUMMARIES = "1.29"
"""From this microversion on, candidates have the usages of all resource classes and the traits,
also of the providers below hosts."""
_SHARE = 10
"""If at least one host in so many has changed, one request for all hosts costs less than one for
each."""
_CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "PCPU")
"""The resource classes, in the order of ``compute.RESOURCES``."""
_LISTED = ("uuid", "generation", "root_provider_uuid")
_PARTS = ("inventories", "usages", "traits")

_NO_TRAITS: Final[Json] = {"traits": ()}
"""The summary of a provider whose traits are not needed."""


class Provider(NamedTuple):
    """The data of a host in placement: of its own provider, and who uses those below it."""

    inventories: Mapping[str, Json]
    """Resource class, such as VCPU, to total, reserved, allocation_ratio, ..."""
    usages: Mapping[str, int]
    """Used by all consumers, by resource class."""
    traits: frozenset[str]
    nested: Mapping[str, tuple[Holding, ...]] = {}
    """``Host.nested``; empty if it has not been asked for."""

    @property
    def missing(self) -> list[str]:
        """Whether it has what a host of the model needs: CPUs of one type, and memory."""
        cpus = "VCPU" in self.inventories or "PCPU" in self.inventories
        return [
            name
            for name, there in (("VCPU", cpus), ("MEMORY_MB", "MEMORY_MB" in self.inventories))
            if not there
        ]


UNKNOWN = Provider({}, {}, frozenset())

NOTHING: Final[Json] = {"total": 0, "reserved": 0, "allocation_ratio": 1.0}
"""An inventory."""
NO_AMOUNTS = Provider({"VCPU": NOTHING, "MEMORY_MB": NOTHING}, {}, frozenset())
"""Of a host of which placement is not asked."""


class Placement:
    """Requests the data of a provider again only if it may have changed.

    Placement has no request for the data of many providers.  But the list of all providers shows
    their generations, and each change of an inventory, of traits or of an allocation makes a new
    generation; but not the deletion of an allocation, which nova requests for a deleted server.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = ServiceClient(conf, "placement")
        self._at_once: int = conf.watcher_decision_engine.max_general_workers
        self._known: Mapping[str, tuple[int, Provider]] = {}
        self._below: Mapping[str, Json] = {}
        """Uuid of a provider below that of a host to what ``_nested`` knows of it."""

    def providers(self, uuids: Collection[str]) -> dict[str, Provider]:
        """Uuid to provider, of those of *uuids* that placement has.

        One request, and three for each provider that has changed since the last time; if many have,
        one for all of these and one for each.  For providers below these see ``_nested``.
        """
        wanted = set(uuids)
        rows = [*self._service.rows("/resource_providers", "resource_providers", _VERSION)]
        with understood("placement", "resource providers"):
            present = {row["uuid"]: row["generation"] for row in rows if row["uuid"] in wanted}
            below = [
                {name: row[name] for name in _LISTED} | {"of_host": present[root]}
                for row in rows
                if (root := row["root_provider_uuid"]) in present and row["uuid"] != root
            ]
        known = {
            uuid: self._known[uuid]
            for uuid, generation in present.items()
            if uuid in self._known and self._known[uuid][0] == generation
        }
        changed = present.keys() - known.keys()
        summaries = self._summaries(len(changed), len(present))
        asked = self._read({uuid: summaries.get(uuid, {}) for uuid in changed}, *_PARTS)
        # What was asked for is at least as new as the list.
        self._known = known | {uuid: (present[uuid], _provider(row)) for uuid, row in asked.items()}
        nested = self._nested(below, summaries)
        return {
            uuid: provider._replace(nested=nested.get(uuid, {}))
            for uuid, (_, provider) in self._known.items()
        }

    def without_traits(self, uuids: Sequence[str]) -> dict[str, Provider]:
        """As ``providers``, with two requests for each, and none for the list of all."""
        rows = self._read(dict.fromkeys(uuids, _NO_TRAITS), *_PARTS)
        return {uuid: _provider(row) for uuid, row in rows.items()}

    def traits(self, uuid: str) -> frozenset[str]:
        """The traits of a provider, none if there is no such provider; one request."""
        return frozenset(self._read({uuid: {}}, "traits").get(uuid, _NO_TRAITS)["traits"])

    def usages(self, uuids: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        """Uuid to ``Provider.usages``, which ``providers`` knows from then on; one request each, or
        one for most of them if they are many."""
        summaries = self._summaries(len(uuids), len(self._known))
        rows = self._read({uuid: summaries.get(uuid, {}) for uuid in uuids}, "usages")
        found = {uuid: row["usages"] for uuid, row in rows.items()}
        self._known = {
            uuid: (generation, provider._replace(usages=found.get(uuid, provider.usages)))
            for uuid, (generation, provider) in self._known.items()
        }
        return found

    def of(self, uuid: str) -> Provider:
        """One provider, empty if there is none; three requests."""
        row = self._read({uuid: {}}, *_PARTS).get(uuid)
        return _provider(row) if row else UNKNOWN

    def _nested(
        self, rows: Iterable[Json], summaries: Mapping[str, Json]
    ) -> Mapping[str, Mapping[str, tuple[Holding, ...]]]:
        """Uuid of a host to ``Host.nested``; *rows* are the list of the providers below hosts.

        One request for each of these that may have changed and is used, and one for its traits
        unless they are known.  A consumer that gives up one provider, and keeps others of the host,
        changes the generations of these others alone.
        """
        known, changed = dict[str, Json](), dict[str, Json]()
        for row in rows:
            uuid, before = row["uuid"], self._below.get(row["uuid"])
            if before is None or before["generation"] != row["generation"]:
                changed[uuid] = summaries.get(uuid, {}) | row
            elif before["of_host"] != row["of_host"] and before["allocations"]:
                changed[uuid] = {"traits": before["traits"]} | row
            else:
                known[uuid] = before
        asked = self._read(changed, "allocations")
        used = {uuid: row for uuid, row in asked.items() if row["allocations"]}
        unused = {uuid: row for uuid, row in asked.items() if not row["allocations"]}
        self._below = known | unused | self._read(used, "traits")
        return _holdings(self._below.values())

    def _read(self, rows: Mapping[str, Json], *parts: str) -> dict[str, Json]:
        """*rows*, by uuid of the provider, with those *parts* that they lack, one request for each;
        without providers that have been deleted."""

        def complete(uuid: str) -> Json | None:
            row, path = dict(rows[uuid]), f"/resource_providers/{uuid}"
            try:
                for part in parts:
                    if part not in row:
                        row[part] = self._service.get(f"{path}/{part}", _VERSION)[part]
            except NotFound:
                return None
            return row

        if not rows:
            return {}
        with (
            understood("placement", "a resource provider"),
            ThreadPoolExecutor(self._at_once, "placement") as pool,
        ):
            asked = dict(zip(rows, pool.map(complete, rows), strict=True))
        return {uuid: row for uuid, row in asked.items() if row is not None}

    def _summaries(self, wanted: int, hosts: int) -> Mapping[str, Json]:
        """Uuid to what is known of providers, in the form of their own requests; as many as
        placement shows.  None if so few of all *hosts* are *wanted* that asking for each is less
        work."""
        few = wanted < 2 or wanted * _SHARE < hosts
        try:
            if few or not self._service.supports(_SUMMARIES):
                return {}
            answer = self._service.get(
                "/allocation_candidates", _SUMMARIES, resources="MEMORY_MB:1"
            )
            with understood("placement", "allocation candidates"):
                return {uuid: _summary(row) for uuid, row in answer["provider_summaries"].items()}
        except WatcherError as error:
            LOG.warning("Placement does not summarize hosts, each is asked for: %s", error)
            return {}

    def has_candidate(self, server: Server, uuids: Sequence[str]) -> bool:
        """Whether one of some hosts has room for all that a server needs, on it and below it.

        Where placement is too old to say, false for a single host, and true for several: then nova
        picks one.
        """
        if not (uuids and self._service.supports(_CANDIDATES)):
            return len(uuids) > 1
        named = self._service.supports(_NAMED_GROUPS)
        version, query = _NAMED_GROUPS if named else _CANDIDATES, _query(server)
        if len(uuids) == 1:
            query |= {"in_tree": uuids[0], "limit": "1"}
        try:
            answer = self._service.get("/allocation_candidates", version, **query)
        except CloudRefused as error:  # such as of a trait that it does not know, from nova as well
            LOG.warning("Placement has no candidates for server %s: %s", server.uuid, error)
            return False
        with understood("placement", "allocation candidates"):
            found = answer["allocation_requests"]
            return bool(found) and (
                len(uuids) == 1 or not answer["provider_summaries"].keys().isdisjoint(uuids)
            )


def _provider(row: Json) -> Provider:
    with understood("placement", "a resource provider"):
        return Provider(row["inventories"], row["usages"], _shared(frozenset(row["traits"])))


def _summary(row: Json) -> Json:
    usages = {name: of["used"] for name, of in row["resources"].items()}
    summary = {"usages": usages, "traits": row["traits"]}
    return summary if any(usages.values()) else summary | {"allocations": {}}


def _holdings(rows: Iterable[Json]) -> Mapping[str, Mapping[str, tuple[Holding, ...]]]:
    """Uuid of a host to consumer to what it has of the providers of *rows*, in an order that does
    not depend on the host."""
    found: dict[str, dict[str, list[Holding]]] = defaultdict(lambda: defaultdict(list))
    with understood("placement", "a resource provider"):
        for row in rows:
            for consumer, of in row["allocations"].items():
                amounts = tuple(sorted(of["resources"].items()))
                holding = Holding(amounts, tuple(sorted(row["traits"])))
                found[row["root_provider_uuid"]][consumer].append(holding)
    return {
        host: {consumer: tuple(sorted(each)) for consumer, each in of.items()}
        for host, of in found.items()
    }


@functools.lru_cache(maxsize=1024)
def _shared(traits: frozenset[str]) -> frozenset[str]:
    """One object for all hosts with the same traits, which may be a hundred."""
    return traits


def _query(server: Server) -> dict[str, str]:
    """The query with which nova places a server."""
    query = dict(server.needs.resources)
    amounts = Counter(dict(zip(_CLASSES, server.amounts, strict=True)))
    # The amounts of a server have what groups of its flavor ask for themselves.
    for name, values in query.items():
        if name.startswith("resources"):
            amounts.subtract(amounts_in(values) if name != "resources" else {})
    own = [f"{name}:{amounts[name]}" for name in _CLASSES if amounts[name] > 0]
    if resources := ",".join([*own, *filter(None, [query.get("resources")])]):
        query["resources"] = resources
    traits = [*server.needs.required, *(f"!{each}" for each in server.needs.forbidden)]
    if traits:
        query["required"] = ",".join(sorted(traits))
    return query
