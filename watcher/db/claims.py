# SPDX-License-Identifier: Apache-2.0
"""Claims of runs: which engine executes a run, and how the run ends (see ``db.leases``)."""

import datetime
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, joinedload

from watcher.common.errors import LostClaim
from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import counters, inbox, leases, runs
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan, Audit, AuditRun, Webhook
from watcher.db.models.base import cut
from watcher.db.transitions import move, update_rows

due = runs.due
"""Which runs to claim, as ``db.dispatcher`` looks for it here."""


def claim(session: Session, run_id: int, holder: Holder, now: datetime.datetime) -> AuditRun | None:
    """Make a due run and its audit ONGOING, with this engine as the holder.

    The run also gets all events in the inbox that have its parameters.

    The answer is None

    * if another engine was faster, even if the run is QUEUED again for a later time;
    * if a plan has become PENDING meanwhile, or the cooldown of the webhook is not over: the
      run is QUEUED until that has ended;
    * if a user has cancelled, suspended or deleted the audit: see ``_end_unwanted``.

    A run that must not begin any more (``_ended_by_now``) is ended together with its audit, and
    returned as CANCELLED.  The ``audit`` of the run is as it was before the claim.
    DBDuplicateEntry (at flush) if another run of the audit became ONGOING meanwhile.
    """
    if not move(
        session,
        AuditRun,
        RunState.BY_ENGINE,
        RunState.ONGOING,
        AuditRun.id == run_id,
        runs.due_at(now),
        **holder.lease(now),
        started_at=now,
        attempt=AuditRun.attempt + 1,
        wait_reason=None,
    ):
        return None
    run, webhook = _load(session, run_id)
    if runs.waits_for_plans(run.audit) and session.scalar(select(runs.PLAN_UNDER_WAY)):
        # It was due, so a later time is one from before the clock was set back.
        _postpone(session, run, min(run.not_before, now), runs.PLAN_ONGOING, now)
        return None
    ready_at = webhook and runs.cooled_down_at(session, run.audit, webhook, now)
    if ready_at and ready_at > now:
        _postpone(session, run, ready_at, runs.COOLDOWN, now)
        return None
    return _start(session, run, holder, now)


def of_all(session: Session) -> Sequence[tuple[int, datetime.datetime]]:
    """Ids of the ONGOING runs, and the end of the lease on each."""
    rows = session.execute(_LEASES)
    return [(run_id, end) for run_id, end in rows if end is not None]


def take_over(
    session: Session, run_id: int, holder: Holder, now: datetime.datetime, end: datetime.datetime
) -> AuditRun | None:
    """Claim a run of another engine, if its lease still has this *end*.

    None if another engine was faster, or if the audit must not run any more.
    """
    if not update_rows(
        session,
        AuditRun,
        AuditRun.id == run_id,
        AuditRun.state == RunState.ONGOING,
        AuditRun.lease_expires_at == end,
        **holder.lease(now),
        started_at=now,
        attempt=AuditRun.attempt + 1,
        deaths=AuditRun.deaths + 1,
    ):
        return None
    counters.add_take_over(session, counters.RUN)
    run, _ = _load(session, run_id)
    run.errors = with_error(run, now, "Its decision engine died.", run.attempt - 1)
    return _start(session, run, holder, now)


def extend(
    session: Session, run_ids: Collection[int], holder: Holder, now: datetime.datetime
) -> None:
    """Extend the leases of *holder* on those runs."""
    leases.extend(session, AuditRun.id, run_ids, holder, now, AuditRun.state == RunState.ONGOING)


def move_audit(
    session: Session, run: AuditRun, state: str, now: datetime.datetime, **values: Any
) -> bool:
    """Move the audit of a claimed run to *state* when the run ends.

    False if somebody has changed the state of the audit meanwhile.  The run is then QUEUED again
    if the audit is SUSPENDED, otherwise CANCELLED, and the caller has to drop its result.
    """
    ongoing = (Audit.id == run.audit_id, Audit.deleted == 0, Audit.state == AuditState.ONGOING)
    if move(session, Audit, AuditState.BY_ENGINE, state, *ongoing, **values):
        return True
    _end_unwanted(session, run, now)
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
    """End a claimed run, with the *error* of this attempt, and other *values* for its row.

    LostClaim if it is no longer this engine's.
    """
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
    message, errors = cut(status_message or error), with_error(run, now, error)
    if not move_audit(session, run, AuditState.ONGOING, now, status_message=message):
        return False
    _queue_again(session, run, now, not_before, status_message=message, errors=errors, deaths=0)
    return True


