# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any, Final

from watcher.applier.actions.base import ActionFailed, Skip
from watcher.applier.actions.server_action import ONE_SERVER, ServerAction, idle
from watcher.common.errors import NotFound

_DELETED: Final = ("soft-delete", "deleted")


class Delete(ServerAction):
    """Deletes a server.  It cannot be brought back by Watcher."""

    name = "delete"
    description = "Delete a server."
    request_noun = "deletion"
    looks = "delete"
    schema = ONE_SERVER

    def check(self) -> Mapping[str, Any] | None:
        if self._found().state in _DELETED:
            raise Skip(f"Server {self._uuid} is deleted already.")
        return None

    def execute(self) -> None:
        try:
            if idle(self._compute.server(self._uuid)):
                self._request(self._compute.delete)
            self._await_deletion()
        except NotFound:
            return  # the server is gone, whoever deleted it

    def resume(self) -> None:
        self.execute()

    def _await_deletion(self) -> None:
        """NotFound when the server is gone.

        A server in ERROR may be deleted as well, so that state alone does not end the wait.
        """
        begun = False
        for server in self._poll_server():
            if server.state in _DELETED:
                return
            if not idle(server):
                begun = True
            elif begun:
                raise self._failed(f"should be deleted but is {server.state.upper()}.")
        raise ActionFailed(f"Server {self._uuid} was not deleted within {self._time_limit}.")
