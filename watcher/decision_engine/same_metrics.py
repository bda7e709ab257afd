# SPDX-License-Identifier: Apache-2.0
"""When the run of an alarm waits, because it would read the same metrics as the last one.

A datasource such as gnocchi has one value of each resource in a granule.  An alarm that is
repeated each minute causes runs that read the same values.  If a run has found nothing to do, the
next one waits until all values are new, unless the cloud has changed; meanwhile alarms join it.
"""

import datetime
import hashlib
from collections.abc import Callable

from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.cloud.metrics import Metrics
from watcher.common.errors import WatcherError
from watcher.common.states import AuditState, AuditType
from watcher.db import run_ends, runs
from watcher.db.models import AuditRun
from watcher.db.session import Database
from watcher.decision_engine.strategies.base import Inputs


def step_of(source: Callable[[], Metrics], granularity: float) -> int:
    """Seconds in which each resource of a datasource gets one new value; 0 if values change at
    any moment, or none answers."""
    try:
        step = getattr(source(), "step", None)
    except WatcherError:
        return 0
    return int(step(granularity)) if step else 0


def digest(inputs: Inputs) -> str | None:
    """A digest of the cloud and the parameters that a run is given; None if metrics change at
    any moment."""
    if not inputs.step():
        return None
    model = inputs.compute_model()
    hashed = hashlib.sha256()
    for part in (
        sorted(inputs.parameters.items()),
        [(host.hostname, host.state, host.status) for host in model.hosts],
        [(server.uuid, server.host, server.state, server.vcpus) for server in model.servers],
        model.movable.tolist(),
    ):
        hashed.update(repr(part).encode())
    return hashed.hexdigest()


def postpone(database: Database, run: AuditRun, inputs: Inputs) -> bool:
    """Let the run of an alarm wait if the last run of its audit found nothing to do, and read
    the same.  True if it waits, or has ended because its audit was cancelled."""
    if run.audit.audit_type != AuditType.EVENT:
        return False
    with database.reader() as session:
        last = runs.last_ended(session, run.audit_id)
    if last is None or last.cloud_digest is None or last.started_at is None:
        return False
    now = timeutils.utcnow()
    until = min(last.started_at, now) + datetime.timedelta(seconds=inputs.step())
    if until <= now or digest(inputs) != last.cloud_digest:
        return False
    database.write(lambda session: _wait(session, run, now, until))
    return True


def _wait(
    session: Session, run: AuditRun, now: datetime.datetime, until: datetime.datetime
) -> None:
    if run_ends.move_audit(session, run, AuditState.SUCCEEDED, now):  # as the last run left it
        run_ends.put_back(session, run, now, not_before=until, wait_reason=runs.SAME_METRICS)
