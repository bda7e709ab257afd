# SPDX-License-Identifier: Apache-2.0
"""Counts of all events, runs and actions so far, from the rows.

A count never falls.  It is the number of the rows plus a value in the table ``tallies``.  Before
counted rows are removed or changed, ``preserved`` adds their number to ``tallies``.  ``roll`` does
that with all older rows as well, so that only younger ones have to be counted, however many rows
there are (``db.marks``).
"""

import collections
import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, FromClause, func, insert, select
from sqlalchemy.orm import Session, aliased

from watcher.common.states import ActionState, AuditType, Decision, PlanState, RunState
from watcher.db import marks
from watcher.db.models import Action, ActionPlan, Audit, AuditEvent, AuditRun, Strategy, Tally
from watcher.db.transitions import Queryable, update_rows

Counts = collections.Counter[tuple[str, ...]]
"""Numbers by what is counted and its labels.  A SUM is in thousandths, of a second or a promise."""

EVENTS: Final = "events"
"""Events by source, decision and reason."""
COALESCED: Final = "coalesced"
"""Events that joined a run that waited, recorded or not."""
RUNS: Final = "runs"
"""Runs that ended, by result and strategy."""
RUN_TIME: Final = "run_time"
"""Runs as in RUNS, also by the bucket of the time from start to end, and the SUM of these times."""
PLAN_TIME: Final = "plan_time"
"""Runs of EVENT audits that made a plan, by the bucket of the time from the alarm to the plan."""
ACTIONS: Final = "actions"
"""Actions that ended, by type and result."""
PROMISE_ERROR: Final = "promise_error"
"""Plans that were reviewed, by strategy and the bucket of how far the kept share is from 1."""
TAKE_OVERS: Final = "take_overs"
"""How often a holder died, by RUN or ACTION_PLAN."""

STOCK: Final = "plans"
"""Plans that are not deleted, by state."""

EVENTS_TABLE: Final = "audit_events"
RUNS_TABLE: Final = "audit_runs"
PLANS: Final = "action_plans"

STEP: Final = 2000
"""Rows that one transaction adds to the tallies."""

_FINAL_AFTER: Final = datetime.timedelta(hours=1)
"""A row is so old that no transaction which still runs can insert another row before it."""

_READS: Final = 5
"""Attempts to read all counts while no other transaction writes tallies."""

RUN: Final = "run"
ACTION_PLAN: Final = "action_plan"

SUM: Final = "sum"
ALL: Final = "+Inf"
RUN_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
PLAN_BUCKETS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)
PROMISE_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 1, 2)

BUCKETS: Final = {
    RUN_TIME: RUN_BUCKETS,
    PLAN_TIME: PLAN_BUCKETS,
    PROMISE_ERROR: PROMISE_BUCKETS,
}
"""Upper bounds in seconds, for PROMISE_ERROR in shares of the promise."""

_RUN_ENDS = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
_ACTION_ENDS = (
    ActionState.SUCCEEDED,
    ActionState.FAILED,
    ActionState.SKIPPED,
    ActionState.CANCELLED,
)


def totals(session: Session) -> Counts:
    """All counts since the database exists.

    Starts again if another transaction has written tallies meanwhile: its rows may have been
    counted twice, or not at all.
    """
    for _ in range(_READS):
        tallies = _tallies(session)
        counts: Counts = collections.Counter()
        for counted in _COUNTED.values():
            mark = marks.of(tallies.items(), counted.table)
            counts.update(counted.of_rows(session, mark.uncounted(counted.column)))
        if _tallies(session) == tallies:
            break
    for name, value in tallies.items():
        labels = tuple(map(str, json.loads(name)))
        if labels[0] not in (marks.MARK, marks.OPEN, STOCK):
            counts[labels] += value
    return counts


def _tallies(session: Session) -> dict[str, int]:
    return {name: value for name, value in session.execute(select(Tally.name, Tally.value))}


