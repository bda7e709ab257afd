# SPDX-License-Identifier: Apache-2.0
"""The inputs that a run gives to its strategy."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.cloud.metrics import Metrics
from watcher.common import schemas
from watcher.common.errors import Invalid, MetricsUnavailable, NotFound
from watcher.common.states import AuditType
from watcher.db.models import Audit, AuditRun
from watcher.db.moves import EarlierMove
from watcher.decision_engine import same_metrics
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.datasources import host_names
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.datasources.plausible import plausible
from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.feedback.recent_moves import HostLoads
from watcher.decision_engine.strategies.base import Inputs, Remarks, Strategy
from watcher.decision_engine.usual_loads import UsualLoads
from watcher.model import undone
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.undone import Undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel


_LONGEST = 10 * 365 * 24 * 60 * 60


@dataclasses.dataclass(frozen=True)
class Sources:
    """The objects from which the inputs of all runs and reviews are made."""

    conf: cfg.ConfigOpts
    cloud: Cloud
    catalog: Catalog
    collectors: Collectors
    datasources: Datasources
    usual_loads: UsualLoads

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, cloud: Cloud) -> Sources:
        datasources = Datasources(conf, cloud.own_metrics)
        collectors, usual_loads = Collectors(conf, cloud), UsualLoads(conf)
        return cls(conf, cloud, Catalog(conf), collectors, datasources, usual_loads)

    def look_ahead(self, audit: Audit, now: datetime.datetime) -> None:
        """Read the usual loads for which the next runs of *audit* ask.  Errors of Watcher."""
        strategy = self.catalog.strategy_of(audit)
        servers = functools.cache(lambda: self.collectors.compute().servers)
        for reading in strategy.foresees(_parameters(strategy, audit.parameters)):
            self.usual_loads.read(self.datasources.serving(strategy), reading, servers, now)


class Earlier(NamedTuple):
    """The facts from the database that restrain a run."""

    moves: Sequence[EarlierMove]
    """Recent moves of the plans of all audits, the oldest first."""
    max_actions: int | None
    """How many actions a plan may have, by the webhook of the audit; None: any number."""


class _ComputeModel(NamedTuple):
    """The compute model of a run, and what there is to say about it."""

    model: ComputeModel
    remarks: Remarks


@dataclasses.dataclass(frozen=True)
class _Restraints:
    """The scope of a run, the effect of earlier moves on it, and the limits of its plan."""

    strategy: type[Strategy]
    audit: Audit
    conf: cfg.ConfigOpts
    now: datetime.datetime
    earlier: Callable[[], Earlier]

    @property
    def automatic(self) -> bool:
        """Whether the plan starts on its own and is limited.  A plan that a person starts is
        limited by the cloud only."""
        return bool(self.strategy.optimizes and self.audit.auto_trigger)

    def compute_model(self, cloud: ComputeModel) -> _ComputeModel:
        """The part of *cloud* in the audit's scope, with the restraints."""
        model, audit = in_scope(cloud, self.audit), self.audit
        unknown = _unknown_in_scope(cloud, model, audit)
        if not self.strategy.optimizes:
            return _ComputeModel(model, Remarks(unknown))
        from watcher.decision_engine.feedback import restraints

        moves = self.earlier().moves
        failed = restraints.failures(moves, self.conf, self.now)
        now, by = self.now, (audit.id, audit.goal_id)
        restrained = restraints.restrained(
            model, failed, moves, *by, self.conf, now, automatic=self.automatic
        )
        remarks = Remarks(
            unknown, restraints.closed_hosts(restrained), restraints.failed_moves(model, failed)
        )
        return _ComputeModel(restrained, remarks)

    def bounds(self, compute: Callable[[], _ComputeModel]) -> Bounds:
        if not self.automatic:
            return UNBOUND
        from watcher.decision_engine.feedback import restraints

        moves, max_actions = self.earlier()
        return restraints.bounds(compute().model, moves, self.conf, self.now, max_actions)


def make(
    strategy: type[Strategy],
    run: AuditRun,
    now: datetime.datetime,
    sources: Sources,
    earlier: Callable[[], Earlier],
) -> Inputs:
    """The inputs of a run.  Invalid if its parameters, or those of its audit, do not fit the
    strategy's schema."""
    audit, conf, collectors = run.audit, sources.conf, sources.collectors
    restraints = _Restraints(strategy, audit, conf, now, functools.cache(earlier))
    cloud = functools.cache(collectors.compute)
    compute = functools.cache(lambda: restraints.compute_model(cloud()))
    metrics = _Metrics(strategy, now, sources, cloud)
    parameters = _parameters(strategy, audit.parameters, run.parameters)

    def remarks() -> Remarks:
        # Remarks alone are no reason to read the model.
        known = compute().remarks if compute.cache_info().currsize else Remarks()
        return known._replace(undone=[*known.undone, *metrics.undone()])

    return Inputs(
        audit_uuid=audit.uuid or "",
        audit_type=audit.audit_type or "",
        parameters=parameters,
        now=now,
        seed=uuid.UUID(run.uuid).int,
        compute_model=lambda: compute().model,
        cloud=cloud,
        storage_model=functools.cache(lambda: _storage_model(collectors, audit)),
        baremetal_model=functools.cache(collectors.baremetal),
        bounds=functools.cache(lambda: restraints.bounds(compute)),
        host_metric=metrics.of_hosts,
        server_metric=metrics.of_servers,
        scoring_engine=sources.catalog.scoring_engine,
        options=conf[f"watcher_strategies.{strategy.name}"],
        expected=_expected(restraints, metrics.source, sources.usual_loads),
        step=lambda: metrics.step(parameters.get("granularity", 0)),
        remarks=remarks,
    )


