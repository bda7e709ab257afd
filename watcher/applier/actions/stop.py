# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_log import log

from watcher.applier.actions.base import Skip
from watcher.applier.actions.server_action import ONE_SERVER, ServerAction
from watcher.common.errors import NotFound

LOG = log.getLogger(__name__)


class Stop(ServerAction):
    name = "stop"
    description = "Stop a server."
    request_noun = "stop"
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
            self._bring_to(["stopped"], self._compute.stop)
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
        self._bring_to(["active"], self._compute.start)

    @property
    def _max_looks(self) -> int:
        timeout = float(self.tools.conf["watcher_actions.stop"].timeout)
        return math.ceil(timeout / self._interval)