@contextmanager
def preserved(queryable: Queryable, table: FromClause, rows: ColumnElement[bool]) -> Iterator[None]:
    """Keep all counts as they are, whatever the ``with`` block does to these *rows*.

    Tallies and rows change in the transaction of the caller.  Only the number of present plans
    (STOCK) follows the rows.  DBDuplicateEntry as in ``add``.
    """
    counted = _COUNTED.get(table)
    if counted is None and table is not ActionPlan.__table__:
        yield
        return
    name = counted.table if counted else PLANS
    mark = marks.locked(queryable, name)
    if counted is None:
        counted_rows = ~mark.uncounted(ActionPlan.id)
        gone = _stock(queryable, rows, counted_rows)
        yield
        gone.subtract(_stock(queryable, rows, counted_rows))
        add(queryable, collections.Counter({key: -number for key, number in gone.items()}))
        marks.shorten(queryable, name, ActionPlan.id)
        return
    uncounted = mark.uncounted(counted.column)
    lost = counted.of_rows(queryable, rows, uncounted)
    yield
    lost.subtract(counted.of_rows(queryable, rows, uncounted))
    add(queryable, lost)
    if counted.column.table is table and counted.table != PLANS:
        marks.shorten(queryable, name, counted.column)


def roll(session: Session, now: datetime.datetime) -> bool:
    """Add a number of old rows to the tallies; False if none is left.

    A row is old after ``_FINAL_AFTER``.
    """
    before = now - _FINAL_AFTER
    kinds: tuple[tuple[str, Any, Any, ColumnElement[bool]], ...] = (
        (EVENTS_TABLE, AuditEvent, AuditEvent.received_at, _EVENT_IS_FINAL),
        (RUNS_TABLE, AuditRun, AuditRun.created_at, _RUN_IS_FINAL),
        (PLANS, ActionPlan, ActionPlan.created_at, _PLAN_IS_FINAL),
    )
    return any([_roll(session, before, *kind) for kind in kinds])


def _roll(
    session: Session,
    before: datetime.datetime,
    table: str,
    row: Any,
    time: Any,
    final: ColumnElement[bool],
) -> bool:
    """One step with one table.  Returns whether there may be more."""
    mark = marks.locked(session, table)
    step = session.execute(
        select(row.id, time).where(row.id > mark.up_to).order_by(row.id).limit(STEP)
    ).all()
    old = list(itertools.takewhile(lambda each: each[1] is None or each[1] < before, step))
    up_to = old[-1][0] if old else mark.up_to
    rows = (row.id > mark.up_to) & (row.id <= up_to) | row.id.in_(sorted(mark.open))
    still_open = frozenset(session.scalars(select(row.id).where(rows, ~final)))
    new = marks.Mark(up_to, still_open)
    if new == mark:
        return False
    marks.move(session, table, mark, new)
    ended = rows & final
    if row is ActionPlan:
        of_plans = Action.action_plan_id.in_(select(ActionPlan.id).where(ended))
        add(session, _of_actions(session, of_plans))
        add(session, _stock(session, ended))
    else:
        add(session, _COUNTED[row.__table__].of_rows(session, ended))
    return up_to > mark.up_to


def plans(session: Session) -> dict[str, int]:
    """How many plans there are by state, without deleted ones."""
    tallies = _tallies(session)
    counts = _stock(session, marks.of(tallies.items(), PLANS).uncounted(ActionPlan.id))
    for name, value in tallies.items():
        kind, *labels = json.loads(name)
        if kind == STOCK:
            counts[STOCK, labels[0]] += value
    return {state: number for (_, state), number in counts.items()}


