# SPDX-License-Identifier: Apache-2.0
"""The one strategy of a simulation: it disables a host or not, moves servers or not."""

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from watcher.applier.actions.change_nova_service_state import ChangeNovaServiceState
from watcher.applier.actions.migrate import Migrate
from watcher.cloud.compute import DISABLED
from watcher.decision_engine.goals import Goal
from watcher.decision_engine.planners import NodeResourceConsolidationPlanner
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy

REASON = "The simulation wants it"


class Shuffle(Goal):
    name = "shuffle"
    display_name = "Shuffle"


class Shuffling(Strategy):
    """The seed of the run and the state of the cloud decide its actions."""

    name = "shuffling"
    display_name = "Shuffling"
    goal = "shuffle"
    planner = "node_resource_consolidation"
    optimizes = False
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"level": {"type": "integer"}},
    }
    seen: ClassVar[Callable[..., None]]
    """Called at the beginning and at the end of ``execute``."""
    think: ClassVar[Callable[[], None]]
    """Lets virtual time pass."""

    def execute(self, inputs: Inputs) -> Solution:
        cls = type(self)
        cls.seen("look", inputs.audit_uuid, inputs.seed, inputs.parameters.get("level"))
        model = inputs.compute_model()
        cls.think()
        choice = random.Random(inputs.seed)
        solution = SolutionBuilder()
        hosts = {host.hostname: host for host in model.hosts}
        servers = [server for server in model.servers if server.migratable]
        kind = choice.choice(("nothing", "move", "move", "for a while", "for a while", "empty"))
        if kind == "nothing" or not servers:
            return solution.build()
        source = hosts[choice.choice(servers).host]
        others = [host for host in model.hosts if host.available and host is not source]
        if not others or not source.available:
            return solution.build()
        if kind != "move":
            solution.disable(source, DISABLED, REASON)
        leaving = [server for server in servers if server.host == source.hostname]
        for server in leaving if kind == "empty" else leaving[:2]:
            solution.migrate(server, choice.choice(others), REASON)
        if kind == "for a while":
            solution.enable(source, REASON)
        return solution.build()


_PLUGINS: Mapping[str, Mapping[str, Any]] = {
    "watcher_goals": {Shuffle.name: Shuffle},
    "watcher_strategies": {Shuffling.name: Shuffling},
    "watcher_planners": {Shuffling.planner: NodeResourceConsolidationPlanner},
    "watcher_actions": {action.name: action for action in (ChangeNovaServiceState, Migrate)},
}


def load(
    real: Callable[..., Mapping[str, Any]], namespace: str, *arguments: Any
) -> Mapping[str, Any]:
    """The plug-ins of a simulation; for other namespaces, those that *real* finds."""
    if namespace not in _PLUGINS:
        return real(namespace, *arguments)
    return _PLUGINS[namespace]


def names(namespace: str) -> frozenset[str]:
    """The names of what is installed in a simulation."""
    return frozenset(_PLUGINS.get(namespace, ()))
