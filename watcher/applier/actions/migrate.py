# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any

from oslo_log import log

from watcher.applier.actions.base import NAME, UUID, ActionFailed, Skip, object_schema
from watcher.applier.actions.server_action import ServerAction, idle
from watcher.cloud.compute import Server
from watcher.common.errors import CloudRefused, NotFound

LOG = log.getLogger(__name__)


class Migrate(ServerAction):
    """Moves a server to another host, live or cold."""

    name = "migrate"
    description = "Move a server to another host."
    request_noun = "migration"
    schema = object_schema(
        ["resource_id", "migration_type", "source_node"],
        resource_id=UUID,
        migration_type={"enum": ["live", "cold"]},
        source_node=NAME,
        destination_node={"type": ["string", "null"]},
        resource_name={"type": "string"},
    )

    def check(self) -> Mapping[str, Any]:
        server = self._found()
        if server.host != self._source:
            raise Skip(
                f"Server {self._uuid} is expected on host {self._source} but is on {server.host}."
            )
        if self._destination:
            self._check_destination(self._destination)
        if self._live and server.state not in ("active", "paused"):
            raise ActionFailed(
                f"Server {self._uuid} is {server.state.upper()}; it must be ACTIVE or PAUSED to "
                f"migrate live."
            )
        return {}

    def execute(self) -> None:
        if self._live:
            self._request(self._compute.live_migrate, self._destination)
        else:
            self._request(self._compute.cold_migrate, self._destination)
        self._await_arrival()

    def resume(self) -> None:
        server = self._compute.server(self._uuid)
        if self._is_idle_on_source(server):
            # Not begun, or rolled back by nova: nothing is left of it, so it may be repeated.
            self.check()
            self.execute()
        elif idle(server):
            self._arrive(server)
        else:
            self._await_arrival()

    def abort(self) -> bool:
        server = self._abort_live() if self._live else self._compute.server(self._uuid)
        return self._is_idle_on_source(server)

    def revert(self, origin: Mapping[str, Any]) -> None:
        server = self._compute.server(self._uuid)
        if not self._is_idle_on_source(server):
            way_back = {
                **self.parameters,
                "source_node": self._destination or server.host,
                "destination_node": self._source,
            }
            Migrate(way_back, self.tools).resume()

    @property
    def _live(self) -> bool:
        return bool(self.parameters["migration_type"] == "live")

    @property
    def _source(self) -> str:
        return str(self.parameters["source_node"])

    @property
    def _destination(self) -> str | None:
        return self.parameters.get("destination_node") or None

    def _is_idle_on_source(self, server: Server) -> bool:
        """Whether it is idle on its source, as before the migration."""
        return idle(server) and server.host == self._source and server.state != "resized"

    def _check_destination(self, hostname: str) -> None:
        try:
            host = self._compute.host_state(hostname)
        except NotFound:
            raise ActionFailed(f"Destination host {hostname} was not found.") from None
        if host != ("enabled", "up"):
            raise ActionFailed(
                f"Destination host {hostname} must be enabled and up; it is {host.status} "
                f"and {host.state}."
            )

    def _await_arrival(self) -> None:
        server = self._await(lambda server: server.host != self._source)
        if server is None:
            self._give_up()
        else:
            self._arrive(server)

    def _arrive(self, server: Server) -> None:
        """Complete a migration that has ended; ActionFailed if the server is not right."""
        self._refuse_error(server)
        if self._is_idle_on_source(server):
            raise self._failed(f"stayed on host {self._source}: the migration failed.")
        if server.host == self._source or server.host != (self._destination or server.host):
            wanted = self._destination or "another host"
            raise ActionFailed(
                f"Server {self._uuid} should be on {wanted} but is {server.state} on host "
                f"{server.host}."
            )
        if server.state == "resized":
            self._confirm()

    def _give_up(self) -> None:
        late = f"Server {self._uuid} did not migrate within {self._time_limit}"
        if not self._live:
            raise ActionFailed(f"{late}; a cold migration cannot be aborted and goes on.")
        server = self._abort_live()
        if self._is_idle_on_source(server):
            raise ActionFailed(f"{late}; the migration was aborted.")
        self._arrive(server)

    def _abort_live(self) -> Server:
        """Abort, if that is still possible.  The server when it is idle, on either host."""
        try:
            self._compute.abort_live_migration(self._uuid)
        except CloudRefused as error:
            # It has ended before, or cannot be aborted now: the idle server shows which.
            LOG.info("Abort of the migration of server %s: %s", self._uuid, error)
        server = self._await_idle()
        if server is None:
            raise ActionFailed(f"The migration of server {self._uuid} could not be aborted.")
        return server