def _stock(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    found = queryable.execute(
        select(ActionPlan.state, func.count())
        .where(ActionPlan.deleted == 0, *rows)
        .group_by(ActionPlan.state)
    )
    return collections.Counter({(STOCK, state or ""): number for state, number in found})


def add(queryable: Queryable, counts: Counts) -> None:
    """Add to the tallies.  DBDuplicateEntry if another transaction inserts the same tally first."""
    for labels, value in sorted(counts.items()):
        if value == 0:
            continue
        name = json.dumps(labels, ensure_ascii=False)
        if not update_rows(queryable, Tally, Tally.name == name, value=Tally.value + value):
            queryable.execute(insert(Tally).values(name=name, value=value))


def value(session: Session, labels: tuple[str, ...]) -> int:
    """The number that ``add`` has counted under those labels."""
    name = json.dumps(labels, ensure_ascii=False)
    return session.scalar(select(Tally.value).where(Tally.name == name)) or 0


def add_take_over(session: Session, of: str) -> None:
    """Count that a RUN or an ACTION_PLAN was taken over from a holder that died."""
    add(session, collections.Counter({(TAKE_OVERS, of): 1}))


def add_promise(session: Session, strategy: str, kept: float) -> None:
    """Count that a plan of *strategy* was found to have *kept* that share of its promise.

    These are not counted from rows, because a scrape must not read a growing history.
    """
    counts: Counts = collections.Counter()
    _observe(counts, (PROMISE_ERROR, strategy), abs(1 - kept))
    add(session, counts)


def _of_events(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    labels = (AuditEvent.source, AuditEvent.decision, AuditEvent.decision_reason)
    # An ACCEPTED event is counted when a decision engine has decided about it.
    decided = AuditEvent.decision != Decision.ACCEPTED
    found = queryable.execute(select(*labels, func.count()).where(decided, *rows).group_by(*labels))
    return collections.Counter(
        {
            (EVENTS, source, decision, reason or ""): number
            for source, decision, reason, number in found
        }
    )


def _of_runs(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    of_audit, of_plan = aliased(Strategy), aliased(Strategy)
    found = queryable.execute(
        select(
            AuditRun.state,
            func.coalesce(of_audit.name, of_plan.name, ""),
            Audit.audit_type,
            AuditRun.coalesced_count,
            AuditRun.created_at,
            AuditRun.started_at,
            AuditRun.finished_at,
        )
        .join(Audit, Audit.id == AuditRun.audit_id)
        .outerjoin(of_audit, of_audit.id == Audit.strategy_id)
        .outerjoin(ActionPlan, ActionPlan.id == AuditRun.action_plan_id)
        .outerjoin(of_plan, of_plan.id == ActionPlan.strategy_id)
        .where(*rows)
    )
    counts: Counts = collections.Counter()
    for state, strategy, audit_type, coalesced, created_at, started_at, finished_at in found:
        counts[(COALESCED,)] += coalesced
        if state not in _RUN_ENDS:
            continue
        counts[RUNS, state, strategy] += 1
        if started_at and finished_at:
            seconds = (finished_at - started_at).total_seconds()
            _observe(counts, (RUN_TIME, state, strategy), seconds)
        if audit_type == AuditType.EVENT and state == RunState.SUCCEEDED and finished_at:
            _observe(counts, (PLAN_TIME,), (finished_at - created_at).total_seconds())
    return counts


def _observe(counts: Counts, labels: tuple[str, ...], value: float) -> None:
    """Add a value to a histogram, with three decimals: to each bucket with a bound that is not
    less, to ALL, and to the SUM."""
    thousandths = round(1000 * value)
    for bound in BUCKETS[labels[0]]:
        counts[(*labels, str(bound))] += thousandths <= 1000 * bound
    counts[(*labels, ALL)] += 1
    counts[(*labels, SUM)] += thousandths


def _of_actions(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    labels = (Action.action_type, Action.state)
    ended = Action.state.in_(_ACTION_ENDS)
    found = queryable.execute(select(*labels, func.count()).where(ended, *rows).group_by(*labels))
    return collections.Counter(
        {(ACTIONS, action_type, state or ""): number for action_type, state, number in found}
    )


class _Counted(NamedTuple):
    """How the rows of a table are counted: the table of the mark, and the column that it refers
    to."""

    of_rows: Callable[..., Counts]
    table: str
    column: Any


_COUNTED: Final[dict[FromClause, _Counted]] = {
    AuditEvent.__table__: _Counted(_of_events, EVENTS_TABLE, AuditEvent.id),
    AuditRun.__table__: _Counted(_of_runs, RUNS_TABLE, AuditRun.id),
    Action.__table__: _Counted(_of_actions, PLANS, Action.action_plan_id),
}
_EVENT_IS_FINAL: Final = AuditEvent.decision != Decision.ACCEPTED
_RUN_IS_FINAL: Final = AuditRun.state.in_(_RUN_ENDS)
_PLAN_IS_FINAL: Final = ActionPlan.state.in_(
    (
        PlanState.SUCCEEDED,
        PlanState.FAILED,
        PlanState.CANCELLED,
        PlanState.SUPERSEDED,
        PlanState.DELETED,
    )
)
"""Rows in such a state do not change any more, nor do the actions of such plans."""
