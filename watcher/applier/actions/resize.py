# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any

from watcher.applier.actions.base import NAME, UUID, ActionFailed, Skip, object_schema
from watcher.applier.actions.server_action import ServerAction, idle
from watcher.cloud.compute import Flavor, Server
from watcher.common.errors import NotFound


class Resize(ServerAction):
    """Gives a server another flavor, and confirms it."""

    name = "resize"
    description = "Resize a server to another flavor."
    request_noun = "resize"
    schema = object_schema(["resource_id", "flavor"], resource_id=UUID, flavor=NAME)

    def check(self) -> Mapping[str, Any]:
        server, flavor = self._found(), self._flavor()
        if server.flavor == flavor.name:
            raise Skip(f"Server {self._uuid} has flavor {flavor.name} already.")
        return {"flavor": server.flavor}

    def execute(self) -> None:
        self._request(self._compute.resize, self._flavor().id)
        self._await_resize()

    def resume(self) -> None:
        server, flavor = self._compute.server(self._uuid), self._flavor()
        if not idle(server):
            self._await_resize()
        elif server.state == "resized" or server.flavor == flavor.name:
            self._complete(server, flavor)
        else:
            # Not begun, or rolled back: nothing is left of it, so it may be repeated.
            self.execute()

    def abort(self) -> bool:
        """nova cannot abort a resize, so this waits for its end."""
        end = self._await(lambda server: server.state == "resized")
        if end is None:
            return False
        self._refuse_error(end)
        return end.state != "resized" and end.flavor != self._flavor().name

    def revert(self, origin: Mapping[str, Any]) -> None:
        way_back = {**self.parameters, "flavor": origin["flavor"]}
        Resize(way_back, self.tools).resume()

    def _flavor(self) -> Flavor:
        try:
            return self._compute.flavor(self.parameters["flavor"])
        except NotFound:
            raise ActionFailed(f"Flavor {self.parameters['flavor']} was not found.") from None

    def _await_resize(self) -> None:
        server = self._await(lambda server: server.state == "resized")
        if server is None:
            raise ActionFailed(
                f"Server {self._uuid} was not resized within {self._time_limit}; a resize cannot "
                "be aborted and goes on."
            )
        self._complete(server, self._flavor())

    def _complete(self, server: Server, flavor: Flavor) -> None:
        """Confirm a resize that has ended; ActionFailed if the server is not as it should be."""
        self._refuse_error(server)
        if server.flavor != flavor.name:
            raise self._failed(
                f"is {server.state} with flavor {server.flavor}: the resize to {flavor.name} "
                f"failed."
            )
        if server.state == "resized":
            self._confirm()
