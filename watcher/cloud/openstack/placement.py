# SPDX-License-Identifier: Apache-2.0
"""The inventories of compute hosts, from placement."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from oslo_config import cfg

from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service import Json, Service
from watcher.common.errors import NotFound

Inventories = Mapping[str, Json]
"""Resource class, such as VCPU, to total, reserved, allocation_ratio, ..."""

_VERSION = "1.14"


class Placement:
    """Placement's inventories, asked for again only where they may have changed.

    Placement has no request for the inventories of many hosts, but the one that lists
    all providers shows their generations, and each change of an inventory (and of an
    allocation) makes a new one.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = Service(conf, "placement")
        self._at_once: int = conf.watcher_decision_engine.max_general_workers
        self._known: Mapping[str, tuple[int, Inventories]] = {}

    def inventories(self, uuids: Collection[str]) -> dict[str, Inventories]:
        """Uuid to inventories, of those of *uuids* that are providers.

        One request, and one for each that has changed since the last time.
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
        stale = present.keys() - known.keys()
        if stale:
            with ThreadPoolExecutor(self._at_once, "placement") as pool:
                for uuid, asked in zip(stale, pool.map(self._ask, stale), strict=True):
                    if asked is not None:
                        known[uuid] = asked
        self._known = known
        return {uuid: inventories for uuid, (_, inventories) in known.items()}

    def of(self, uuid: str) -> Inventories:
        """The inventories of one provider, none if there is no such provider; one request."""
        asked = self._ask(uuid)
        return asked[1] if asked else {}

    def _ask(self, uuid: str) -> tuple[int, Inventories] | None:
        try:
            answer = self._service.get(f"/resource_providers/{uuid}/inventories", _VERSION)
        except NotFound:  # deleted since the list was made
            return None
        with understood("placement", "inventories"):
            return answer["resource_provider_generation"], answer["inventories"]
