# SPDX-License-Identifier: Apache-2.0
"""The base of actions on one server."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final

from oslo_log import log

from watcher.applier.actions.base import UUID, Action, ActionFailed, Skip, object_schema
from watcher.cloud.compute import Server
from watcher.common.errors import CloudRefused, NotFound, WatcherError

LOG = log.getLogger(__name__)

ONE_SERVER: Final = object_schema(["resource_id"], resource_id=UUID)
"""The schema of an action that takes a server and nothing else."""

_IDLE_LOOKS: Final = 3
"""After so many looks at an idle server its request counts as ended, even if no look has shown that
it began: nova may be slow to record that."""


class ServerAction(Action):
    """An action that looks at its server repeatedly until a request has ended, with a limit."""

    request_noun: ClassVar[str]
    """The name of its request in sentences, such as "migration"."""
    looks: ClassVar[str] = "migration"
    """The prefix of the options of ``[nova]`` for the number of looks and the pause between
    them."""

    @property
    def _max_looks(self) -> int:
        """The number of looks after which it takes too long."""
        return int(self.tools.conf.nova[f"{self.looks}_max_retries"])

    @property
    def _interval(self) -> float:
        """Seconds between two looks."""
        return float(self.tools.conf.nova[f"{self.looks}_interval"])

    @property
    def _time_limit(self) -> str:
        return f"{self._max_looks * self._interval:g} seconds"

    def _found(self) -> Server:
        """The server.  Skip if there is none (any more)."""
        try:
            return self._compute.server(self._uuid)
        except NotFound:
            raise Skip(f"Server {self._uuid} was not found.") from None

    def _poll_server(self) -> Iterator[Server]:
        """The server, at most ``_max_looks`` times."""
        return self._poll(self._compute.server, self._max_looks, self._interval)

    def _await(self, reached: Callable[[Server], bool]) -> Server | None:
        """The server when the request has ended, well or not; None if that takes too long."""
        begun, looks_idle = False, 0
        for server in self._poll_server():
            if server.state == "error":
                return server
            if not idle(server):
                begun = True
                continue
            looks_idle += 1
            if reached(server) or begun or looks_idle == _IDLE_LOOKS:
                return server
        return None

    def _bring_to(self, states: Sequence[str], ask: Callable[[str], None]) -> None:
        """Bring the server into one of *states*, unless it is in one already.  If it has a task,
        wait for its end."""
        server = self._compute.server(self._uuid)
        if idle(server):
            if server.state in states:
                return
            self._request(ask)
        end = self._await(lambda server: server.state in states)
        if end is None:
            raise ActionFailed(
                f"Server {self._uuid} was not {states[0]} within {self._time_limit}."
            )
        if end.state not in states:
            was = f"{end.state.upper()} on host {end.host}"
            raise self._failed(f"should be {states[0]} but is {was}.")

    def _await_idle(self) -> Server | None:
        """The server when it has no task any more; None if that takes too long."""
        return next((server for server in self._poll_server() if idle(server)), None)

    def _confirm(self) -> None:
        """Confirm a resize or a cold migration, which ended in the state ``resized``."""
        try:
            self._request(self._compute.confirm_resize)
        except CloudRefused as error:
            # nova may be configured to confirm by itself: then there is nothing left to do.
            LOG.info(
                "Confirmation of the %s of server %s: %s", self.request_noun, self._uuid, error
            )
            if self._compute.server(self._uuid).state == "resized":
                raise
            return
        if not any(idle(server) and server.state != "resized" for server in self._poll_server()):
            raise ActionFailed(
                f"The {self.request_noun} of server {self._uuid} was confirmed, without effect "
                f"within {self._time_limit}."
            )

    def _refuse_error(self, server: Server) -> None:
        if server.state == "error":
            raise self._failed(f"is in state ERROR on host {server.host}.")

    def _failed(self, sentence: str) -> ActionFailed:
        """An error: the server's uuid, *sentence*, and the reason that nova gives."""
        try:
            reason = self._compute.failure(self._uuid)
        except WatcherError as error:
            LOG.warning("No reason why server %s failed can be read: %s", self._uuid, error)
            reason = None
        return ActionFailed(" ".join(filter(None, (f"Server {self._uuid} {sentence}", reason))))


def idle(server: Server) -> bool:
    """Whether nothing is being done with it."""
    return server.task_state is None
