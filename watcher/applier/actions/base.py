# SPDX-License-Identifier: Apache-2.0
"""The base class of actions: class attributes describe an action, methods execute it."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from oslo_config import cfg
from oslo_log import log

from watcher.cloud import Cloud
from watcher.cloud.compute import Compute
from watcher.common.errors import CloudUnavailable, WatcherError

LOG = log.getLogger(__name__)

T = TypeVar("T")


def object_schema(required: Sequence[str], **properties: Any) -> Mapping[str, Any]:
    """The schema of the parameters of an action, which takes no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


NAME: Final = {"type": "string", "minLength": 1}
"""The schema of a parameter that must not be empty."""
UUID: Final = {
    "type": "string",
    "pattern": "^([a-fA-F0-9]){8}(-([a-fA-F0-9]){4}){3}-([a-fA-F0-9]){12}$",
}
"""The schema of a parameter that names a server or a volume."""


class Skip(WatcherError):
    """Raised by ``check`` if there is nothing to do (any more); the sentence says why."""


class ActionFailed(WatcherError):
    """The action cannot be executed; the sentence says why."""


@dataclasses.dataclass(frozen=True)
class ActionTools:
    """Everything that an action may use besides its parameters."""

    cloud: Cloud
    conf: cfg.ConfigOpts
    wait: Callable[[float], None]
    """Waits so many seconds; actions call it in place of every sleep.  It raises when the applier
    stops, or the plan is cancelled (not in ``abort``, ``revert`` and a ``resume`` after a cancel),
    and actions must not catch that."""


class Action(ABC):
    """Base of all actions.  One object executes one action row.

    It must not keep anything between two calls: the next method may be called on another object,
    in another process.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema (draft 4) of its input parameters."""
    options: ClassVar[tuple[cfg.Opt, ...]] = ()
    """Its own options, for the group ``[watcher_actions.<name>]``."""

    def __init__(self, parameters: Mapping[str, Any], tools: ActionTools) -> None:
        self.parameters, self.tools = parameters, tools

    def check(self) -> Mapping[str, Any] | None:
        """Check conditions.  Raises Skip if nothing is to do; any other error fails the action.

        Returns the origin, a description of the present state as JSON, which ``revert`` gets later;
        None if the action cannot be reverted.
        """
        return None

    @abstractmethod
    def execute(self) -> None:
        """Do it, to the end.  An error fails the action; its sentence is what users read."""
        raise NotImplementedError

    def verify(self) -> None:  # noqa: B027
        """Check the result.  An error fails the action."""

    @abstractmethod
    def resume(self) -> None:
        """Continue an action whose applier has died or stopped, or that ``abort`` left: look at the
        cloud, then complete it, wait for its end or repeat it.  An error fails the action."""
        raise NotImplementedError

    def abort(self) -> bool:
        """The plan is being cancelled while this runs.

        True if it was aborted without effect; False if it continues, and ``resume`` is to await its
        end.
        """
        return False

    def revert(self, origin: Mapping[str, Any]) -> None:
        """Restore the state before the action, and return when that is done.

        After a crash it is called again: look at the cloud, as ``resume`` does.
        """
        raise NotImplementedError

    @property
    def _compute(self) -> Compute:
        return self.tools.cloud.compute

    @property
    def _uuid(self) -> str:
        """The uuid of the resource that the action changes."""
        return str(self.parameters["resource_id"])

    def _request(self, do: Callable[..., None], *args: Any) -> None:
        """Send a request.  If it is not answered, the service may have received it nevertheless;
        the next looks show whether it has."""
        try:
            do(self._uuid, *args)
        except CloudUnavailable as error:
            LOG.warning("Action %s: no answer about %s: %s", self.name, self._uuid, error)

    def _poll(self, look: Callable[[str], T], number: int, seconds: float) -> Iterator[T]:
        """Call *look* at most *number* times, *seconds* before each, and yield what it returns.

        A call that the cloud does not answer yields nothing and fails nothing.
        """
        for _ in range(number):
            self.tools.wait(seconds)
            try:
                yield look(self._uuid)
            except CloudUnavailable as error:
                LOG.warning("Action %s cannot look at %s: %s", self.name, self._uuid, error)
