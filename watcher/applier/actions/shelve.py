# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any, Final

from watcher.applier.actions.base import ActionFailed, Skip
from watcher.applier.actions.server import ONE_SERVER, ServerAction, idle

_SHELVED: Final = ("shelved", "shelved_offloaded")


class Shelve(ServerAction):
    """Shelves a server: its disk is kept as an image, its host gets its room back."""

    name = "shelve"
    description = "Shelve a server."
    wish = "shelving"
    schema = ONE_SERVER

    def check(self) -> Mapping[str, Any] | None:
        server = self._found()
        if server.state in _SHELVED:
            raise Skip(f"Server {self._uuid} is shelved already.")
        self._refuse_error(server)
        return None

    def execute(self) -> None:
        server = self._compute.server(self._uuid)
        if idle(server):
            if server.state in _SHELVED:
                return
            self._request(self._compute.shelve)
        end = self._await(lambda server: server.state in _SHELVED)
        if end is None:
            raise ActionFailed(f"Server {self._uuid} was not shelved within {self._time_limit}.")
        if end.state not in _SHELVED:
            raise self._failed(f"should be shelved but is {end.state.upper()} on host {end.host}.")

    def resume(self) -> None:
        self.execute()

    @property
    def _most_looks(self) -> int:
        looks: int = self.tools.conf.nova.shelve_max_retries
        return looks

    @property
    def _interval(self) -> float:
        interval: float = self.tools.conf.nova.shelve_interval
        return interval
