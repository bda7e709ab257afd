# SPDX-License-Identifier: Apache-2.0
"""What a strategy answers, and what a planner makes of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.common.errors import Invalid


@dataclasses.dataclass(frozen=True)
class ProposedAction:
    """One step that a strategy wants, with the parameters its action type takes."""

    action_type: str
    input_parameters: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Solution:
    """Proposed actions, in the order that keeps every host within its capacity.

    ``indicators`` are the values for the goal's efficacy specification, by name;
    an empty map means that the strategy claims none.
    """

    actions: Sequence[ProposedAction] = ()
    indicators: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PlannedAction:
    """A step of a plan: ready to be written, and to start after all its parents."""

    uuid: str
    action_type: str
    input_parameters: Mapping[str, Any]
    parents: Sequence[str]


class SolutionBuilder:
    """Collects the actions of a solution; an exact duplicate counts once."""

    def __init__(self) -> None:
        self._actions: list[ProposedAction] = []
        self._seen: set[str] = set()

    def add(self, action_type: str, resource_id: str | None = None, /, **parameters: Any) -> None:
        """Propose an action.  *resource_id* becomes one of its parameters."""
        if resource_id is not None:
            if "resource_id" in parameters:
                raise Invalid("resource_id: given twice, as such and in the input parameters.")
            parameters["resource_id"] = resource_id
        key = repr((action_type, sorted(parameters.items(), key=lambda item: item[0])))
        if key not in self._seen:
            self._seen.add(key)
            self._actions.append(ProposedAction(action_type, parameters))

    def migrate_live(self, server: Server, destination: Host) -> None:
        """Propose to move a running server."""
        self.add(
            "migrate",
            server.uuid,
            migration_type="live",
            source_node=server.host,
            destination_node=destination.hostname,
            resource_name=server.name,
        )

    def build(self, **indicators: float) -> Solution:
        return Solution(tuple(self._actions), indicators)
