# SPDX-License-Identifier: Apache-2.0
"""Makes a plan from a solution: each action gets the actions that it waits for.

No action waits for a large number of others.  A limit of n at once is n *lanes*: actions
take the lanes in turn, and each waits for the one before it in its lane.  So a plan of any
size is made in one pass, an action has a few parents, and a slow migration delays its own
lanes only.
"""

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from watcher.cloud.compute import ServerGroup
from watcher.common.errors import Invalid
from watcher.db.action_plans import PlannedAction
from watcher.decision_engine.solution import ProposedAction, Solution


class Planner:
    """Base of all planners.  It divides the actions of a solution into stages and lanes.

    An action waits for the one before it in its lane; the first of a lane waits for the lanes of
    the stage before.  An action also waits for earlier actions of the same resource, of the same
    host (several may run at once), for those that leave its destination, and for those of its
    server's group, whose members never move at the same time.
    """

    name: ClassVar[str]
    options: ClassVar[tuple[cfg.Opt, ...]] = ()
    """Its own options, for the group ``[watcher_planners.<name>]``; those of the planners that
    come with Watcher are in ``conf``."""

    def __init__(self, settings: Any) -> None:
        """*settings* is the group of the configuration."""
        self.settings = settings

    def stages(self, solution: Solution) -> Sequence[Sequence[ProposedAction]]:
        """The stages of a plan, each with its actions in order.

        Actions of greater weight come first; those of equal weight keep the order of the solution.
        A stage after the migrations disables hosts ``only_if_empty``: first those that the solution
        empties.  Invalid for a type of action that the planner does not know.
        """
        parameters = [action.input_parameters for action in solution.actions]
        sources = {host for each in parameters for host in _text(each, "source_node")}

        def phase(action: ProposedAction) -> int:
            if not _if_empty(action):
                return 0
            return 2 if sources.isdisjoint(_text(action.input_parameters, "resource_name")) else 1

        stages: dict[tuple[int, bool, int], list[ProposedAction]] = defaultdict(list)
        after_named, part = False, 0
        for action in sorted(solution.actions, key=phase):
            late = phase(action) > 0
            weight = self._weight("migrate" if late else action.action_type)
            # A move whose host the scheduler picks gets a later stage than earlier moves to named
            # hosts, because the scheduler may pick the room that these need.
            if any(_text(action.input_parameters, "source_node")):
                picked = not any(_text(action.input_parameters, "destination_node"))
                part -= after_named and picked
                after_named = not picked
            stages[weight, not late, part].append(action)
        return [stages[key] for key in sorted(stages, reverse=True)]

    def _weight(self, action_type: str) -> int:
        weight: int | None = self.settings.weights.get(action_type)
        if weight is None:
            raise Invalid(
                f"action_type: the planner '{self.name}' has no weight for "
                f"'{action_type}'; [watcher_planners.{self.name}] weights names "
                f"{', '.join(self.settings.weights)}."
            )
        return weight

    def lane(self, action: ProposedAction) -> tuple[str, int] | None:
        """The name of the lanes that an action shares with others of its stage, and how many lanes
        there are.  None: it waits for no lane, and no later stage waits for it."""
        return None

    def plan(
        self, solution: Solution, groups: Sequence[ServerGroup] = ()
    ) -> Sequence[PlannedAction]:
        """The solution's actions, each with its parents; *groups* are those of the cloud."""
        order = _Order(self.settings.migrations_per_host, groups)
        planned: list[PlannedAction] = []
        # The last actions of the lanes of the stage before.
        barrier: list[str] = []
        for stage in self.stages(solution):
            lanes: dict[str, _Lanes] = {}
            for action in stage:
                key, lane = str(uuid.uuid4()), self.lane(action)
                ahead = lane and lanes.setdefault(lane[0], _Lanes(lane[1])).join(key)
                departures = order.departures(action)
                first = [ahead] if ahead else departures or barrier
                parents = [*first, *departures, *order.join(key, action)]
                planned.append(_planned(key, action, parents))
            ends = [end for each in lanes.values() for end in each.ends]
            # Actions that disable hosts wait for departures, not for the barrier, so the next stage
            # has to wait for both.
            barrier = [*barrier, *ends] if any(map(_if_empty, stage)) else ends or barrier
        return planned


class WeightPlanner(Planner):
    """Type after type, by weight; within a type as the solution says, some at once.

    Types of equal weight are one stage.  A host with ``only_if_empty`` is disabled when its
    servers have left; one without servers, when all migrations are over.
    """

    name = "weight"

    def lane(self, action: ProposedAction) -> tuple[str, int]:
        return action.action_type, self.settings.parallelization.get(action.action_type, 1)


class WorkloadStabilizationPlanner(Planner):
    """Begins as many actions at once as possible: they wait only if they share a host or a
    resource."""

    name = "workload_stabilization"


