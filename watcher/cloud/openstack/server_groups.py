# SPDX-License-Identifier: Apache-2.0
"""Server groups of nova, and where its scheduler counts members that are not there for others."""

import dataclasses
import datetime
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from time import monotonic

from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud.compute import ServerGroup
from watcher.cloud.openstack import nova_json
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.nova_common import (
    CHANGED_MIGRATIONS,
    MINIMUM,
    changed_since,
    path_of,
)
from watcher.cloud.openstack.service_client import Json, ServiceClient
from watcher.common.errors import CloudRefused, NotFound

LOG = log.getLogger(__name__)

_RULES = "2.64"
"""From this microversion on, groups have rules."""
_GROUPS = "2.71"
"""From this microversion on, a server shows its groups."""
_SYNC = datetime.timedelta(minutes=3)
"""How long nova's scheduler may count a server on a host that it has left live: hosts send it the
list of their servers each two minutes (``scheduler_instance_sync_interval``), and clocks differ."""
_SOFT_DELETED = {"deleted": True, "status": "SOFT_DELETED"}
_INTERVAL = 300
"""Seconds between two requests for soft-deleted servers: nova looks for these among all deleted
ones, and few clouds have any."""


class ServerGroups:
    """Requests the groups of each soft-deleted server once, as these do not change."""

    def __init__(self, service: ServiceClient) -> None:
        self._service = service
        self._known: Mapping[str, Sequence[str]] = {}
        """Uuid of a soft-deleted server to the uuids of its groups."""
        self._unlisted: Mapping[str, Sequence[str]] = {}
        """Uuid of a group to the hostnames of its soft-deleted members."""
        self._asked = -math.inf
        """The monotonic time of the last request for soft-deleted servers."""

    def all(self) -> Sequence[ServerGroup]:
        version = _RULES if self._service.supports(_RULES) else MINIMUM
        rows: list[Json] = []
        while True:  # this list has no links: it ends with an empty page
            page = self._service.rows(
                "/os-server-groups", "server_groups", version, all_projects=True, offset=len(rows)
            )
            before = len(rows)
            rows += page
            if len(rows) == before:
                break
        groups = nova_json.read(rows, nova_json.server_group)
        apart = any(group.policy == "anti-affinity" for group in groups)
        if not (apart and self._service.supports(_GROUPS)):
            return groups
        now = monotonic()
        if now - self._asked > _INTERVAL:
            self._unlisted, self._asked = self._ask(), now
        left = self._left()
        return [
            dataclasses.replace(
                group,
                unlisted=(
                    *self._unlisted.get(group.uuid, ()),
                    *(host for uuid in group.members for host in left.get(uuid, ())),
                ),
            )
            for group in groups
        ]

    def _left(self) -> Mapping[str, Sequence[str]]:
        """Uuid of a server to the hosts that it has left live a moment ago."""
        filters = changed_since(timeutils.utcnow() - _SYNC) | {"migration_type": "live-migration"}
        found, last = defaultdict[str, set[str]](set), dict[str, tuple[int, str]]()
        try:
            rows = [
                *self._service.rows("/os-migrations", "migrations", CHANGED_MIGRATIONS, **filters)
            ]
        except CloudRefused as error:
            LOG.warning("Nova does not list migrations, so groups are without them: %s", error)
            return {}
        with understood("nova", "migrations"):
            for row in rows:
                if row["status"] == "completed":
                    uuid = row["instance_uuid"]
                    found[uuid].add(row["source_compute"])
                    last[uuid] = max(last.get(uuid, (0, "")), (row["id"], row["dest_compute"]))
        return {uuid: sorted(hosts - {last[uuid][1]}) for uuid, hosts in found.items()}

    def _ask(self) -> Mapping[str, Sequence[str]]:
        """Nova leaves soft-deleted servers out of its lists of servers and of members, but its
        scheduler counts them until they are reclaimed."""
        rows = self._service.rows(
            "/servers/detail", "servers", MINIMUM, all_tenants=True, **_SOFT_DELETED
        )
        found = defaultdict[str, list[str]](list)
        with understood("nova", "soft-deleted servers"):
            hosts = {row["id"]: row["OS-EXT-SRV-ATTR:host"] for row in rows}
            before = self._known
            self._known = {
                uuid: before[uuid] if uuid in before else self._groups(uuid)
                for uuid, host in hosts.items()
                if host
            }
        for uuid, groups in self._known.items():
            for group in groups:
                found[group].append(hosts[uuid])
        return {group: sorted(names) for group, names in found.items()}

    def _groups(self, uuid: str) -> Sequence[str]:
        try:
            answer = self._service.get(path_of("servers", uuid), _GROUPS)
        except NotFound:  # it has been reclaimed
            return ()
        groups: Sequence[str] = answer["server"]["server_groups"]
        return groups
