# SPDX-License-Identifier: Apache-2.0
"""The effect of an upgrade and the first start of the services on audits, action plans and audit
templates.

The rows in question are copied into a database in memory that has the present schema.  There the
same functions are called as at the start of the services.  So the dry run does the same as the
services, and the database may have any former schema: columns that it lacks are left out.
"""

import datetime
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from oslo_config import cfg
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    create_engine,
    insert,
    inspect,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from watcher.common.states import AuditState, AuditType, PlanState
from watcher.db import action_plans, claims, plan_claims, runs
from watcher.db.leases import Holder
from watcher.db.migrations import unique_names
from watcher.db.models import ActionPlan, Audit, AuditRun, AuditTemplate, Base, Strategy
from watcher.db.models.base import JsonDict, JsonList

_JSON: Final = (JsonDict, JsonList)
_HOLDER: Final = Holder("preview", "preview", datetime.timedelta(minutes=1))
_PLANS: Final = (PlanState.RECOMMENDED, *sorted(PlanState.UNDER_WAY))


class Change(NamedTuple):
    """The change of an audit, an action plan or an audit template."""

    uuid: str
    name: str
    """The name of the audit or template; empty for a plan."""
    kind: str
    """The type of the audit; empty for others."""
    before: str
    after: str
    """The state after the start, with runs and plans that are due then begun, and the first run
    of a CONTINUOUS audit; empty for a template."""
    sentence: str


class Preview(NamedTuple):
    audits: list[Change]
    plans: list[Change]
    templates: list[Change]


def preview(
    connection: Connection,
    conf: cfg.ConfigOpts,
    sync: Callable[[Session], None],
    now: datetime.datetime,
) -> Preview:
    """Audits that are not over or change their names, plans that wait or are under way, and
    templates that lose their strategy, oldest first.  Nothing is written.

    *sync* makes the rows of goals and strategies those that are installed.
    """
    inspector = inspect(connection)
    if not inspector.has_table(Audit.__tablename__):
        return Preview([], [], [])
    named = "name" in {column["name"] for column in inspector.get_columns(Audit.__tablename__)}
    renamed = {each.id: each for each in (unique_names.doubled(connection) if named else ())}
    with _copy(connection, renamed) as session:
        states = {row: row.state or "" for row in _rows(session)}
        strategies = _strategies_of_templates(session)
        sync(session)
        _begin(session, conf, now)
        session.expire_all()
        waiting = {run.audit_id: run for run in session.scalars(select(AuditRun))}
        audits, plans = [], []
        for row, before in states.items():
            if isinstance(row, ActionPlan):
                plans.append(_change(row, "", "", before, _of_plan(row, before)))
                continue
            sentence = _of_audit(row, before, waiting.get(row.id), now)
            name = row.name or ""
            if row.id in renamed:
                name = renamed[row.id].old
                sentence = f"Is renamed '{row.name}', as an older audit has its name. {sentence}"
            audits.append(_change(row, name, row.audit_type or "", before, sentence))
        templates = [
            Change(row.uuid or "", row.name or "", "", "", "", _WITHOUT_STRATEGY.format(strategy))
            for row, strategy in strategies
            if row.strategy_id is None
        ]
        return Preview(audits, plans, templates)


def _strategies_of_templates(session: Session) -> list[tuple[AuditTemplate, str]]:
    wanted = select(AuditTemplate, Strategy.name).join(AuditTemplate.strategy)
    found = session.execute(wanted.order_by(AuditTemplate.id))
    return [(template, strategy) for template, strategy in found]


@contextmanager
def _copy(connection: Connection, renamed: Mapping[int, unique_names.Renamed]) -> Iterator[Session]:
    """A session of a database in memory that has the rows in question, with their new names."""
    not_over = (Audit.deleted == 0) & or_(
        *(
            (Audit.audit_type == kind) & Audit.state.not_in(AuditState.OVER[kind])
            for kind in AuditType.ALL
        )
    )
    wanted = {
        "goals": true(),
        "strategies": true(),
        "audits": not_over | Audit.id.in_(renamed),
        "action_plans": ActionPlan.state.in_(_PLANS),
        "audit_templates": AuditTemplate.deleted == 0,
    }
    with create_engine("sqlite://").connect() as copy:
        Base.metadata.create_all(copy)
        for name, which in wanted.items():
            table = Base.metadata.tables[name]
            rows = _read(connection, table, which)
            if name == "audits":
                for row in rows:
                    if row["id"] in renamed:
                        row["name"] = renamed[row["id"]].new
            if rows:
                copy.execute(insert(table), rows)
        with Session(copy, autoflush=True) as session:
            yield session


