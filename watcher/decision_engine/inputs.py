# SPDX-License-Identifier: Apache-2.0
"""What one run hands to its strategy."""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from watcher.common import schemas
from watcher.common.errors import NotFound
from watcher.db.models import Audit, AuditRun
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.datasources.choice import Datasources
    from watcher.decision_engine.model.collectors import Collectors
    from watcher.decision_engine.model.compute import ComputeModel
    from watcher.decision_engine.model.storage import StorageModel


def make(
    strategy: type[Strategy],
    run: AuditRun,
    now: datetime.datetime,
    datasources: Datasources,
    collectors: Collectors,
    failed_servers: Callable[[], frozenset[str]],
    catalog: Catalog,
    conf: cfg.ConfigOpts,
) -> Inputs:
    """The inputs of a run.  Invalid if its or its audit's parameters do not fit (any more)."""
    audit = run.audit
    source = functools.cache(lambda: datasources.serving(strategy))
    parameters = {**(audit.parameters or {}), **(run.parameters or {})}
    return Inputs(
        audit_uuid=audit.uuid or "",
        audit_type=audit.audit_type or "",
        parameters=schemas.parameters(strategy.schema, parameters),
        now=now,
        seed=uuid.UUID(run.uuid).int,
        compute_model=functools.cache(lambda: in_scope(collectors.compute(), audit)),
        storage_model=functools.cache(lambda: _storage_model(collectors, audit)),
        baremetal_model=functools.cache(collectors.baremetal),
        failed_servers=failed_servers,
        host_metric=_measure(strategy, lambda: source().host_metric),
        server_metric=_measure(strategy, lambda: source().server_metric),
        scoring_engine=catalog.scoring_engine,
        options=conf[f"watcher_strategies.{strategy.name}"],
    )


def in_scope(model: ComputeModel, audit: Audit) -> ComputeModel:
    """What an audit sees of the cloud."""
    # Scopes bring NumPy: only runs that look at a model pay for that.
    from watcher.decision_engine import scope

    return scope.apply(model, schemas.scope(audit.scope or []))


def _storage_model(collectors: Collectors, audit: Audit) -> StorageModel:
    from watcher.decision_engine import storage_scope

    return storage_scope.apply(collectors.storage(), schemas.scope(audit.scope or []))


def _measure(
    strategy: type[Strategy], method: Callable[[], Callable[..., Mapping[str, float]]]
) -> Callable[..., Mapping[str, float]]:
    """A method of the datasource, which is chosen when it is first used."""

    def measure(name: str, *what: Any, **how: Any) -> Mapping[str, float]:
        try:
            return method()(name, *what, **how)
        except NotFound:
            if name in strategy.optional_metrics:
                return {}
            raise

    return measure
