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
from watcher.common import schemas
from watcher.common.errors import NotFound
from watcher.db.models import Audit, AuditRun
from watcher.db.moves import EarlierMove
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.feedback.recent_moves import HostLoads
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone
from watcher.model.bounds import UNBOUND, Bounds
from watcher.model.undone import Undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where the inputs of all runs and reviews come from."""

    conf: cfg.ConfigOpts
    cloud: Cloud
    catalog: Catalog
    collectors: Collectors
    datasources: Datasources

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, cloud: Cloud) -> Sources:
        datasources = Datasources(conf, cloud.own_metrics)
        return cls(conf, cloud, Catalog(conf), Collectors(conf, cloud), datasources)


class Earlier(NamedTuple):
    """What a run needs to know about earlier runs."""

    moves: Sequence[EarlierMove]
    """Actions of all audits, the oldest first, as long as they matter."""
    max_actions: int | None
    """How many actions the audit's webhook lets a plan have."""


def make(
    strategy: type[Strategy],
    run: AuditRun,
    now: datetime.datetime,
    sources: Sources,
    earlier: Callable[[], Earlier],
) -> Inputs:
    """The inputs of a run.  Invalid if its parameters, or those of its audit, do not fit (any
    more)."""
    audit, conf, collectors = run.audit, sources.conf, sources.collectors
    # A plan that a person starts has no limits except those of the cloud.
    bound = strategy.optimizes and audit.auto_trigger
    before = functools.cache(earlier)
    cloud = functools.cache(collectors.compute)
    remarks: list[Undone] = []
    failed_moves: list[Mapping[str, Any]] = []

    @functools.cache
    def compute_model() -> ComputeModel:
        model = in_scope(cloud(), audit)
        remarks.extend(_scope_remarks(cloud(), model, audit))
        if not strategy.optimizes:
            return model
        from watcher.decision_engine.feedback import restraints

        failed = restraints.failures(before().moves, conf, now)
        failed_moves.extend(restraints.failed_moves(model, failed))
        return restraints.restrained(
            model, failed, before().moves, audit.id, audit.goal_id, conf, now, bound=bound
        )

    @functools.cache
    def bounds() -> Bounds:
        if not bound:
            return UNBOUND
        from watcher.decision_engine.feedback import restraints

        limit = before().max_actions
        return restraints.bounds(compute_model(), before().moves, conf, now, limit)

    source = functools.cache(lambda: sources.datasources.serving(strategy))
    loads = HostLoads(
        now,
        source,
        lambda since: sources.cloud.compute.migrations(since),
        lambda: cloud().servers,
    )
    parameters = {**(audit.parameters or {}), **(run.parameters or {})}
    return Inputs(
        audit_uuid=audit.uuid or "",
        audit_type=audit.audit_type or "",
        parameters=schemas.parameters(strategy.schema, parameters),
        now=now,
        seed=uuid.UUID(run.uuid).int,
        compute_model=compute_model,
        cloud=cloud,
        storage_model=functools.cache(lambda: _storage_model(collectors, audit)),
        baremetal_model=functools.cache(collectors.baremetal),
        bounds=bounds,
        host_metric=_measure(strategy, lambda: loads.metric),
        server_metric=_measure(strategy, lambda: source().server_metric),
        scoring_engine=sources.catalog.scoring_engine,
        options=conf[f"watcher_strategies.{strategy.name}"],
        remarks=remarks,
        failed_moves=failed_moves,
    )


def in_scope(model: ComputeModel, audit: Audit) -> ComputeModel:
    """What an audit sees of the cloud."""
    # Scopes import NumPy, so only runs that read a model load it.
    from watcher.model import scope

    return scope.apply(model, schemas.scope(audit.scope or []))


def _scope_remarks(whole: ComputeModel, part: ComputeModel, audit: Audit) -> list[Undone]:
    from watcher.model import scope

    unknown = scope.unknown(whole, schemas.scope(audit.scope or []))
    remarks = undone.unknown(unknown, "of the scope, unknown to the cloud")
    if not part.hosts:
        remarks.append(Undone("empty_scope", 0, text="The audit's scope has no host"))
    return remarks


def _storage_model(collectors: Collectors, audit: Audit) -> StorageModel:
    from watcher.model import storage_scope

    return storage_scope.apply(collectors.storage(), schemas.scope(audit.scope or []))


def _measure(
    strategy: type[Strategy], method: Callable[[], Callable[..., Mapping[str, float]]]
) -> Callable[..., Mapping[str, float]]:
    """A method of the datasource, which is chosen at the first use."""

    def measure(name: str, *what: Any, **how: Any) -> Mapping[str, float]:
        try:
            return method()(name, *what, **how)
        except NotFound:
            if name in strategy.optional_metrics:
                return {}
            raise

    return measure