def fail(session: Session, run: AuditRun, now: datetime.datetime, error: str) -> bool:
    """End a claimed run and its audit as FAILED, with the *error* of this attempt.

    False if the audit is not active any more, as in ``move_audit``.
    """
    message = cut(error)
    if not move_audit(session, run, AuditState.FAILED, now, status_message=message):
        return False
    finish(session, run, RunState.FAILED, now, message, error)
    return True


def put_back(session: Session, run: AuditRun, now: datetime.datetime, **values: Any) -> None:
    """Queue a claimed run again, due at once, with other *values* for its row.  It does not count
    as an attempt."""
    _queue_again(session, run, now, attempt=run.attempt - 1, **values)


def hand_back(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """Queue a claimed run for any engine, at once.  LostClaim if it is no longer this engine's."""
    if move_audit(session, run, AuditState.ONGOING, now):
        put_back(session, run, now)


def with_error(
    run: AuditRun, now: datetime.datetime, error: str | None, attempt: int | None = None
) -> list[Any]:
    """The errors of all attempts, with *error*, if any, for this attempt or that number."""
    known = list(run.errors or ())
    if error is None:
        return known
    at = now.isoformat(timespec="seconds")
    return [*known, {"attempt": attempt or run.attempt, "at": at, "error": cut(error)}]


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
    ended = {"finished_at": now, "status_message": status_message, "errors": values["errors"]}
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


def _postpone(
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


# Built once: to build a statement takes longer than to execute it.
_LEASES = select(AuditRun.id, AuditRun.lease_expires_at).where(AuditRun.slot == RunState.ONGOING)
_CLAIMED = (
    select(AuditRun, Webhook)
    .outerjoin(Webhook, Webhook.audit_id == AuditRun.audit_id)
    .where(AuditRun.id == bindparam("run_id"))
    .options(joinedload(AuditRun.audit).options(joinedload(Audit.goal), joinedload(Audit.strategy)))
    .execution_options(populate_existing=True)
)


def _load(session: Session, run_id: int) -> tuple[AuditRun, Webhook | None]:
    """A freshly claimed run with its audit, and the audit's webhook if it has one."""
    run, webhook = session.execute(_CLAIMED, {"run_id": run_id}).one()
    return run, webhook


def _start(
    session: Session, run: AuditRun, holder: Holder, now: datetime.datetime
) -> AuditRun | None:
    """Make the audit of a freshly claimed run ONGOING, or end the run if that is not possible."""
    audit = run.audit
    runnable = (
        Audit.id == audit.id,
        Audit.deleted == 0,
        Audit.state.in_(AuditState.RUNNABLE.get(audit.audit_type or "", ())),
    )
    ended = _ended_by_now(session, audit, now)
    if ended:
        state, why = ended
        move(session, Audit, AuditState.BY_ENGINE, state, *runnable, status_message=why)
        finish(session, run, RunState.CANCELLED, now, why)
        session.refresh(run, ["state"])
        return run
    if move(
        session,
        Audit,
        AuditState.BY_ENGINE,
        AuditState.ONGOING,
        *runnable,
        hostname=holder.host,
        status_message=None,
    ):
        if audit.audit_type == AuditType.EVENT:
            inbox.join(session, run)
        return run
    _end_unwanted(session, run, now)
    return None


def _ended_by_now(session: Session, audit: Audit, now: datetime.datetime) -> tuple[str, str] | None:
    """The audit's new state and the reason, if this run must not happen."""
    if audit.audit_type == AuditType.CONTINUOUS and audit.end_time and audit.end_time <= now:
        return AuditState.SUCCEEDED, "The end time of the audit has passed."
    if audit.audit_type == AuditType.ONESHOT and not audit.force:
        ongoing = session.scalar(
            select(ActionPlan.uuid).where(ActionPlan.state == PlanState.ONGOING).limit(1)
        )
        if ongoing:
            return (
                AuditState.CANCELLED,
                f"Action plan {ongoing} was ongoing; use force to ignore it.",
            )
    return None


def _end_unwanted(session: Session, run: AuditRun, now: datetime.datetime) -> None:
    """End a claimed run whose audit somebody cancelled, suspended or deleted meanwhile."""
    state = session.scalars(select(Audit.state).where(Audit.id == run.audit_id)).one()
    if state == AuditState.SUSPENDED:
        put_back(session, run, now, status_message="The audit was suspended.")
    else:
        finish(session, run, RunState.CANCELLED, now, f"The audit is {state}; nothing was kept.")
