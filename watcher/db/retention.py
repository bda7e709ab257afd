# SPDX-License-Identifier: Apache-2.0
"""Removal of old events, runs and plans, which would otherwise grow without bound.

Each function removes a limited number of rows in short transactions, and is called until it
returns 0.
"""

import datetime
import itertools
from typing import Any, Final

from sqlalchemy import Select, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from watcher.common.states import AuditType, PlanState
from watcher.db import counters, models, purge
from watcher.db.models import Action, ActionPlan, Audit, AuditEvent, AuditRun
from watcher.db.session import Database
from watcher.db.transitions import update_rows

BATCH = 1000

REPLACED_DAYS: Final = 7
"""Days after which a plan is removed that a younger plan of the same CONTINUOUS audit replaced."""

PLANS: Final = 200
"""Plans that one call removes."""

_ENDED: Final = (PlanState.SUCCEEDED, PlanState.FAILED, PlanState.CANCELLED, PlanState.SUPERSEDED)


def remove_events(session: Session, before: datetime.datetime) -> int:
    """Remove up to ``BATCH`` events from *before* a time.  Returns their number.

    Events that wait for a run, or whose run waits or is under way, stay, whatever their age.
    """
    active = exists().where(AuditRun.id == AuditEvent.run_id, AuditRun.slot.is_not(None))
    last = 0
    while True:
        # In the order of arrival, so that the query stops before the younger events.
        rows = session.execute(
            select(AuditEvent.id, AuditEvent.received_at, AuditEvent.inbox.is_not(None) | active)
            .where(AuditEvent.id > last)
            .order_by(AuditEvent.id)
            .limit(BATCH)
        ).all()
        old = list(itertools.takewhile(lambda row: row[1] < before, rows))
        ids = [event_id for event_id, _, stays in old if not stays]
        if ids or len(old) < BATCH:
            break
        last = old[-1][0]
    if ids:
        _delete(session, AuditEvent, ids)
    return len(ids)


def remove_plans(
    database: Database, before: datetime.datetime, replaced_before: datetime.datetime
) -> int:
    """Remove some plans that no applier has claimed and that ended *before* a time.

    Plans of CONTINUOUS audits that a younger plan replaced before *replaced_before* are removed as
    well.  Plans of the former service stay.  Returns the number of plans.
    """
    with database.reader() as session:
        plans = (
            session.scalars(_unstarted(before).limit(PLANS)).all()
            or session.scalars(
                _unstarted(replaced_before)
                .where(
                    ActionPlan.state == PlanState.CANCELLED,
                    Audit.audit_type == AuditType.CONTINUOUS,
                )
                .limit(PLANS)
            ).all()
        )
        actions = session.scalars(select(Action.id).where(Action.action_plan_id.in_(plans))).all()
    tables = models.Base.metadata.tables
    purge.remove(database, {tables["action_plans"]: plans, tables["actions"]: actions})
    return len(plans)


def _unstarted(before: datetime.datetime) -> Select[int]:
    """Ids of plans of this service that ended *before* a time and that no applier has claimed."""
    ended_at = func.coalesce(ActionPlan.updated_at, ActionPlan.created_at)
    ours = exists().where(
        AuditRun.audit_id == ActionPlan.audit_id,
        or_(AuditRun.action_plan_id == ActionPlan.id, AuditRun.created_at <= ended_at),
    )
    return (
        select(ActionPlan.id)
        .join(Audit, Audit.id == ActionPlan.audit_id)
        .where(
            ActionPlan.hostname.is_(None),
            ActionPlan.state.in_(_ENDED),
            ActionPlan.created_at < before,  # for the index
            ended_at < before,
            ActionPlan.deleted == 0,
            ours,
        )
    )


def remove_runs(session: Session, before: datetime.datetime) -> int:
    """Remove up to ``BATCH`` runs that ended *before* a time.  Returns their number.

    A run whose plan was never started stays as long as the plan.
    """
    waits = exists().where(
        ActionPlan.id == AuditRun.action_plan_id,
        ActionPlan.hostname.is_(None),
        ActionPlan.deleted == 0,
    )
    ids = session.scalars(
        select(AuditRun.id)
        .where(AuditRun.finished_at < before, AuditRun.slot.is_(None), ~waits)
        .order_by(AuditRun.finished_at)
        .limit(BATCH)
    ).all()
    if ids:
        update_rows(session, AuditEvent, AuditEvent.run_id.in_(ids), run_id=None)
        _delete(session, AuditRun, ids)
    return len(ids)


def _delete(session: Session, row: Any, ids: Any) -> None:
    rows = row.id.in_(ids)
    with counters.preserved(session, row.__table__, rows):
        session.execute(delete(row).where(rows).execution_options(synchronize_session=False))
