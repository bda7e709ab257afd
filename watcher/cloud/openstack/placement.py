# SPDX-License-Identifier: Apache-2.0
"""What placement knows of compute hosts: inventories, usages, traits and candidates."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from oslo_config import cfg

from watcher.cloud.compute import Server
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service import Json, Service
from watcher.common.errors import NotFound

_VERSION = "1.14"
_CANDIDATES = "1.31"
"""From here on candidates can be asked for within one host."""
_CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB", "PCPU")
"""In the order of ``compute.RESOURCES``."""


class Provider(NamedTuple):
    """What placement holds of a host: of its own provider, not of those below it."""

    inventories: Mapping[str, Json]
    """Resource class, such as VCPU, to total, reserved, allocation_ratio, ..."""
    usages: Mapping[str, int]
    """By all consumers, by resource class."""
    traits: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """What it has to have to be a host of the model: CPUs of one sort, and memory."""
        cpus = "VCPU" in self.inventories or "PCPU" in self.inventories
        return [
            name
            for name, there in (("VCPU", cpus), ("MEMORY_MB", "MEMORY_MB" in self.inventories))
            if not there
        ]


UNKNOWN = Provider({}, {}, frozenset())


class Placement:
    """Asks for what there is of a provider again only where it may have changed.

    Placement has no request for many providers, but the one that lists all of them shows
    their generations, and each change of an inventory, of traits and of an allocation makes
    a new one.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = Service(conf, "placement")
        self._at_once: int = conf.watcher_decision_engine.max_general_workers
        self._known: Mapping[str, tuple[int, Provider]] = {}

    def providers(self, uuids: Collection[str]) -> dict[str, Provider]:
        """Uuid to provider, of those of *uuids* that placement has.

        One request, and three for each that has changed since the last time.
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
        known |= self._together([*present.keys() - known.keys()])
        self._known = known
        return {uuid: provider for uuid, (_, provider) in known.items()}

    def some(self, uuids: Sequence[str]) -> dict[str, Provider]:
        """As ``providers``, with three requests for each, and none for the list of all."""
        return {uuid: provider for uuid, (_, provider) in self._together(uuids).items()}

    def _together(self, uuids: Sequence[str]) -> dict[str, tuple[int, Provider]]:
        if not uuids:
            return {}
        with ThreadPoolExecutor(self._at_once, "placement") as pool:
            asked = dict(zip(uuids, pool.map(self._ask, uuids), strict=True))
        return {uuid: answer for uuid, answer in asked.items() if answer is not None}

    def of(self, uuid: str) -> Provider:
        """One provider, empty if there is none; three requests."""
        asked = self._ask(uuid)
        return asked[1] if asked else UNKNOWN

    def has_candidate(self, server: Server, uuid: str) -> bool:
        """Whether a host has room for all that a server needs, on it and below it; false where
        placement is too old to say."""
        if not self._service.supports(_CANDIDATES):
            return False
        answer = self._service.get("/allocation_candidates", _CANDIDATES, **_query(server, uuid))
        with understood("placement", "allocation candidates"):
            return bool(answer["allocation_requests"])

    def _ask(self, uuid: str) -> tuple[int, Provider] | None:
        path = f"/resource_providers/{uuid}"
        try:
            # The generation is that of the first: what changes meanwhile is asked for again.
            inventories, usages, traits = (
                self._service.get(f"{path}/{what}", _VERSION)
                for what in ("inventories", "usages", "traits")
            )
        except NotFound:  # deleted since the list was made
            return None
        with understood("placement", "a resource provider"):
            return inventories["resource_provider_generation"], Provider(
                inventories["inventories"], usages["usages"], frozenset(traits["traits"])
            )


def _query(server: Server, uuid: str) -> dict[str, str]:
    """What nova, too, asks for to place a server, on the host of that uuid."""
    query = dict(server.needs.resources)
    own = [f"{name}:{n}" for name, n in zip(_CLASSES, server.amounts, strict=True) if n]
    query["resources"] = ",".join([*own, *filter(None, [query.get("resources")])])
    traits = [*server.needs.required, *(f"!{each}" for each in server.needs.forbidden)]
    if traits:
        query["required"] = ",".join(sorted(traits))
    if any(name.startswith("resources") and name != "resources" for name in query):
        query.setdefault("group_policy", "none")
    return query | {"in_tree": uuid, "limit": "1"}
