# SPDX-License-Identifier: Apache-2.0
"""Checks of the database after a drill: nothing may be lost, doubled or stuck."""

import dataclasses
import datetime
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tools.drill import ledger
from tools.drill.sender import Alarm
from watcher.common.states import ActionState, AuditState, PlanState, RunState
from watcher.db.models import (
    Action,
    ActionPlan,
    ActionPlanLease,
    Audit,
    AuditEvent,
    AuditRun,
)

_ACTIVE = (RunState.QUEUED, RunState.ONGOING)
_CLOCK = datetime.timedelta(seconds=1)
"""The longest time from the recorded begin of a run to its real begin."""


@dataclasses.dataclass
class Findings:
    """A sentence for each thing that is wrong, and figures."""

    lost: list[str]
    doubled: list[str]
    stuck: list[str]
    runs: int
    plans: int
    merged: int
    events: int
    taken_over: int
    longest_wait: float


def waiting(session: Session) -> int:
    """The number of events, runs and plans that have not ended."""
    events = select(func.count(AuditEvent.id)).where(AuditEvent.inbox.is_not(None))
    runs = select(func.count(AuditRun.id)).where(AuditRun.state.in_(_ACTIVE))
    plans = select(func.count(ActionPlan.id)).where(ActionPlan.state.in_(PlanState.UNDER_WAY))
    return sum(session.scalars(each).one() for each in (events, runs, plans))


def look(session: Session, alarms: Sequence[Alarm], every_event: bool) -> Findings:
    """With *every_event* each accepted alarm has a row; otherwise it may only be counted."""
    connection = session.connection()
    runs = {run.id: run for run in session.scalars(select(AuditRun))}
    events = session.scalars(select(AuditEvent)).all()
    history = {kind: ledger.entries(connection, kind) for kind in ("run", "lease", "action")}
    taken = [entry for entry in history["run"] if entry.old == entry.new == RunState.ONGOING]
    return Findings(
        lost=list(_lost(session, alarms, events, runs, every_event)),
        doubled=[
            *_events_twice(alarms, events),
            *_overlaps(history["run"]),
            *_plans_twice(session, runs),
            *_anew(history),
        ],
        stuck=list(_stuck(session)),
        runs=len(runs),
        plans=session.scalars(select(func.count(ActionPlan.id))).one(),
        merged=sum(run.coalesced_count for run in runs.values()),
        events=len(events),
        taken_over=len(taken) + len(history["lease"]),
        longest_wait=_longest_wait(events, runs),
    )


def _lost(
    session: Session,
    alarms: Sequence[Alarm],
    events: Sequence[AuditEvent],
    runs: dict[int, AuditRun],
    every_event: bool,
) -> Iterator[str]:
    """Accepted alarms that no run has handled."""
    by_alarm = defaultdict(list)
    for event in events:
        by_alarm[event.alarm_id].append(event)
        run = runs.get(event.run_id or 0)
        if run is None or run.state != RunState.SUCCEEDED:
            yield f"Event {event.uuid}: its run is {run and run.state}"
        elif run.finished_at is None or run.finished_at < event.received_at:
            yield f"Event {event.uuid}: its run {run.uuid} ended before it"
    audits = {uuid: id_ for uuid, id_ in session.execute(select(Audit.uuid, Audit.id))}
    begins = defaultdict(list)
    for run in runs.values():
        if run.state == RunState.SUCCEEDED and run.started_at is not None:
            begins[run.audit_id].append(run.started_at)
    for alarm in alarms:
        rows, begun = by_alarm[alarm.id], begins[audits[alarm.audit]]
        if not alarm.accepted or alarm.sent is None:
            yield f"Alarm {alarm.id} was never accepted"
        elif alarm.location and alarm.location.rsplit("/")[-1] not in [row.uuid for row in rows]:
            yield f"Alarm {alarm.id}: {alarm.location} is not its event"
        elif not rows and (every_event or not _any_after(begun, alarm.sent)):
            yield f"Alarm {alarm.id} has no event, and no run of audit {alarm.audit} began after it"