class NodeResourceConsolidationPlanner(Planner):
    """Hosts are disabled, then emptied side by side, each by one migration after the other, and
    enabled again.  Those that are not disabled before are enabled at first if they may take
    servers."""

    name = "node_resource_consolidation"

    def lane(self, action: ProposedAction) -> tuple[str, int]:
        return next(_text(action.input_parameters, "source_node"), str(id(action))), 1

    def stages(self, solution: Solution) -> Sequence[Sequence[ProposedAction]]:
        first: list[ProposedAction] = []
        migrations: list[ProposedAction] = []
        last: list[ProposedAction] = []
        takers = _takers(solution)
        for action in solution.actions:
            if action.action_type == "migrate":
                migrations.append(action)
            elif action.action_type == "change_nova_service_state":
                enabled = action.input_parameters.get("state") == "enabled"
                takes = not takers.isdisjoint(_text(action.input_parameters, "resource_name"))
                (last if enabled and not takes else first).append(action)
            else:
                raise Invalid(
                    f"action_type: the planner '{self.name}' knows migrate and "
                    f"change_nova_service_state, not '{action.action_type}'."
                )
        return first, migrations, last


def _takers(solution: Solution) -> set[str]:
    """The hosts that a plan enables so that they take servers."""
    parameters = [action.input_parameters for action in solution.actions]
    moves = [each for each in parameters if any(_text(each, "source_node"))]
    takers = {host for each in moves for host in _text(each, "destination_node")}
    if not all(any(_text(each, "destination_node")) for each in moves):
        # The scheduler picks hosts: not one that is emptied, or that is enabled after the moves.
        early = itertools.takewhile(lambda each: each is not moves[0], parameters)
        named = {host for each in early for host in _text(each, "resource_name")}
        takers |= named - {host for each in moves for host in _text(each, "source_node")}
    off = (each for each in parameters if each.get("state") == "disabled")
    return takers - {host for each in off for host in _text(each, "resource_name")}


class _Lanes:
    """Lanes for at most *width* actions at once."""

    def __init__(self, width: int) -> None:
        self.ends: list[str] = []
        """The last action of each lane; when these have ended, all have."""
        self._width = max(1, width)
        self.taken = -1

    def join(self, key: str) -> str | None:
        """Put an action in the next lane.  Returns the action that it has to wait for."""
        self.taken = (self.taken + 1) % self._width
        if self.taken == len(self.ends):
            self.ends.append(key)
            return None
        ahead, self.ends[self.taken] = self.ends[self.taken], key
        return ahead


class _Host:
    """The actions on one host."""

    def __init__(self, width: int) -> None:
        self._lanes = _Lanes(width)
        self._departures: dict[int, str] = {}

    def add_departure(self, key: str) -> list[str]:
        ahead = self._lanes.join(key)
        self._departures[self._lanes.taken] = key
        return [ahead] if ahead else []

    def add_arrival(self, key: str) -> list[str]:
        """Wait for earlier departures as well, because they may free the room."""
        ahead = self._lanes.join(key)
        return [*([ahead] if ahead else []), *self.departures]

    @property
    def departures(self) -> Iterable[str]:
        """The last departure of each lane; when these have ended, all have."""
        return self._departures.values()


class _Order:
    """The dependencies that follow from the order of the solution, by host and resource."""

    def __init__(self, per_host: int, groups: Sequence[ServerGroup]) -> None:
        self._hosts: dict[str, _Host] = defaultdict(lambda: _Host(per_host))
        self._last: dict[str, str] = {}
        self._groups = {
            uuid: group.uuid
            for group in groups
            if group.policy in ("affinity", "anti-affinity")
            for uuid in group.members
        }

    def join(self, key: str, action: ProposedAction) -> list[str]:
        """The actions that this one has to wait for."""
        parameters = action.input_parameters
        parents: list[str] = []
        for resource in _text(parameters, "resource_id"):
            for each in (resource, self._groups.get(resource, "")):
                parents += filter(None, [self._last.get(each)])
                if each:
                    self._last[each] = key
        for host in _text(parameters, "source_node"):
            parents.extend(self._hosts[host].add_departure(key))
        for host in _text(parameters, "destination_node"):
            parents.extend(parent for parent in self._hosts[host].add_arrival(key) if parent != key)
        return parents

    def departures(self, action: ProposedAction) -> list[str]:
        """The actions that have to end before a host is empty, if the action disables it then."""
        names = _text(action.input_parameters, "resource_name") if _if_empty(action) else ()
        return [parent for host in names for parent in self._hosts[host].departures]


def _text(parameters: Mapping[str, Any], name: str) -> Iterator[str]:
    """The parameter, if it is a text. In a free-form action it may be anything."""
    value = parameters.get(name)
    if isinstance(value, str) and value:
        yield value


def _if_empty(action: ProposedAction) -> bool:
    return action.input_parameters.get("only_if_empty") is True


def _planned(key: str, action: ProposedAction, parents: list[str]) -> PlannedAction:
    return PlannedAction(
        key,
        action.action_type,
        action.input_parameters,
        tuple(dict.fromkeys(parents)),
        action.reason,
        action.owned,
    )
