# SPDX-License-Identifier: Apache-2.0
"""The rows of the goals, strategies and scoring engines that are installed.

The decision engine writes them when it starts, and the API reads them.  Rows are matched by name
and updated in place, so that references to them stay valid.  Call ``write`` and ``remove`` through
``Database.write``: when engines start at the same time, the second one finds the rows of the first.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, contains_eager

from watcher.common.states import AuditState, AuditType, PlanState
from watcher.db import action_plans, lookup, models, paging, runs
from watcher.db.lookup import is_uuid
from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    AuditRun,
    AuditTemplate,
    Goal,
    ScoringEngine,
    Strategy,
)
from watcher.db.rows import OF_GOAL, Rows
from watcher.db.transitions import move, update_rows

Wanted = Mapping[str, Mapping[str, Any]]
"""Column values by name."""

Named = TypeVar("Named", Goal, Strategy, ScoringEngine)


_GOAL = contains_eager(Strategy.goal).load_only(Goal.uuid, Goal.name, Goal.deleted)
_GOALS = Rows[Goal](Goal, "goal")
_STRATEGIES = Rows[Strategy](
    Strategy,
    "strategy",
    joined=(Strategy.goal,),
    keys=paging.sort_keys(Strategy, goal_uuid=Goal.uuid, goal_name=Goal.name),
    filters={"goal": OF_GOAL},
    shown=(_GOAL,),
)
_ENGINES = Rows[ScoringEngine](ScoringEngine, "scoring engine")

goals = _GOALS.list_page
strategy, strategies = _STRATEGIES.get, _STRATEGIES.list_page
scoring_engine, scoring_engines = _ENGINES.get, _ENGINES.list_page


def goal(session: Session, ident: str) -> Goal:
    """The goal with a UUID, or with a name, whose case is ignored.  NotFound."""
    if is_uuid(ident):
        return _GOALS.get(session, ident)
    alike = func.lower(Goal.name) == ident.lower()
    wanted = select(Goal).where(Goal.deleted == 0, alike).order_by(Goal.name != ident).limit(1)
    return lookup.first(session, wanted, f"goal {ident}")


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
    """Soft-delete rows of plug-ins that are gone; audits and plans that need them end."""
    for row in rows:
        row.deleted, row.deleted_at = row.id, now
        _end(session, row, now)
    session.flush()


def end_what_is_left(session: Session, now: datetime.datetime) -> None:
    """End what belongs to goals and strategies that the former service has deleted.

    If a plug-in of the same name is installed, what belongs to it goes on.
    """
    tables: tuple[Any, ...] = (Goal, Strategy)
    for table in tables:
        live = select(table.name).where(table.deleted == 0)
        left = select(table).where(table.deleted != 0, table.name.not_in(live))
        for row in session.scalars(left):
            _end(session, row, now)


def _end(session: Session, row: Goal | Strategy | ScoringEngine, now: datetime.datetime) -> None:
    if isinstance(row, Goal):
        why = f"The goal '{row.name}' is no longer installed."
        _cancel_audits(session, Audit.goal_id == row.id, why, now)
    elif isinstance(row, Strategy):
        why = f"The strategy '{row.name}' is no longer installed."
        _cancel_audits(session, Audit.strategy_id == row.id, why, now)
        _cancel_plans(session, row.id, why)
        of_it = (AuditTemplate.strategy_id == row.id, AuditTemplate.deleted == 0)
        update_rows(session, AuditTemplate, *of_it, strategy_id=None)


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
    """Cancel RECOMMENDED plans.  Plans that were started need no strategy any more."""
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
