# SPDX-License-Identifier: Apache-2.0
"""All that packages with plug-ins for Watcher import, from one place.

    from watcher.plugins import Goal, Inputs, Solution, SolutionBuilder, Strategy

What is named here keeps its name and its meaning; a release note tells of a change one release
before it comes.  Everything else in Watcher may change at any time.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from watcher.applier.actions.base import Action as Action
from watcher.applier.actions.base import ActionFailed as ActionFailed
from watcher.applier.actions.base import ActionTools as ActionTools
from watcher.applier.actions.base import Skip as Skip
from watcher.applier.actions.server_action import ServerAction as ServerAction
from watcher.cloud import Cloud as Cloud
from watcher.cloud.compute import Host as Host
from watcher.cloud.compute import Server as Server
from watcher.cloud.compute import ServerGroup as ServerGroup
from watcher.common.errors import CloudRefused as CloudRefused
from watcher.common.errors import CloudUnavailable as CloudUnavailable
from watcher.common.errors import Invalid as Invalid
from watcher.common.errors import MetricsUnavailable as MetricsUnavailable
from watcher.common.errors import ModelUnavailable as ModelUnavailable
from watcher.common.errors import NotConfigured as NotConfigured
from watcher.common.errors import NotFound as NotFound
from watcher.common.errors import WatcherError as WatcherError
from watcher.db.action_plans import PlannedAction as PlannedAction
from watcher.decision_engine.collectors.collectors import Collector as Collector
from watcher.decision_engine.datasources.source import Datasource as Datasource
from watcher.decision_engine.datasources.source import DatasourceTools as DatasourceTools
from watcher.decision_engine.efficacy import Indicator as Indicator
from watcher.decision_engine.efficacy import Ratio as Ratio
from watcher.decision_engine.efficacy import Specification as Specification
from watcher.decision_engine.goals import Goal as Goal
from watcher.decision_engine.planners import Planner as Planner
from watcher.decision_engine.scoring import ScoringContainer as ScoringContainer
from watcher.decision_engine.scoring import ScoringEngine as ScoringEngine
from watcher.decision_engine.solution import ProposedAction as ProposedAction
from watcher.decision_engine.solution import Solution as Solution
from watcher.decision_engine.solution import SolutionBuilder as SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs as Inputs
from watcher.decision_engine.strategies.base import Strategy as Strategy
from watcher.decision_engine.strategies.trial import inputs as trial_inputs  # noqa: F401
from watcher.model.undone import Undone as Undone
from watcher.webhooks.parsers import Parser as AlarmFormat  # noqa: F401

if TYPE_CHECKING:
    from watcher.model.compute import DISK as DISK
    from watcher.model.compute import MEMORY as MEMORY
    from watcher.model.compute import VCPU as VCPU
    from watcher.model.compute import ComputeModel as ComputeModel
    from watcher.model.whatif import WhatIf as WhatIf

KINDS: Final[Mapping[str, Any]] = {
    "watcher_goals": Goal,
    "watcher_strategies": Strategy,
    "watcher_planners": Planner,
    "watcher_scoring_engines": ScoringEngine,
    "watcher_scoring_engine_containers": ScoringContainer,
    "watcher_actions": Action,
    "watcher_datasources": Datasource,
    "watcher_cluster_data_model_collectors": Collector,
    "watcher_alarm_formats": Callable,
}
"""Namespace of entry points to the class that its plug-ins derive from, or whose methods they
have."""

_WITH_NUMPY = {"WhatIf": "whatif"} | dict.fromkeys(
    ("ComputeModel", "VCPU", "MEMORY", "DISK"), "compute"
)


def __getattr__(name: str) -> Any:
    """Import models when they are first used: they import NumPy, which appliers do not need."""
    if name not in _WITH_NUMPY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"watcher.model.{_WITH_NUMPY[name]}"), name)
