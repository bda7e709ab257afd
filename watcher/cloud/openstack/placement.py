# SPDX-License-Identifier: Apache-2.0
"""Data of compute hosts in placement: inventories, usages, traits and candidates."""

import functools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from oslo_config import cfg
from oslo_log import log

from watcher.cloud.compute import Server
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service_client import Json, ServiceClient
from watcher.common.errors import CloudRefused, NotFound, WatcherError

LOG = log.getLogger(__name__)

_VERSION = "1.14"
_CANDIDATES = "1.31"
"""From this microversion on, candidates can be requested within one host."""
_NAMED_GROUPS = "1.33"
"""From this microversion on, groups of resources may have names."""
_SUMMARIES = "1.27"
"""From this microversion on, candidates have the usages of all resource classes, and traits."""
_SHARE = 10
"""If at least one host in so many has changed, one request for all hosts costs less than one for
each."""
_CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "PCPU")
"""The resource classes, in the order of ``compute.RESOURCES``."""

_NO_TRAITS: Final[Json] = {"traits": ()}
"""The summary of a provider whose traits are not needed."""


class Provider(NamedTuple):
    """The data of a host in placement: of its own provider, not of nested ones."""

    inventories: Mapping[str, Json]
    """Resource class, such as VCPU, to total, reserved, allocation_ratio, ..."""
    usages: Mapping[str, int]
    """Used by all consumers, by resource class."""
    traits: frozenset[str]

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


class Placement:
    """Requests the data of a provider again only if it may have changed.

    Placement has no request for the data of many providers.  But the list of all providers shows
    their generations, and each change of an inventory, of traits or of an allocation makes a new
    generation.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = ServiceClient(conf, "placement")
        self._at_once: int = conf.watcher_decision_engine.max_general_workers
        self._known: Mapping[str, tuple[int, Provider]] = {}

    def providers(self, uuids: Collection[str]) -> dict[str, Provider]:
        """Uuid to provider, of those of *uuids* that placement has.

        One request, and three for each provider that has changed since the last time; if many have,
        one for all of these and one for each.
        """
        wanted = set(uuids)
        rows = self._service.rows("/resource_providers", "resource_providers", _VERSION)
        with understood("placement", "resource providers"):
            present = {row["uuid"]: row["generation"] for row in rows if row["uuid"] in wanted}
        known = {
            uuid: self._known[uuid]
            for uuid, generation in present.items()
            if uuid in self._known and self._known[uuid][0] == generation
        }
        changed = present.keys() - known.keys()
        many = len(changed) > 1 and len(changed) * _SHARE >= len(present)
        summaries = self._summaries() if many else {}
        for uuid, (generation, provider) in self._together([*changed], summaries).items():
            # The summaries may be as old as the list.
            known[uuid] = (present[uuid] if uuid in summaries else generation), provider
        self._known = known
        return {uuid: provider for uuid, (_, provider) in known.items()}

    def without_traits(self, uuids: Sequence[str]) -> dict[str, Provider]:
        """As ``providers``, with two requests for each, and none for the list of all."""
        known = dict.fromkeys(uuids, _NO_TRAITS)
        return {uuid: provider for uuid, (_, provider) in self._together(uuids, known).items()}

    def traits(self, uuid: str) -> frozenset[str]:
        """The traits of a provider, none if there is no such provider; one request."""
        try:
            answer = self._service.get(f"/resource_providers/{uuid}/traits", _VERSION)
        except NotFound:
            return frozenset()
        with understood("placement", "a resource provider"):
            return frozenset(answer["traits"])

    def _together(
        self, uuids: Sequence[str], summaries: Mapping[str, Json] = {}
    ) -> dict[str, tuple[int, Provider]]:
        if not uuids:
            return {}
        with ThreadPoolExecutor(self._at_once, "placement") as pool:
            answers = pool.map(lambda uuid: self._ask(uuid, summaries.get(uuid)), uuids)
            asked = dict(zip(uuids, answers, strict=True))
        return {uuid: answer for uuid, answer in asked.items() if answer is not None}

    def _summaries(self) -> Mapping[str, Json]:
        """Uuid to usages and traits of providers, in the form of their own requests; as many as
        placement shows."""
        try:
            if not self._service.supports(_SUMMARIES):
                return {}
            answer = self._service.get(
                "/allocation_candidates", _SUMMARIES, resources="MEMORY_MB:1"
            )
            with understood("placement", "allocation candidates"):
                return {
                    uuid: {
                        "usages": {name: of["used"] for name, of in row["resources"].items()},
                        "traits": row["traits"],
                    }
                    for uuid, row in answer["provider_summaries"].items()
                }
        except WatcherError as error:
            LOG.warning("Placement does not summarize hosts, each is asked for: %s", error)
            return {}

    def of(self, uuid: str) -> Provider:
        """One provider, empty if there is none; three requests."""
        asked = self._ask(uuid)
        return asked[1] if asked else UNKNOWN

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

    def _ask(self, uuid: str, summary: Json | None = None) -> tuple[int, Provider] | None:
        """Generation and provider; what its *summary* has is not asked for."""
        path, row = f"/resource_providers/{uuid}", dict(summary or {})
        try:
            for what in ("inventories", "usages", "traits"):
                if what not in row:
                    # The generation is that of the first answer, so later changes are read again
                    # the next time.
                    row = self._service.get(f"{path}/{what}", _VERSION) | row
        except NotFound:  # deleted since the list was made
            return None
        with understood("placement", "a resource provider"):
            return row["resource_provider_generation"], Provider(
                row["inventories"], row["usages"], _shared(frozenset(row["traits"]))
            )


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
            amounts.subtract(_amounts(values) if name != "resources" else {})
    own = [f"{name}:{amounts[name]}" for name in _CLASSES if amounts[name] > 0]
    query["resources"] = ",".join([*own, *filter(None, [query.get("resources")])])
    traits = [*server.needs.required, *(f"!{each}" for each in server.needs.forbidden)]
    if traits:
        query["required"] = ",".join(sorted(traits))
    return query


def _amounts(values: str) -> dict[str, int]:
    """The amounts in a list such as ``VCPU:1,VGPU:2``."""
    pairs = (each.split(":") for each in values.split(","))
    return {name: int(amount) for name, amount in pairs}