def _parameters(strategy: type[Strategy], *given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """All parameters, of which the last *given* ones count.  Invalid if they do not fit the
    strategy's schema, or for a time of more than ten years."""
    merged = {name: value for each in given if each for name, value in each.items()}
    parameters: Mapping[str, Any] = schemas.parameters(strategy.schema, merged)
    times = {name: parameters.get(name) for name in ("period", "granularity")}
    if isinstance(periods := parameters.get("periods"), Mapping):
        times |= {f"periods.{name}": periods[name] for name in periods}
    for name, seconds in times.items():
        if isinstance(seconds, int | float) and seconds > _LONGEST:
            raise Invalid(f"{name}: must not be more than {_LONGEST} seconds, ten years.")
    return parameters


def in_scope(model: ComputeModel, audit: Audit) -> ComputeModel:
    """The part of the cloud that is in the scope of an audit."""
    # Scopes import NumPy, so only runs that read a model load it.
    from watcher.model import scope

    return scope.apply(model, schemas.scope(audit.scope or []))


def _unknown_in_scope(whole: ComputeModel, part: ComputeModel, audit: Audit) -> list[Undone]:
    from watcher.model import scope

    unknown = scope.unknown(whole, schemas.scope(audit.scope or []))
    remarks = undone.unknown(unknown, "of the scope, unknown to the cloud")
    if not part.hosts:
        remarks.append(Undone("empty_scope", 0, text="The audit's scope has no host"))
    return remarks


def _storage_model(collectors: Collectors, audit: Audit) -> StorageModel:
    from watcher.model import storage_scope

    return storage_scope.apply(collectors.storage(), schemas.scope(audit.scope or []))


class _Metrics:
    """The metrics of a run, and what there is to say about them.

    The datasource is chosen at the first use.  If a metric that the strategy must have has no
    values, the datasource is asked whether it exists.  Impossible values are left out.
    """

    def __init__(
        self,
        strategy: type[Strategy],
        now: datetime.datetime,
        sources: Sources,
        cloud: Callable[[], ComputeModel],
    ) -> None:
        self._strategy, self._cloud = strategy, cloud
        self.source = functools.cache(lambda: sources.datasources.serving(strategy))
        self._loads = HostLoads(
            now,
            self.source,
            lambda since: sources.cloud.compute.migrations(since),
            lambda: cloud().servers,
        )
        self._impossible: list[Undone] = []

    def of_hosts(self, name: str, hosts: Sequence[Any], **how: Any) -> Mapping[str, float]:
        return self._measured(self._loads.metric, name, hosts, how)

    def of_servers(self, name: str, servers: Sequence[Any], **how: Any) -> Mapping[str, float]:
        return self._measured(self.source().server_metric, name, servers, how)

    def step(self, granularity: float) -> int:
        """See ``Inputs.step``."""
        reads = granularity and self._strategy.metrics
        return same_metrics.step_of(self.source, granularity) if reads else 0

    def undone(self) -> list[Undone]:
        """Impossible values, and names in the datasource that match no host of the cloud."""
        unmatched = self._loads.unmatched
        unknown = host_names.unknown(unmatched, self._cloud().hosts) if unmatched else ()
        return [
            *self._impossible,
            *undone.unknown(unknown, "of hosts in the datasource, unknown to the cloud"),
        ]

    def _measured(
        self,
        ask: Callable[..., Mapping[str, float]],
        name: str,
        resources: Sequence[Any],
        how: Mapping[str, Any],
    ) -> Mapping[str, float]:
        optional = name in self._strategy.optional_metrics
        try:
            values = ask(name, resources, **how)
        except NotFound:
            if optional:
                return {}
            raise
        if resources and not values and not optional and not self.source().available(name):
            raise MetricsUnavailable(_missing(self.source(), name))
        values, found = plausible(name, resources, values)
        self._impossible += [each for each in found if each not in self._impossible]
        return values


def _expected(
    restraints: _Restraints, source: Callable[[], Metrics], usual_loads: UsualLoads
) -> Callable[[Reading, Sequence[str], Any], Any]:
    """A plan of a ONESHOT audit, or that a person starts, puts right only what is measured."""
    if not restraints.automatic or restraints.audit.audit_type == AuditType.ONESHOT:
        return lambda *_: ()
    return lambda reading, servers, values: usual_loads.expected(
        source(), reading, restraints.now, servers, values
    )


def _missing(source: Metrics, name: str) -> str:
    own: str = getattr(source, "metrics", {}).get(name, name)
    return (
        f"Datasource {source.name} has nothing named {own}, its name of metric {name}; see "
        "[watcher_decision_engine] metric_map_path."
    )
