# SPDX-License-Identifier: Apache-2.0
"""The result of a strategy, and the actions of the plan that a planner makes from it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.cloud.block_storage import Volume
from watcher.cloud.compute import Host, Server
from watcher.common.errors import Invalid
from watcher.db.action_plans import PlannedAction
from watcher.decision_engine.feedback.promises import Promise, PromisedLoads
from watcher.model.undone import Undone


@dataclasses.dataclass(frozen=True)
class ProposedAction:
    """An action that a strategy wants, with the parameters its action type takes."""

    action_type: str
    input_parameters: Mapping[str, Any]
    reason: str = ""
    """Why, in one short sentence for the operator."""
    owned: bool = False
    """Whether its ``disabled_reason`` names the plan, too: see ``with_owner``."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """Proposed actions, in the order that keeps every host within its capacity.

    ``indicators`` are the values for the goal's efficacy specification, by name; empty if
    the strategy reports none.
    """

    actions: Sequence[ProposedAction] = ()
    indicators: Mapping[str, float] = dataclasses.field(default_factory=dict)
    summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Figures before and after the plan, as JSON: ``{name: {"before": number, "after":
    number}}``."""
    gain: float | None = None
    """The improvement of the goal's measure, in percent; None if it is not known."""
    unmet: str = ""
    """Which part of the goal the plan does not reach, without a full stop: "2 hosts stay
    above 80 % CPU"."""
    undone: Sequence[Undone] = ()
    """The things that are left as they are, by reason."""
    promise: Promise | None = None
    """How the plan is reviewed afterwards; None: it is not reviewed."""


def with_owner(actions: Sequence[PlannedAction], plan_uuid: str) -> Sequence[PlannedAction]:
    """The actions of a plan.  *plan_uuid* is added to the ``disabled_reason`` of owned actions, so
    that a host shows which plan disabled it."""
    return [
        dataclasses.replace(
            action,
            input_parameters={
                **action.input_parameters,
                "disabled_reason": f"{action.input_parameters['disabled_reason']} {plan_uuid}",
            },
        )
        if action.owned
        else action
        for action in actions
    ]


class SolutionBuilder:
    """Collects the actions of a solution; an exact duplicate counts once."""

    def __init__(self) -> None:
        self.summary: dict[str, dict[str, float]] = {}
        self.gain: float | None = None
        self.unmet = ""
        self.undone: list[Undone] = []
        self._promised: tuple[str, int, PromisedLoads | None] | None = None
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
        self._add(ProposedAction(action_type, parameters, reason))

    def migrate(
        self, server: Server, destination: Host | None, reason: str = "", *, cold: bool = False
    ) -> None:
        """Propose to move a server: live if it runs, unless *cold*; the scheduler picks
        the host if *destination* is None."""
        where = {"destination_node": destination.hostname} if destination else {}
        if server.needs.unjudged:
            judge = "placement has a candidate there" if destination else "nova finds the host"
            reason = f"{reason}; {judge} for its {', '.join(server.needs.unjudged)}"
        self.add(
            "migrate",
            server.uuid,
            reason,
            migration_type="cold" if cold or server.state == "stopped" else "live",
            source_node=server.host,
            resource_name=server.name,
            **where,
        )

    def migrate_volume(
        self, volume: Volume, pool: str | None, volume_type: str, reason: str
    ) -> None:
        """Propose to move a volume by a change to *volume_type*, or if that is empty to *pool*."""
        how = {"migration_type": "migrate", "destination_node": pool}
        if volume_type:
            how = {"migration_type": "retype", "destination_type": volume_type}
        self.add("volume_migrate", volume.uuid, reason, resource_name=volume.name, **how)

    def disable(
        self, host: Host, word: str, reason: str = "", *, only_if_empty: bool = False
    ) -> None:
        """Propose to keep the scheduler from using a host, for DISABLED or MAINTAINING.

        The host will name the plan as its owner.  With *only_if_empty* it is disabled after
        its servers have left, and only if all have.
        """
        parameters: dict[str, Any] = {"state": "disabled", "disabled_reason": word}
        if only_if_empty:
            parameters["only_if_empty"] = True
        self._switch(host, parameters, reason, owned=True)

    def enable(self, host: Host, reason: str = "") -> None:
        """Propose to let the scheduler use a host."""
        self._switch(host, {"state": "enabled"}, reason)

    def leave(self, unmet: str, undone: Iterable[Undone] = ()) -> None:
        """Set which part of the goal is not reached (*unmet*), what was left undone, and why."""
        self.unmet = unmet
        self.undone += undone

    def figure(self, name: str, before: float, after: float) -> None:
        """Add a figure to the summary."""
        self.summary[name] = {"before": before, "after": after}

    def figures(self, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        """Add figures to the summary, by name."""
        for name, value in before.items():
            self.figure(name, value, after[name])

    def improve(self, before: float, after: float) -> None:
        """Set the goal's measure before and after the plan; less is better.  The gain is computed
        from it."""
        self.gain = round(100 * (before - after) / before, 2) if before > 0 else None

    def promise(self, figure: str, window: float, loads: PromisedLoads | None = None) -> None:
        """Let the plan be reviewed, *window* seconds after its end, by a figure of the
        summary, or by the loads of hosts if they are given."""
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

    def _switch(
        self, host: Host, parameters: dict[str, Any], reason: str, owned: bool = False
    ) -> None:
        names = {"resource_id": host.uuid, "resource_name": host.hostname}
        self._add(ProposedAction("change_nova_service_state", parameters | names, reason, owned))

    def _add(self, action: ProposedAction) -> None:
        parameters = sorted(action.input_parameters.items(), key=lambda item: item[0])
        key = repr((action.action_type, parameters))
        if key not in self._seen:
            self._seen.add(key)
            self._actions.append(action)
