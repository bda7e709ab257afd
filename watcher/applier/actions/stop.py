# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_log import log

from watcher.applier.actions.base import ActionFailed, Skip
from watcher.applier.actions.server import ONE_SERVER, ServerAction, idle
from watcher.common.errors import NotFound

LOG = log.getLogger(__name__)


class Stop(ServerAction):
    """Stops a server."""

    name = "stop"
    description = "Stop a server."
    wish = "stop"
    schema = ONE_SERVER
    options = (
        cfg.IntOpt(
            "timeout",
            default=80,
            min=1,
            help="Seconds within which a server must have stopped. Guests are given time to shut "
            "down, 60 seconds unless nova or the image says otherwise.",
        ),
    )

    def check(self) -> Mapping[str, Any]:
        server = self._found()
        if server.state == "stopped":
            raise Skip(f"Server {self._uuid} is stopped already.")
        self._refuse_error(server)
        return {}

    def execute(self) -> None:
        try:
            self._reach("stopped", self._compute.stop)
        except NotFound:
            # A server that is deleted does not run any more.
            LOG.info("Server %s was deleted while it was being stopped", self._uuid)

    def resume(self) -> None:
        self.execute()

    def abort(self) -> bool:
        """nova cannot abort a stop, so this waits for its end."""
        try:
            end = self._await(lambda server: server.state == "stopped")
        except NotFound:
            return False
        if end is None:
            return False
        self._refuse_error(end)
        return end.state != "stopped"

    def revert(self, origin: Mapping[str, Any]) -> None:
        self._reach("active", self._compute.start)

    @property
    def _most_looks(self) -> int:
        timeout: int = self.tools.conf["watcher_actions.stop"].timeout
        return math.ceil(timeout / self._interval)

    def _reach(self, state: str, ask: Callable[[str], None]) -> None:
        """Bring the server to a state, unless it is in that state; wait for a task that it has."""
        server = self._compute.server(self._uuid)
        if idle(server):
            if server.state == state:
                return
            self._request(ask)
        end = self._await(lambda server: server.state == state)
        if end is None:
            raise ActionFailed(f"Server {self._uuid} was not {state} within {self._time_limit}.")
        if end.state != state:
            raise self._failed(f"should be {state} but is {end.state.upper()} on host {end.host}.")
