# SPDX-License-Identifier: Apache-2.0
from oslo_log import log

from watcher.applier.actions.base import Action, ActionFailed, Skip
from watcher.cloud.compute import Compute, Server
from watcher.common.errors import CloudRefused, CloudUnavailable, NotFound

LOG = log.getLogger(__name__)

_PATIENCE = 3
"""Looks at an idle server on its source before we believe that its migration is over,
if none has shown it under way: the service may be slow to write down that it began."""


class Migrate(Action):
    """Moves a server to another host, live or cold."""

    name = "migrate"
    description = "Move a server to another host."
    schema = {
        "type": "object",
        "properties": {
            "resource_id": {
                "type": "string",
                "pattern": "^([a-fA-F0-9]){8}(-([a-fA-F0-9]){4}){3}-([a-fA-F0-9]){12}$",
            },
            "migration_type": {"enum": ["live", "cold"]},
            "source_node": {"type": "string", "minLength": 1},
            "destination_node": {"type": ["string", "null"]},
            "resource_name": {"type": "string"},
        },
        "required": ["resource_id", "migration_type", "source_node"],
        "additionalProperties": False,
    }

    def check(self) -> None:
        try:
            server = self._compute.server(self._uuid)
        except NotFound:
            raise Skip(f"Server {self._uuid} was not found.") from None
        if server.host != self._source:
            raise Skip(
                f"Server {self._uuid} is expected on host {self._source} but is on {server.host}."
            )
        if self._destination:
            self._check_destination(self._destination)
        if self._live and server.state != "active":
            raise ActionFailed(
                f"Server {self._uuid} is {server.state.upper()}; it must be ACTIVE to migrate live."
            )

    def execute(self) -> None:
        try:
            if self._live:
                self._compute.live_migrate(self._uuid, self._destination)
            else:
                self._compute.cold_migrate(self._uuid, self._destination)
        except CloudUnavailable as error:
            # The request may have got through; what becomes of the server tells.
            LOG.warning("Request to migrate server %s: %s", self._uuid, error)
        self._await()

    def resume(self) -> None:
        server = self._compute.server(self._uuid)
        if _idle(server) and server.host == self._source and server.state != "resized":
            # Not begun, or rolled back: nothing is left of it, so it may be repeated.
            self.check()
            self.execute()
        elif _idle(server):
            self._arrive(server)
        else:
            self._await()

    def abort(self) -> bool:
        if self._live:
            self._request_abort()
            server = self._await_rest()
        else:
            server = self._compute.server(self._uuid)
        return _idle(server) and server.host == self._source and server.state != "resized"

    @property
    def _compute(self) -> Compute:
        return self.tools.cloud.compute

    @property
    def _uuid(self) -> str:
        uuid: str = self.parameters["resource_id"]
        return uuid

    @property
    def _live(self) -> bool:
        return bool(self.parameters["migration_type"] == "live")

    @property
    def _source(self) -> str:
        source: str = self.parameters["source_node"]
        return source

    @property
    def _destination(self) -> str | None:
        return self.parameters.get("destination_node") or None

    def _check_destination(self, hostname: str) -> None:
        try:
            host = self._compute.host(hostname)
        except NotFound:
            raise ActionFailed(f"Destination host {hostname} was not found.") from None
        if not host.available:
            raise ActionFailed(
                f"Destination host {hostname} must be enabled and up; it is {host.status} "
                f"and {host.state}."
            )

    def _await(self) -> None:
        """Return when the server has arrived; ActionFailed if it does not."""
        begun, looks_idle = False, 0
        for _ in range(self.tools.conf.nova.migration_max_retries):
            server = self._next_look()
            if server is None:
                continue
            if not _idle(server):
                begun = True
                continue
            if server.host != self._source or server.state == "error":
                return self._arrive(server)
            looks_idle += 1
            if begun or looks_idle == _PATIENCE:
                raise ActionFailed(
                    f"Server {self._uuid} stayed on host {self._source}: the migration failed."
                )
        self._give_up()

    def _arrive(self, server: Server) -> None:
        """Complete what ended on another host; ActionFailed if it is not as it should be."""
        if server.state == "error":
            raise ActionFailed(f"Server {self._uuid} is in state ERROR on host {server.host}.")
        if server.host == self._source or server.host != (self._destination or server.host):
            wanted = self._destination or "another host"
            raise ActionFailed(
                f"Server {self._uuid} should be on {wanted} but is {server.state} on host "
                f"{server.host}."
            )
        if server.state == "resized":
            self._confirm()

    def _confirm(self) -> None:
        self._compute.confirm_resize(self._uuid)
        for _ in range(self.tools.conf.nova.migration_max_retries):
            server = self._look()
            if server and _idle(server) and server.state != "resized":
                return
            self._pause()
        raise ActionFailed(f"The migration of server {self._uuid} was confirmed, without effect.")

    def _give_up(self) -> None:
        options = self.tools.conf.nova
        seconds = options.migration_max_retries * options.migration_interval
        late = f"Server {self._uuid} did not migrate within {seconds:g} seconds"
        if not self._live:
            raise ActionFailed(f"{late}; a cold migration cannot be aborted and goes on.")
        self._request_abort()
        server = self._await_rest()
        if server.host == self._source:
            raise ActionFailed(f"{late}; the migration was aborted.")
        self._arrive(server)

    def _request_abort(self) -> None:
        try:
            self._compute.abort_live_migration(self._uuid)
        except CloudRefused as error:
            # It ended before we asked, or cannot be aborted now: the server's rest tells.
            LOG.info("Abort of the migration of server %s: %s", self._uuid, error)

    def _await_rest(self) -> Server:
        for _ in range(self.tools.conf.nova.migration_max_retries):
            server = self._look()
            if server and _idle(server):
                return server
            self._pause()
        raise ActionFailed(f"The migration of server {self._uuid} could not be aborted.")

    def _next_look(self) -> Server | None:
        self._pause()
        return self._look()

    def _look(self) -> Server | None:
        """The server, or None while the cloud does not answer: that alone fails nothing."""
        try:
            return self._compute.server(self._uuid)
        except CloudUnavailable as error:
            LOG.warning("Server %s cannot be looked at: %s", self._uuid, error)
            return None

    def _pause(self) -> None:
        self.tools.wait(self.tools.conf.nova.migration_interval)


def _idle(server: Server) -> bool:
    return server.task_state is None
