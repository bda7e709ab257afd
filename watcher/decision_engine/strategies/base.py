# SPDX-License-Identifier: Apache-2.0
"""The interface of strategies: class attributes, and one method from inputs to a solution."""

from __future__ import annotations

import dataclasses
import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from oslo_config import cfg

from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.scoring import ScoringEngine
from watcher.decision_engine.solution import Solution
from watcher.model.bounds import Bounds
from watcher.model.undone import Undone

if TYPE_CHECKING:  # the model imports NumPy, which many strategies do not need
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel


class Remarks(NamedTuple):
    """Remarks for users about the inputs of a run."""

    undone: Sequence[Undone] = ()
    """Reported with what the strategy leaves undone."""
    if_unmet: Sequence[Undone] = ()
    """Reported as well if a part of the goal is not reached."""
    failed_moves: Sequence[Mapping[str, Any]] = ()
    """The servers that are not tried again yet after failed migrations, as JSON."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All inputs of a strategy.  The same inputs give the same solution.

    The callables read when they are called, so that only what a strategy uses is read.
    They raise a *passing* error if it is not available.
    """

    audit_uuid: str
    audit_type: str
    parameters: Mapping[str, Any]
    """Checked against ``Strategy.schema``, with all defaults filled in."""
    now: datetime.datetime
    seed: int
    """The seed of a random generator; equal for all attempts at a run."""
    compute_model: Callable[[], ComputeModel]
    """The snapshot with the audit's scope applied.  For a strategy that optimizes, restraints
    by earlier plans are applied as well.  ModelUnavailable."""
    cloud: Callable[[], ComputeModel]
    """The snapshot without the scope, with which finished plans are checked. ModelUnavailable."""
    storage_model: Callable[[], StorageModel]
    """The snapshot with the audit's scope applied.  ModelUnavailable."""
    baremetal_model: Callable[[], BaremetalModel]
    """ModelUnavailable."""
    bounds: Callable[[], Bounds]
    """The limits of the plan, for a what-if. A plan that a person starts has none."""
    host_metric: Callable[..., Mapping[str, float]]
    """``(name, hosts, period=, aggregate=, granularity=)`` to {host uuid: value}.

    The values are as if the servers that moved within the period had moved before it.  Hosts for
    which this cannot be computed are left out, as are hosts that were not measured.
    """
    server_metric: Callable[..., Mapping[str, float]]
    """``(name, servers, period=, aggregate=, granularity=)`` to {server uuid: value}."""
    scoring_engine: Callable[[str], ScoringEngine]
    """The scoring engine of a name.  NotFound."""
    options: Any
    """The ``[watcher_strategies.<name>]`` group of the configuration."""
    expected: Callable[[Reading, Sequence[str], Any], Any] = lambda *_: ()
    """``(reading, uuids of servers, measured values)`` to float [hours, servers]: the values that
    are expected in each hour of the clock after the present one.  Hours without known values are
    left out; there are none in a run whose plan a person starts."""
    step: Callable[[], int] = lambda: 0
    """Seconds in which each resource gets one new value of its metrics; 0 if values change at any
    moment."""
    remarks: Callable[[], Remarks] = lambda: Remarks()
    """What there is to say about the inputs that have been read until now."""


class Strategy(ABC):
    """Base of all strategies.

    What each of them moves, and in which order, is said in ``doc/source/user/strategies``.

    The methods import the modules with NumPy (models, algorithms), so that only engines that run
    such audits load NumPy.
    """

    name: ClassVar[str]
    display_name: ClassVar[str]
    goal: ClassVar[str]
    """Name of the goal it serves."""
    schema: ClassVar[Mapping[str, Any]] = {}
    """JSON schema (draft 4) of its parameters; empty: it has none."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that the datasource must have."""
    optional_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that it uses if the datasource has them."""
    planner: ClassVar[str] = "weight"
    optimizes: ClassVar[bool] = True
    """Whether restraints by earlier moves, and the limits of automatic plans, apply to its plans.
    False if a person asks for its actions whatever they cost."""
    checked: ClassVar[bool] = True
    """Whether ``model/plan_checker.py`` checks its plans: a plan that breaks a rule of the cloud
    fails the run.  False if the parameters or the strategy define the actions exactly."""
    chosen_by_goal: ClassVar[bool] = True
    """Whether an audit that names its goal and no strategy may get it."""
    options: ClassVar[tuple[cfg.Opt, ...]] = ()
    """Its own options, for the group ``[watcher_strategies.<name>]``."""

    @classmethod
    def foresees(cls, parameters: Mapping[str, Any]) -> Sequence[Reading]:
        """The metrics of servers for which it calls ``Inputs.expected``.  The engine reads their
        usual values ahead."""
        return ()

    @abstractmethod
    def execute(self, inputs: Inputs) -> Solution:
        raise NotImplementedError
