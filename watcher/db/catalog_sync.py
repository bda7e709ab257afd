# SPDX-License-Identifier: Apache-2.0
"""The rows of goals, strategies and scoring engines, kept as the engines know them.

Rows are matched by name and updated in place, so that whoever refers to one keeps
it.  Call these through ``Database.write``: when engines start at the same time, the
second one finds the rows of the first.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from watcher.common.states import AuditState, AuditType, PlanState
from watcher.db import action_plans, models, runs
from watcher.db.models import Action, ActionPlan, Audit, AuditRun, AuditTemplate
from watcher.db.transitions import move, update_rows

Wanted = Mapping[str, Mapping[str, Any]]
"""Column values by name."""

Named = TypeVar("Named", models.Goal, models.Strategy, models.ScoringEngine)


def write(session: Session, table: type[Named], wanted: Wanted) -> dict[str, Named]:
    """Insert or update a row for each name; all live rows of the table by name."""
    rows = {row.name: row for row in session.scalars(select(table).where(table.deleted == 0))}
    for name, values in wanted.items():
        if name not in rows:
            rows[name] = table(uuid=models.new_uuid(), name=name)
            session.add(rows[name])
        for column, value in values.items():
            setattr(rows[name], column, value)
    session.flush()
    return rows


def remove(session: Session, rows: Sequence[Named], now: datetime.datetime) -> None:
    """Soft-delete rows of plug-ins that are gone, and end what can go on no more."""
    for row in rows:
        row.deleted, row.deleted_at = row.id, now
        if isinstance(row, models.Goal):
            why = f"The goal '{row.name}' is no longer installed."
            _cancel_audits(session, Audit.goal_id == row.id, why, now)
        elif isinstance(row, models.Strategy):
            why = f"The strategy '{row.name}' is no longer installed."
            _cancel_audits(session, Audit.strategy_id == row.id, why, now)
            _cancel_plans(session, row.id, why)
            of_it = (AuditTemplate.strategy_id == row.id, AuditTemplate.deleted == 0)
            update_rows(session, AuditTemplate, *of_it, strategy_id=None)
    session.flush()


def _cancel_audits(
    session: Session, which: ColumnElement[bool], why: str, now: datetime.datetime
) -> None:
    for audit_type in AuditType.ALL:
        unfinished = (
            which,
            Audit.deleted == 0,
            Audit.audit_type == audit_type,
            Audit.state.not_in(AuditState.OVER[audit_type]),
        )
        of_them = AuditRun.audit_id.in_(select(Audit.id).where(*unfinished))
        runs.cancel_waiting(session, of_them, now, why)
        move(
            session,
            Audit,
            AuditState.BY_ENGINE,
            AuditState.CANCELLED,
            *unfinished,
            status_message=why,
        )


def _cancel_plans(session: Session, strategy_id: int, why: str) -> None:
    """Plans that somebody accepted are carried out all the same: they need no strategy."""
    recommended = (
        ActionPlan.strategy_id == strategy_id,
        ActionPlan.deleted == 0,
        ActionPlan.state == PlanState.RECOMMENDED,
    )
    action_plans.cancel_actions(
        session, Action.action_plan_id.in_(select(ActionPlan.id).where(*recommended))
    )
    move(
        session,
        ActionPlan,
        PlanState.BY_ENGINE,
        PlanState.CANCELLED,
        *recommended,
        status_message=why,
    )
