# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Mapping
from typing import Any

from oslo_log import log

from watcher.applier.actions.base import UUID, Action, ActionFailed, Skip, object_schema
from watcher.cloud.block_storage import BlockStorage, Pool, Volume
from watcher.common.errors import CloudUnavailable, NotFound

LOG = log.getLogger(__name__)

_RETYPE = "retype"
_IDLE_LOOKS = 3
"""Looks that show an idle volume until its move counts as ended, if no look has shown it in
progress: cinder may be slow to record that it began."""
_LEFTOVER_LOOKS = 120
"""Looks for the old copy until it is gone; the next move may need its space."""


class VolumeMigrate(Action):
    """Moves a volume to another pool, or gives it another type, which may move it."""

    name = "volume_migrate"
    description = "Move a volume to another pool, or change its type."
    schema = object_schema(
        ["resource_id", "migration_type"],
        resource_id=UUID,
        # "swap" is a former name of "migrate".
        migration_type={"enum": ["swap", _RETYPE, "migrate"]},
        destination_node={"type": ["string", "null"]},
        destination_type={"type": ["string", "null"]},
        resource_name={"type": "string"},
    )

    def check(self) -> Mapping[str, Any]:
        try:
            volume = self._storage.volume(self._uuid)
        except NotFound:
            raise Skip(f"Volume {self._uuid} was not found.") from None
        self._check_type()
        pool = self._known_pool()
        if self._has_arrived(volume):
            has = f"has the type {self._type}" if self._retypes else f"is in pool {self._pool}"
            raise Skip(f"Volume {self._uuid} {has} already.")
        if pool is not None and not self._retypes:
            self._check_attached(volume)
            self._check_accepted(volume, pool)
        return {"pool": volume.host, "type": volume.volume_type}

    def execute(self) -> None:
        if self._retypes:
            self._request(self._storage.retype, self._type)
        else:
            self._request(self._storage.migrate, self._pool)
        self._arrive(self._await_idle(begun=False))

    def resume(self) -> None:
        volume = self._storage.volume(self._uuid)
        if volume.moving:
            self._arrive(self._await_idle(begun=True))
        elif self._has_arrived(volume):
            self._arrive(volume)
        else:
            # Not begun, or failed: nothing is left of it, so it may be repeated.
            self.check()
            self.execute()

    def abort(self) -> bool:
        """cinder cannot abort a move, so this waits for its end."""
        volume = self._storage.volume(self._uuid)
        if not self._has_arrived(volume):
            volume = self._await_idle(begun=volume.moving)
        return not self._has_arrived(volume)

    def revert(self, origin: Mapping[str, Any]) -> None:
        """A volume gets its type or its pool back; a retype leaves the pool to cinder."""
        if self._retypes:
            way_back = {**self.parameters, "destination_type": origin["type"]}
        else:
            way_back = {**self.parameters, "destination_node": origin["pool"]}
        VolumeMigrate(way_back, self.tools).resume()

    @property
    def _storage(self) -> BlockStorage:
        return self.tools.cloud.block_storage

    @property
    def _retypes(self) -> bool:
        return bool(self.parameters["migration_type"] == _RETYPE)

    @property
    def _type(self) -> str:
        return self.parameters.get("destination_type") or ""

    @property
    def _pool(self) -> str:
        return self.parameters.get("destination_node") or ""

    def _check_type(self) -> None:
        if self._retypes and not self._type:
            raise ActionFailed("destination_type: a retype needs the name of a volume type.")
        if self._type and self._type not in {each.name for each in self._storage.volume_types()}:
            raise ActionFailed(f"Volume type {self._type} was not found.")

    def _known_pool(self) -> Pool | None:
        """The destination; None if none is given."""
        if not self._pool:
            if self._retypes:
                return None
            raise ActionFailed("destination_node: a migration needs the name of a pool.")
        found = [pool for pool in self._storage.pools() if pool.name == self._pool]
        if not found:
            raise ActionFailed(f"Pool {self._pool} was not found.")
        if len(found) > 1:
            raise ActionFailed(f"Pool {self._pool} is ambiguous: there are {len(found)}.")
        return found[0]

    def _check_attached(self, volume: Volume) -> None:
        """A volume in use is copied by its server, which has to run."""
        if not volume.attachments:
            return
        server_id = volume.attachments[0].server_id
        try:
            server = self._compute.server(server_id)
        except NotFound:
            raise ActionFailed(
                f"Volume {self._uuid} is attached to server {server_id}, which was not found."
            ) from None
        if volume.status != "in-use":
            raise ActionFailed(
                f"Volume {self._uuid} is attached and must be in-use; it is {volume.status}."
            )
        if server.state not in ("active", "paused"):
            raise ActionFailed(
                f"Volume {self._uuid} is attached to server {server_id}, which must be ACTIVE or "
                f"PAUSED; it is {server.state.upper()}."
            )

    def _check_accepted(self, volume: Volume, pool: Pool) -> None:
        if not volume.volume_type:
            return
        for each in self._storage.volume_types():
            if each.name == volume.volume_type and not pool.accepts(each):
                raise ActionFailed(
                    f"Pool {pool.name} does not have what the type {each.name} of volume "
                    f"{self._uuid} asks for."
                )

    def _has_arrived(self, volume: Volume) -> bool:
        return volume.volume_type == self._type if self._retypes else volume.host == self._pool

    def _await_idle(self, begun: bool) -> Volume:
        """The volume when its move has ended or failed; ActionFailed if that takes too long.

        *begun*: whether the move was seen in progress.
        """
        options, looks_at_rest = self.tools.conf.cinder, 0
        number = math.ceil(options.migration_timeout / options.migration_interval)
        for volume in self._poll(self._storage.volume, number, options.migration_interval):
            if volume.moving:
                begun = True
                continue
            looks_at_rest += 1
            if begun or self._has_arrived(volume) or looks_at_rest == _IDLE_LOOKS:
                return volume
        raise ActionFailed(
            f"Volume {self._uuid} did not move within {options.migration_timeout} seconds; the "
            f"move cannot be aborted and goes on."
        )

    def _arrive(self, volume: Volume) -> None:
        """Complete a move that has ended; ActionFailed if the volume is not as it should be."""
        if not self._has_arrived(volume):
            kept = f"kept its type {volume.volume_type}" if self._retypes else "did not move"
            raise ActionFailed(
                f"Volume {self._uuid} {kept}: it is {volume.status} in pool {volume.host}."
            )
        if volume.status not in ("available", "in-use"):
            raise ActionFailed(
                f"Volume {self._uuid} has arrived, but is in status {volume.status}."
            )
        for _ in range(_LEFTOVER_LOOKS):
            if not self._has_leftover():
                return
            self.tools.wait(self.tools.conf.cinder.migration_interval)
        LOG.warning("What the move of volume %s left on its old pool is still there", self._uuid)

    def _has_leftover(self) -> bool:
        try:
            return self._storage.has_leftover(self._uuid)
        except CloudUnavailable as error:
            LOG.warning("The old copy of volume %s cannot be looked for: %s", self._uuid, error)
            return True
