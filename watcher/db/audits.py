# SPDX-License-Identifier: Apache-2.0
"""Audits, with the changes of their runs when an audit is created, changed or deleted."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, joinedload

from watcher.common import schedule
from watcher.common.errors import Invalid
from watcher.common.states import AuditState, AuditType
from watcher.db import reviews, rows, runs
from watcher.db.lookup import require_free_name
from watcher.db.models import Audit, AuditRun, Webhook
from watcher.db.rows import Rows
from watcher.db.transitions import move, soft_delete

_TIMING = frozenset({"interval", "start_time", "end_time"})


_ROWS: Rows[Audit] = rows.with_goal(Audit, "audit")
get, list_page = _ROWS.get, _ROWS.list_page


def create(session: Session, audit: Audit, now: datetime.datetime) -> Audit:
    """Write a new audit with its run or its webhook.  Conflict if its name is taken.

    The run of a ONESHOT audit is due now, that of a CONTINUOUS audit at its first time; an EVENT
    audit gets a webhook.  Call this through ``Database.write``.
    """
    require_free_name(session, audit, "an audit")
    if audit.audit_type == AuditType.CONTINUOUS:
        audit.next_run_time = schedule.first_run(audit.interval or "", now, audit.start_time)
    session.add(audit)
    session.flush()
    if audit.audit_type == AuditType.EVENT:
        session.add(Webhook(audit_id=audit.id))
        session.flush()
    else:
        runs.enqueue(session, audit.id, now, _capped(audit, audit.next_run_time or now))
    return audit


def automatic(session: Session) -> Sequence[Audit]:
    """The audits, with goal and strategy, whose plans start on their own again and again."""
    return session.scalars(
        select(Audit)
        .options(joinedload(Audit.goal), joinedload(Audit.strategy))
        .where(
            Audit.deleted == 0,
            Audit.auto_trigger,
            Audit.audit_type.in_((AuditType.EVENT, AuditType.CONTINUOUS)),
            Audit.state.not_in((AuditState.CANCELLED, AuditState.SUSPENDED)),
        )
        .order_by(Audit.id)
    ).all()


def change(
    session: Session, audit: Audit, changes: Mapping[str, Any], now: datetime.datetime
) -> None:
    """Write what a user changed, by column, and change the audit's waiting run accordingly.

    Invalid for a state that a user may not give it now, Conflict for a name that is taken.
    """
    columns = dict(changes)
    state = columns.pop("state", audit.state)
    for column, value in columns.items():
        setattr(audit, column, value)
    if columns.get("auto_trigger"):
        _trust(session, audit)
    if "name" in columns:
        require_free_name(session, audit, "an audit")
    if audit.audit_type == AuditType.CONTINUOUS and columns.keys() & _TIMING:
        _reschedule(session, audit, columns.keys() != {"end_time"}, now)
    session.flush()
    if "state" in changes:
        _change_state(session, audit, state, now)


def delete(session: Session, audit: Audit, now: datetime.datetime) -> None:
    """Soft-delete an audit; its name is free again.  Invalid while it may still run."""
    deletable = Audit.state.in_(AuditState.DELETABLE)
    if not soft_delete(session, Audit, now, Audit.id == audit.id, deletable):
        audit = get(session, audit.uuid or "")
        raise Invalid(
            f"Couldn't delete when state is '{audit.state}'; "
            f"allowed are {', '.join(sorted(AuditState.DELETABLE))}."
        )
    runs.cancel_waiting(session, AuditRun.audit_id == audit.id, now, "The audit is DELETED.")


def _trust(session: Session, audit: Audit) -> None:
    """A user sets auto_trigger, so the results of earlier reviews do not count any more."""
    if audit.status_message == reviews.DISTRUSTED:
        audit.status_message = None
    reviews.forgive(session, audit.id)


def _change_state(session: Session, audit: Audit, state: str, now: datetime.datetime) -> None:
    if state not in AuditState.ALL:
        raise Invalid(f"state: '{state[:36]}' is not one of {', '.join(AuditState.ALL)}.")
    live = (Audit.id == audit.id, Audit.deleted == 0)
    if not move(session, Audit, AuditState.BY_USER, state, *live):
        audit = get(session, audit.uuid or "")
        allowed = ", ".join(sorted(AuditState.BY_USER.get(audit.state or "", ()))) or "none"
        raise Invalid(
            f"state: State transition not allowed: {audit.state} -> {state}; allowed: {allowed}."
        )
    if state == AuditState.CANCELLED:
        of_audit = AuditRun.audit_id == audit.id
        runs.cancel_waiting(session, of_audit, now, "The audit is CANCELLED.")
    elif state == AuditState.ONGOING:
        _resume(session, audit, now)


def _resume(session: Session, audit: Audit, now: datetime.datetime) -> None:
    """Queue a run for an audit that is ONGOING again, unless it has one."""
    active = exists().where(AuditRun.audit_id == audit.id, AuditRun.slot.is_not(None))
    if not session.scalar(select(active)):
        runs.enqueue(session, audit.id, now, max(now, audit.next_run_time or now))


def _reschedule(session: Session, audit: Audit, anew: bool, now: datetime.datetime) -> None:
    """Move the waiting run to the time that the changed *audit* has for it."""
    if audit.next_run_time is None or anew:
        begun = audit.state != AuditState.PENDING and not (
            audit.start_time and audit.start_time > now
        )
        interval = audit.interval or ""
        audit.next_run_time = (
            schedule.next_run(interval, now)
            if begun
            else schedule.first_run(interval, now, audit.start_time)
        )
    runs.reschedule(session, audit.id, now, _capped(audit, audit.next_run_time))


def _capped(audit: Audit, when: datetime.datetime) -> datetime.datetime:
    """*when*, but no later than ``end_time``, because the run at that time ends the audit."""
    return min(when, audit.end_time) if audit.end_time else when