def _any_after(moments: Sequence[datetime.datetime], when: datetime.datetime) -> bool:
    return any(moment + _CLOCK >= when for moment in moments)


def _events_twice(alarms: Sequence[Alarm], events: Sequence[AuditEvent]) -> Iterator[str]:
    """Alarms with a delivery identifier that are recorded as more than one event."""
    times = Counter(event.alarm_id for event in events)
    for alarm in alarms:
        if alarm.headers and times[alarm.id] > 1:
            yield f"Alarm {alarm.id} is {times[alarm.id]} events"


def _overlaps(history: Sequence[ledger.Entry]) -> Iterator[str]:
    """Two runs of an audit at the same time."""
    ongoing: dict[int, set[int]] = defaultdict(set)
    for entry in history:
        of_audit = ongoing[entry.parent_id]
        if entry.new == RunState.ONGOING:
            of_audit.add(entry.row_id)
            if len(of_audit) > 1:
                yield f"Runs {sorted(of_audit)} of audit {entry.parent_id} overlap"
        else:
            of_audit.discard(entry.row_id)


def _plans_twice(session: Session, runs: dict[int, AuditRun]) -> Iterator[str]:
    """Plans that are not the one plan of one run."""
    owners = Counter(run.action_plan_id for run in runs.values() if run.action_plan_id)
    for plan_id, audit_id in session.execute(select(ActionPlan.id, ActionPlan.audit_id)):
        if owners[plan_id] != 1:
            yield f"Plan {plan_id} of audit {audit_id} is that of {owners[plan_id]} runs"
    for run in runs.values():
        if (run.state == RunState.SUCCEEDED) != (run.action_plan_id is not None):
            yield f"Run {run.uuid} is {run.state} with plan {run.action_plan_id}"


def _anew(history: dict[str, list[ledger.Entry]]) -> Iterator[str]:
    """Rows that began again after their end, or for a second time."""
    over = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}) | ActionState.OVER
    for kind in ("run", "action"):
        for entry in history[kind]:
            if entry.old in over and entry.new != entry.old:
                yield f"{kind.capitalize()} {entry.row_id} was {entry.old} and became {entry.new}"
    begun = Counter(entry.row_id for entry in history["action"] if entry.new == ActionState.ONGOING)
    for action_id, times in begun.items():
        if times > 1:
            yield f"Action {action_id} began {times} times"


def _stuck(session: Session) -> Iterator[str]:
    """Rows that have not ended and are not idle."""
    for uuid, state in session.execute(
        select(AuditRun.uuid, AuditRun.state).where(AuditRun.state.in_(_ACTIVE))
    ):
        yield f"Run {uuid} is {state}"
    for uuid, state in session.execute(
        select(Audit.uuid, Audit.state).where(Audit.state != AuditState.SUCCEEDED)
    ):
        yield f"Audit {uuid} is {state}"
    finished = (PlanState.RECOMMENDED, PlanState.SUPERSEDED, PlanState.SUCCEEDED)
    for uuid, state, why in session.execute(
        select(ActionPlan.uuid, ActionPlan.state, ActionPlan.status_message).where(
            ActionPlan.state.not_in(finished)
        )
    ):
        yield f"Action plan {uuid} is {state}: {why}"
    for uuid, state in session.execute(
        select(Action.uuid, Action.state)
        .join(ActionPlan, ActionPlan.id == Action.action_plan_id)
        .where(
            ActionPlan.state == PlanState.SUCCEEDED,
            Action.state != ActionState.SUCCEEDED,
        )
    ):
        yield f"Action {uuid} of a plan that succeeded is {state}"
    for plan_id, engine in session.execute(
        select(ActionPlanLease.action_plan_id, ActionPlanLease.engine)
    ):
        yield f"Action plan {plan_id} is still held by {engine}"


def _longest_wait(events: Sequence[AuditEvent], runs: dict[int, AuditRun]) -> float:
    waits = (
        (run.finished_at - event.received_at).total_seconds()
        for event in events
        if (run := runs.get(event.run_id or 0)) and run.finished_at
    )
    return max(waits, default=0.0)
