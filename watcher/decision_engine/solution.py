# SPDX-License-Identifier: Apache-2.0
"""What a strategy answers, and what a planner makes of it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.common.errors import Invalid
from watcher.decision_engine.promises import HostLoads, Promise
from watcher.decision_engine.undone import Undone


@dataclasses.dataclass(frozen=True)
class ProposedAction:
    """One step that a strategy wants, with the parameters its action type takes."""

    action_type: str
    input_parameters: Mapping[str, Any]
    reason: str = ""
    """Why, in one short sentence for the operator."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """Proposed actions, in the order that keeps every host within its capacity.

    ``indicators`` are the values for the goal's efficacy specification, by name;
    an empty map means that the strategy claims none.
    """

    actions: Sequence[ProposedAction] = ()
    indicators: Mapping[str, float] = dataclasses.field(default_factory=dict)
    summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The load before and after, as JSON: ``{name: {"before": number, "after": number}}``."""
    gain: float | None = None
    """Of what the goal measures, the part that the plan improves, in percent; None if that
    cannot be said."""
    unmet: str = ""
    """What is not in order with the plan carried out, without a full stop: "2 hosts stay
    above 80 % CPU"."""
    undone: Sequence[Undone] = ()
    """What was left as it is, and why."""
    promise: Promise | None = None
    """By what the plan is judged afterwards; None: by nothing."""


@dataclasses.dataclass(frozen=True)
class PlannedAction:
    """A step of a plan: ready to be written, and to start after all its parents."""

    uuid: str
    action_type: str
    input_parameters: Mapping[str, Any]
    parents: Sequence[str]
    reason: str = ""


class SolutionBuilder:
    """Collects the actions of a solution; an exact duplicate counts once."""

    def __init__(self) -> None:
        self.summary: dict[str, dict[str, float]] = {}
        self.gain: float | None = None
        self.unmet = ""
        self.undone: list[Undone] = []
        self._promised: tuple[str, int, HostLoads | None] | None = None
        self._actions: list[ProposedAction] = []
        self._seen: set[str] = set()

    def add(
        self,
        action_type: str,
        resource_id: str | None = None,
        reason: str = "",
        /,
        **parameters: Any,
    ) -> None:
        """Propose an action.  *resource_id* becomes one of its parameters."""
        if resource_id is not None:
            if "resource_id" in parameters:
                raise Invalid("resource_id: given twice, as such and in the input parameters.")
            parameters["resource_id"] = resource_id
        key = repr((action_type, sorted(parameters.items(), key=lambda item: item[0])))
        if key not in self._seen:
            self._seen.add(key)
            self._actions.append(ProposedAction(action_type, parameters, reason))

    def migrate(
        self, server: Server, destination: Host | None, reason: str = "", *, cold: bool = False
    ) -> None:
        """Propose to move a server: live if it runs, unless *cold*; the scheduler picks
        the host if *destination* is None."""
        where = {"destination_node": destination.hostname} if destination else {}
        self.add(
            "migrate",
            server.uuid,
            reason,
            migration_type="cold" if cold or server.state == "stopped" else "live",
            source_node=server.host,
            resource_name=server.name,
            **where,
        )

    def disable(self, host: Host, disabled_reason: str, reason: str = "") -> None:
        """Propose to keep the scheduler from using a host."""
        self.add(
            "change_nova_service_state",
            host.uuid,
            reason,
            state="disabled",
            disabled_reason=disabled_reason,
            resource_name=host.hostname,
        )

    def enable(self, host: Host, reason: str = "") -> None:
        """Propose to let the scheduler use a host."""
        self.add(
            "change_nova_service_state",
            host.uuid,
            reason,
            state="enabled",
            resource_name=host.hostname,
        )

    def leave(self, unmet: str, undone: Iterable[Undone] = ()) -> None:
        """Say what is not in order still, and what was left as it is, and why."""
        self.unmet = unmet
        self.undone += undone

    def improve(self, before: float, after: float) -> None:
        """Say what the goal measures, the less the better: its gain follows from that."""
        self.gain = round(100 * (before - after) / before, 2) if before > 0 else None

    def promise(self, figure: str, window: float, loads: HostLoads | None = None) -> None:
        """Let the plan be judged, *window* seconds after its end, by a figure of the summary;
        by the loads of hosts instead if it is for those."""
        self._promised = figure, int(window), loads

    def build(self, **indicators: float) -> Solution:
        return Solution(
            tuple(self._actions),
            indicators,
            self.summary,
            self.gain,
            self.unmet,
            tuple(self.undone),
            self._promise(),
        )

    def _promise(self) -> Promise | None:
        if not (self._promised and self._actions):
            return None
        figure, window, loads = self._promised
        before, after = self.summary[figure]["before"], self.summary[figure]["after"]
        if before == after and not (loads and loads.moves):
            return None
        return Promise(figure, before, after, window, loads)
