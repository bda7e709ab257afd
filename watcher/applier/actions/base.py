# SPDX-License-Identifier: Apache-2.0
"""What an action is: facts as class attributes, and the steps that carry it out."""

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from watcher.cloud.compute import Cloud
from watcher.common.errors import WatcherError


class Skip(WatcherError):
    """Raised by ``check``: there is nothing to do (any more); the sentence says why."""


@dataclasses.dataclass(frozen=True)
class Tools:
    """All that an action may touch."""

    cloud: Cloud
    options: Any
    """The ``[watcher_actions.<name>]`` group of the configuration."""
    cancelled: threading.Event
    """Set when the plan is being cancelled: a wait on it replaces every sleep."""


class Action:
    """Base of all actions.  One object carries out one action row."""

    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    """JSON schema (draft 4) of its input parameters."""

    def __init__(self, parameters: Mapping[str, Any], tools: Tools) -> None:
        self.parameters, self.tools = parameters, tools

    def check(self) -> None:
        """Look before the leap.  Skip if there is nothing to do; any other error fails it."""

    def execute(self) -> None:
        """Do it, to the end.  An error fails the action; its sentence is what users read."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on after the applier that began it died: look at the cloud, then complete,
        await or repeat.  An error means that this cannot be decided."""
        raise NotImplementedError

    def abort(self) -> bool:
        """The plan is being cancelled while this runs.  True if it was undone."""
        return False
