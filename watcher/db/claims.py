# SPDX-License-Identifier: Apache-2.0
"""Claims of runs: which engine executes which run (see ``db.leases``).

``db.run_ends`` ends them.
"""

import datetime
from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, joinedload

from watcher.common.states import AuditState, AuditType, PlanState, RunState
from watcher.db import counters, inbox, leases, run_ends, runs
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan, Audit, AuditRun, Webhook
from watcher.db.transitions import move, update_rows

due = runs.due
"""For ``db.dispatcher.Claims``."""


def claim(session: Session, run_id: int, holder: Holder, now: datetime.datetime) -> AuditRun | None:
    """Make a due run and its audit ONGOING, with this engine as the holder.

    The run also gets all events in the inbox that have its parameters.

    The answer is None

    * if another engine was faster, even if the run waits again;
    * if a plan has become PENDING meanwhile, or the cooldown of the webhook is not over: the
      run is QUEUED until that has ended;
    * if a user has cancelled, suspended or deleted the audit: see ``run_ends.end_unwanted``.

    A run that must not begin any more (``_must_end``) is ended together with its audit, and
    returned as CANCELLED.  The ``audit`` of the run is as it was before the claim.
    DBDuplicateEntry if another run of the audit became ONGOING meanwhile.
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
    if early := _too_early(session, run, webhook, now):
        run_ends.postpone(session, run, *early, now)
        return None
    return _start(session, run, holder, now)


def of_all(session: Session) -> Sequence[tuple[int, datetime.datetime]]:
    """Ids of the ONGOING runs, and the end of the lease on each."""
    rows = session.execute(_LEASES)
    return [(run_id, end) for run_id, end in rows if end is not None]


def take_over(
    session: Session, run_id: int, holder: Holder, now: datetime.datetime, end: datetime.datetime
) -> AuditRun | None:
    """Claim a run whose lease has lapsed, if it still has this *end*.

    None if another engine was faster, or a user has ended the audit.  ``_must_end`` counts as in
    ``claim``.
    """
    died = leases.has_died(session, AuditRun.id, run_id, holder)
    if not update_rows(
        session,
        AuditRun,
        AuditRun.id == run_id,
        AuditRun.state == RunState.ONGOING,
        AuditRun.lease_expires_at == end,
        **holder.lease(now),
        started_at=now,
        attempt=AuditRun.attempt + 1,
        deaths=AuditRun.deaths + int(died),
    ):
        return None
    if died:
        counters.add_take_over(session, counters.RUN)
    run, _ = _load(session, run_id)
    why = "Its decision engine died." if died else "The database did not take its end."
    run.errors = run_ends.with_error(run, now, why, run.attempt - 1)
    return _start(session, run, holder, now)


def extend(
    session: Session, run_ids: Collection[int], holder: Holder, now: datetime.datetime
) -> None:
    """Extend the leases of *holder* on those runs."""
    leases.extend(session, AuditRun.id, run_ids, holder, now, AuditRun.state == RunState.ONGOING)


def _load(session: Session, run_id: int) -> tuple[AuditRun, Webhook | None]:
    """A freshly claimed run with its audit, and the audit's webhook if it has one."""
    run, webhook = session.execute(_CLAIMED, {"run_id": run_id}).one()
    return run, webhook


def _too_early(
    session: Session, run: AuditRun, webhook: Webhook | None, now: datetime.datetime
) -> tuple[datetime.datetime, str] | None:
    """How long a run that was due has to wait, and for what; None if it may begin."""
    if runs.waits_for_plans(run.audit) and session.scalar(select(runs.PLAN_UNDER_WAY)):
        # The run was due, so a later time was written before the clock was set back.
        return min(run.not_before, now), runs.PLAN_ONGOING
    ready_at = webhook and runs.cooled_down_at(session, run.audit, webhook, now)
    return (ready_at, runs.COOLDOWN) if ready_at and ready_at > now else None


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
    if refusal := _must_end(session, audit, now):
        state, why = refusal
        move(session, Audit, AuditState.BY_ENGINE, state, *runnable, status_message=why)
        run_ends.finish(session, run, RunState.CANCELLED, now, why)
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
    run_ends.end_unwanted(session, run, now)
    return None


def _must_end(session: Session, audit: Audit, now: datetime.datetime) -> tuple[str, str] | None:
    """The audit's new state and the reason, if its run must not begin; None if it may."""
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


# Built once: to build a statement takes longer than to execute it.
_LEASES = select(AuditRun.id, AuditRun.lease_expires_at).where(AuditRun.slot == RunState.ONGOING)
_CLAIMED = (
    select(AuditRun, Webhook)
    .outerjoin(Webhook, Webhook.audit_id == AuditRun.audit_id)
    .where(AuditRun.id == bindparam("run_id"))
    .options(joinedload(AuditRun.audit).options(joinedload(Audit.goal), joinedload(Audit.strategy)))
    .execution_options(populate_existing=True)
)