def _read(connection: Connection, table: Table, which: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Rows without their JSON, which may be long and is not needed here."""
    present = {column["name"] for column in inspect(connection).get_columns(table.name)}
    json = {each.name: None for each in table.columns if isinstance(each.type, _JSON)}
    columns = [each for each in table.columns if each.name in present - json.keys()]
    rows = connection.execute(select(*columns).where(which).order_by(table.c.id)).mappings()
    return [json | dict(row) for row in rows]


def _rows(session: Session) -> list[Audit | ActionPlan]:
    return [
        *session.scalars(select(Audit).order_by(Audit.id)),
        *session.scalars(select(ActionPlan).where(ActionPlan.deleted == 0).order_by(ActionPlan.id)),
    ]


def _begin(session: Session, conf: cfg.ConfigOpts, now: datetime.datetime) -> None:
    """Make the changes of the services' start in the copy."""
    runs.adopt(session, now)
    if hours := conf.watcher_applier.max_pending_hours:
        action_plans.cancel_overdue(session, now - datetime.timedelta(hours=hours), now)
    if hours := conf.watcher_decision_engine.action_plan_expiry:
        action_plans.expire(session, now - datetime.timedelta(hours=hours), now)
    first = select(AuditRun).join(AuditRun.audit).order_by(AuditRun.not_before, AuditRun.id)
    recurring = Audit.audit_type == AuditType.CONTINUOUS
    for run in session.scalars(first.where(recurring | (AuditRun.not_before <= now))).all():
        claims.claim(session, run.id, _HOLDER, max(now, run.not_before))
    for plan_id in plan_claims.due(session, now, sys.maxsize):
        plan_claims.claim(session, plan_id, _HOLDER, now)


def _change(row: Audit | ActionPlan, name: str, kind: str, before: str, sentence: str) -> Change:
    return Change(row.uuid or "", name, kind, before, row.state or "", sentence)


def _of_audit(audit: Audit, before: str, run: AuditRun | None, now: datetime.datetime) -> str:
    if audit.state in AuditState.OVER.get(audit.audit_type or "", ()):
        return "Nothing else changes." if audit.state == before else audit.status_message or ""
    sentences = [_of_run(audit, run, now)] if run else []
    if audit.audit_type == AuditType.EVENT:
        sentences.append("Waits for alarms at its webhook.")
    return " ".join(sentences) or f"Stays {audit.state} until somebody changes that."


def _of_run(audit: Audit, run: AuditRun, now: datetime.datetime) -> str:
    later = run.not_before > now
    sentence = f"Runs at {run.not_before:%Y-%m-%d %H:%M:%S} UTC" if later else "Runs at once"
    if run.wait_reason == runs.PLAN_ONGOING:
        return f"{sentence}, or when no action plan is under way any more."
    if audit.audit_type == AuditType.ONESHOT and not audit.force:
        return f"{sentence}; it is CANCELLED if an action plan is ONGOING then."
    return f"{sentence}."


def _of_plan(plan: ActionPlan, before: str) -> str:
    if plan.state == PlanState.CANCELLED:
        return plan.status_message or ""
    return _PLAN_SENTENCES[before, plan.state or ""]


_WITHOUT_STRATEGY: Final = "The strategy '{}' is no longer installed; only the goal stays."

_PLAN_SENTENCES: Final = {
    (PlanState.RECOMMENDED, PlanState.RECOMMENDED): "Waits for somebody to start it.",
    (PlanState.RECOMMENDED, PlanState.SUPERSEDED): (
        "It is older than [watcher_decision_engine] action_plan_expiry."
    ),
    (PlanState.PENDING, PlanState.ONGOING): "An applier executes it.",
    (PlanState.ONGOING, PlanState.ONGOING): "Goes on with the actions that have not ended.",
    (PlanState.CANCELLING, PlanState.CANCELLING): "Its cancellation goes on.",
}
"""By the state before and after the start."""
