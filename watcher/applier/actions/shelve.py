# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any, Final

from watcher.applier.actions.base import Skip
from watcher.applier.actions.server_action import ONE_SERVER, ServerAction

_SHELVED: Final = ("shelved", "shelved_offloaded")


class Shelve(ServerAction):
    """Shelves a server: its disk is kept as an image, its host gets its room back."""

    name = "shelve"
    description = "Shelve a server."
    request_noun = "shelving"
    looks = "shelve"
    schema = ONE_SERVER

    def check(self) -> Mapping[str, Any] | None:
        server = self._found()
        if server.state in _SHELVED:
            raise Skip(f"Server {self._uuid} is shelved already.")
        self._refuse_error(server)
        return None

    def execute(self) -> None:
        self._bring_to(_SHELVED, self._compute.shelve)

    def resume(self) -> None:
        self.execute()
