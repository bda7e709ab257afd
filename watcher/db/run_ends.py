# SPDX-License-Identifier: Apache-2.0
"""How a claimed run ends: with a result, with an error, or in the queue again.

================  ======================================================  =======================
``finish``        its result is written                                   as given
``fail``          the error is lasting, or it was tried often enough      FAILED
``end_unwanted``  a user has cancelled, suspended or deleted its audit    CANCELLED, or QUEUED
``retry``         the error is passing, or a plan has changed the cloud   QUEUED, next attempt
``postpone``      it was claimed too early                                QUEUED, same attempt
``hand_back``     its engine stops                                        QUEUED, same attempt
``put_back``      ``hand_back``; or its audit is suspended, or its        QUEUED, same attempt
                  metrics are those of the last run
================  ======================================================  =======================

If a younger run of the audit is QUEUED already, all but ``postpone`` make the run CANCELLED in
place of QUEUED, and its events go back to the inbox.  All raise LostClaim if the run is no longer
this engine's.
"""

import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.errors import LostClaim
from watcher.common.states import AuditState, RunState
from watcher.db import inbox, leases, runs
from watcher.db.models import Audit, AuditRun
from watcher.db.models.base import shortened
from watcher.db.transitions import move, update_rows


def move_audit(
    session: Session, run: AuditRun, state: str, now: datetime.datetime, **values: Any
) -> bool:
    """Move the audit of a claimed run to *state* when the run ends or is queued again.

    False if somebody has changed the state of the audit meanwhile.  The run is then QUEUED again
    if the audit is SUSPENDED, otherwise CANCELLED, and the caller has to drop its result.
    """
    ongoing = (Audit.id == run.audit_id, Audit.deleted == 0, Audit.state == AuditState.ONGOING)
    if move(session, Audit, AuditState.BY_ENGINE, state, *ongoing, **values):
        return True
    end_unwanted(session, run, now)
    return False


def finish(
    session: Session,
    run: AuditRun,
    state: str,
    now: datetime.datetime,
    status_message: str | None = None,
    error: str | None = None,
    **values: Any,
) -> None:
    """End a claimed run, with the *error* of this attempt, and other *values* for its row."""
    errors = with_error(run, now, error)
    ended = {"finished_at": now, "status_message": status_message, "errors": errors}
    _release(session, run, state, **ended, **values)


def retry(
    session: Session,
    run: AuditRun,
    now: datetime.datetime,
    not_before: datetime.datetime,
    error: str,
    status_message: str | None = None,
) -> bool:
    """Queue a claimed run for its next attempt, because this one has failed with that *error*.

    Without a *status_message*, run and audit show the error.  False if the audit is not active any
    more, as in ``move_audit``.
    """
    message, errors = shortened(status_message or error), with_error(run, now, error)
    if not move_audit(session, run, AuditState.ONGOING, now, status_message=message):
        return False
    _queue_again(session, run, now, not_before, status_message=message, errors=errors, deaths=0)
    return True


def fail(session: Session, run: AuditRun, now: datetime.datetime, error: str) -> bool:
    """End a claimed run and its audit as FAILED, with the *error* of this attempt.

    False if the audit is not active any more, as in ``move_audit``.
    """
    message = shortened(error)
    if not move_audit(session, run, AuditState.FAILED, now, status_message=message):
        return False
    finish(session, run, RunState.FAILED, now, message, error)
    return True


def put_back(session: Session, run: AuditRun, now: datetime.datetime, **values: Any) -> None:
    """Queue a claimed run again, with other *values* for its row.  It does not count as an attempt,
    and is due at once unless there is a ``not_before``."""
    _queue_again(session, run, now, attempt=run.attempt - 1, **values)


def hand_back(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """Queue a claimed run for any engine, at once."""
    if move_audit(session, run, AuditState.ONGOING, now):
        put_back(session, run, now)


def postpone(
    session: Session,
    run: AuditRun,
    not_before: datetime.datetime,
    reason: str,
    now: datetime.datetime,
) -> None:
    """Undo a claim that came too early; it does not count as an attempt."""
    _release(
        session,
        run,
        RunState.QUEUED,
        not_before=not_before,
        queued_at=now,
        wait_reason=reason,
        started_at=None,
        attempt=AuditRun.attempt - 1,
        **leases.NONE,
    )


def with_error(
    run: AuditRun, now: datetime.datetime, error: str | None, attempt: int | None = None
) -> list[Any]:
    """All errors, and *error* for *attempt* (None: this one)."""
    known = list(run.errors or ())
    if error is None:
        return known
    at = now.isoformat(timespec="seconds")
    return [*known, {"attempt": attempt or run.attempt, "at": at, "error": shortened(error)}]


def _queue_again(
    session: Session,
    run: AuditRun,
    now: datetime.datetime,
    not_before: datetime.datetime | None = None,
    status_message: str | None = None,
    **values: Any,
) -> None:
    """Let a claimed run wait again, until *not_before*.

    If a younger run of the audit is QUEUED already, this one ends, and its events are given back
    to the inbox: they join the younger run, or the next one if they have other parameters.
    """
    not_before = not_before or now
    successor = runs.waiting(session, run.audit_id)
    kept = {"attempt": run.attempt, "deaths": run.deaths, "errors": list(run.errors or ())}
    values = {"queued_at": now, "wait_reason": None} | kept | values
    if successor is None:
        own = {"not_before": not_before, "status_message": status_message} | leases.NONE
        _release(session, run, RunState.QUEUED, **own, **values)
        return
    message = status_message or f"Run {successor.uuid} takes its place."
    ended = {"finished_at": now, "status_message": message, "errors": values["errors"]}
    _release(session, run, RunState.CANCELLED, **ended)
    inbox.give_back(session, run)
    update_rows(
        session,
        AuditRun,
        AuditRun.id == successor.id,
        not_before=max(not_before, runs.waits_until(successor, now)),
        **values,
    )
    runs.backdate(session, successor.id, run.created_at)


def _release(session: Session, run: AuditRun, state: str, **values: Any) -> None:
    """Give up a claim, and write *state* and other *values* to the run."""
    if not move(
        session,
        AuditRun,
        RunState.BY_ENGINE,
        state,
        AuditRun.id == run.id,
        AuditRun.engine == run.engine,
        AuditRun.attempt == run.attempt,  # the same engine may have claimed it again
        **values,
    ):
        raise LostClaim(f"Run {run.uuid} is no longer this engine's; its result is dropped.")


def end_unwanted(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """End a claimed run whose audit somebody cancelled, suspended or deleted meanwhile."""
    state = session.scalars(select(Audit.state).where(Audit.id == run.audit_id)).one()
    if state == AuditState.SUSPENDED:
        put_back(session, run, now, status_message="The audit was suspended.")
    else:
        finish(session, run, RunState.CANCELLED, now, f"The audit is {state}; nothing was kept.")
