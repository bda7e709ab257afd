# SPDX-License-Identifier: Apache-2.0
"""What one run hands to its strategy."""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.common import schemas
from watcher.db.models import Audit, AuditRun
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.strategies.base import Inputs, Strategy

if TYPE_CHECKING:
    from watcher.decision_engine.model.collectors import Collectors
    from watcher.decision_engine.model.compute import ComputeModel
    from watcher.decision_engine.model.storage import StorageModel


def make(
    strategy: type[Strategy],
    run: AuditRun,
    now: datetime.datetime,
    cloud: Cloud,
    collectors: Collectors,
    failed_servers: Callable[[], frozenset[str]],
    catalog: Catalog,
    conf: cfg.ConfigOpts,
) -> Inputs:
    """The inputs of a run.  Invalid if its or its audit's parameters do not fit (any more)."""
    audit = run.audit
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
        host_metric=lambda *what, **how: cloud.metrics.host_metric(*what, **how),
        server_metric=lambda *what, **how: cloud.metrics.server_metric(*what, **how),
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
