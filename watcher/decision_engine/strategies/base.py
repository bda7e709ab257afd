# SPDX-License-Identifier: Apache-2.0
"""What a strategy is: facts as class attributes, and one method from inputs to solution."""

from __future__ import annotations

import dataclasses
import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from oslo_config import cfg

from watcher.decision_engine.scoring import ScoringEngine
from watcher.decision_engine.solution import Solution
from watcher.model.bounds import Bounds
from watcher.model.undone import Undone

if TYPE_CHECKING:  # the model brings NumPy, which many a strategy never needs
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All that a strategy may look at.  The same inputs give the same solution.

    The callables do their work when they are called, so that a strategy pays only
    for what it uses, and raise a *passing* error when the thing is not there.
    """

    audit_uuid: str
    audit_type: str
    parameters: Mapping[str, Any]
    """Checked against ``Strategy.schema``, with all defaults filled in."""
    now: datetime.datetime
    seed: int
    """For a random generator of the strategy's own; equal for all attempts at a run."""
    compute_model: Callable[[], ComputeModel]
    """The snapshot with the audit's scope applied; of a strategy that optimizes also with
    what earlier plans forbid.  ModelUnavailable."""
    cloud: Callable[[], ComputeModel]
    """The snapshot without the scope, which finished plans are checked on.  ModelUnavailable."""
    storage_model: Callable[[], StorageModel]
    """The snapshot with the audit's scope applied.  ModelUnavailable."""
    baremetal_model: Callable[[], BaremetalModel]
    """ModelUnavailable."""
    bounds: Callable[[], Bounds]
    """How much the plan may do: for a what-if.  Nothing binds one that a person starts."""
    host_metric: Callable[..., Mapping[str, float]]
    """``(name, hosts, period=, aggregate=, granularity=)`` to {host uuid: value}.

    As if the servers that moved within the period had moved before it; a host of which that
    cannot be told is left out, as one that was not measured.
    """
    server_metric: Callable[..., Mapping[str, float]]
    """``(name, servers, period=, aggregate=, granularity=)`` to {server uuid: value}."""
    scoring_engine: Callable[[str], ScoringEngine]
    """The scoring engine of a name.  NotFound."""
    options: Any
    """The ``[watcher_strategies.<name>]`` group of the configuration."""
    remarks: list[Undone] = dataclasses.field(default_factory=list)
    """What came up while the inputs were made, and is said with what the strategy left."""
    failed_moves: list[Mapping[str, Any]] = dataclasses.field(default_factory=list)
    """The servers that are not tried again yet after failed migrations, as users see them."""


class Strategy(ABC):
    """Base of all strategies."""

    name: ClassVar[str]
    display_name: ClassVar[str]
    goal: ClassVar[str]
    """Name of the goal it serves."""
    schema: ClassVar[Mapping[str, Any]] = {}
    """JSON schema (draft 4) of its parameters; empty: it has none."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that the datasource must have."""
    optional_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that it uses as well; of a datasource that lacks one it gets no values."""
    planner: ClassVar[str] = "weight"
    optimizes: ClassVar[bool] = True
    """Whether it makes good better, and so keeps within bounds; False for what somebody
    asks for, whatever it costs."""
    checked: ClassVar[bool] = True
    """Whether a plan that breaks a rule of the cloud fails the run; False where the parameters
    or the strategy say the actions word for word."""
    chosen_by_goal: ClassVar[bool] = True
    """Whether an audit that names its goal and no strategy may get it."""
    options: ClassVar[tuple[cfg.Opt, ...]] = ()
    """Its own options, for the group ``[watcher_strategies.<name>]``."""

    @abstractmethod
    def execute(self, inputs: Inputs) -> Solution:
        raise NotImplementedError
