# SPDX-License-Identifier: Apache-2.0
"""Counts of all events, runs and actions so far, from the rows.

A count never falls.  It is the number of the rows plus a value in the table ``tallies``.  Before
counted rows are removed or changed, ``preserved`` adds their number to ``tallies``.  ``roll`` adds
older rows as well, so that only younger rows have to be counted (``db.marks``).  ``_COUNTED`` and
``_ROLLED`` say what is counted in which table.
"""

import collections
import datetime
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, FromClause, func, insert, select
from sqlalchemy.orm import Session, aliased

from watcher.common.states import ActionState, AuditType, Decision, PlanState, RunState
from watcher.db import marks
from watcher.db.models import Action, ActionPlan, Audit, AuditEvent, AuditRun, Strategy, Tally
from watcher.db.transitions import update_rows

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
_ACTION_ENDS = ActionState.OVER - {ActionState.DELETED}
_PLAN_ENDS = (*PlanState.EXECUTED, PlanState.SUPERSEDED, PlanState.DELETED)
_DECIDED = AuditEvent.decision != Decision.ACCEPTED
"""An ACCEPTED event is counted when a decision engine has decided about it."""


def totals(session: Session) -> Counts:
    """All counts since the database exists."""
    return _read(session, kept=True)


def plans(session: Session) -> dict[str, int]:
    """How many plans there are by state, without deleted ones."""
    return {state: number for (_, state), number in _read(session, kept=False).items()}


def _read(session: Session, kept: bool) -> Counts:
    """The counts that ``preserved`` keeps, or the others.

    Starts again if another transaction has written tallies meanwhile: its rows may have been
    counted twice, or not at all.
    """
    for _ in range(_READS):
        tallies = marks.tallies(session)
        counts: Counts = collections.Counter()
        for counted in _COUNTED.values():
            if counted.kept == kept:
                mark = marks.of(tallies, counted.rolled)
                counts.update(counted.of_rows(session, mark.uncounted(counted.column)))
        if marks.tallies(session) == tallies:
            break
    for labels, value in tallies.items():
        if labels[0] not in marks.KINDS and kept == (labels[0] != STOCK):
            counts[labels] += value
    return counts


@contextmanager
def preserved(session: Session, table: FromClause, rows: ColumnElement[bool]) -> Iterator[None]:
    """Keep all counts as they are, whatever the ``with`` block does to these *rows*.

    Tallies and rows change in the transaction of the caller.  Only the number of present plans
    (STOCK) follows the rows.  DBDuplicateEntry as in ``add``.
    """
    counted = _COUNTED.get(table)
    if counted is None:
        yield
        return
    uncounted = marks.locked(session, counted.rolled).uncounted(counted.column)
    # Add to a kept count what the block takes from uncounted rows.  Subtract from a count that
    # follows the rows what the block takes from counted rows.
    which, sign = (uncounted, 1) if counted.kept else (~uncounted, -1)
    change = counted.of_rows(session, rows, which)
    yield
    change.subtract(counted.of_rows(session, rows, which))
    add(session, collections.Counter({labels: sign * n for labels, n in change.items()}))
    if counted.column.primary_key:
        marks.shorten(session, counted.rolled, counted.column)


def roll(session: Session, now: datetime.datetime) -> bool:
    """Add a number of old rows to the tallies; False if none is left.

    A row is old after ``_FINAL_AFTER``.
    """
    before = now - _FINAL_AFTER
    return any([_roll(session, before, table, *rolled) for table, rolled in _ROLLED.items()])


def _roll(
    session: Session, before: datetime.datetime, table: str, row: Any, time: Any, final: Any
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
    ended = select(row.id).where(rows, final)
    for counted in _COUNTED.values():
        if counted.rolled == table:
            add(session, counted.of_rows(session, counted.column.in_(ended)))
    return up_to > mark.up_to


def add(session: Session, counts: Counts) -> None:
    """Add to the tallies.  DBDuplicateEntry if another transaction inserts the same tally first."""
    for labels, value in sorted(counts.items()):
        if value == 0:
            continue
        name = marks.name(*labels)
        if not update_rows(session, Tally, Tally.name == name, value=Tally.value + value):
            session.execute(insert(Tally).values(name=name, value=value))


def value(session: Session, labels: tuple[str, ...]) -> int:
    """The number that ``add`` has counted under those labels."""
    return session.scalar(select(Tally.value).where(Tally.name == marks.name(*labels))) or 0


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


def _by(kind: str, *labels: Any, where: ColumnElement[bool]) -> Callable[..., Counts]:
    """Counts rows by the columns *labels*."""

    def of_rows(session: Session, *rows: ColumnElement[bool]) -> Counts:
        groups = select(*labels, func.count()).where(where, *rows).group_by(*labels)
        return collections.Counter(
            {(kind, *(each or "" for each in key)): n for *key, n in session.execute(groups)}
        )

    return of_rows


def _of_runs(session: Session, *rows: ColumnElement[bool]) -> Counts:
    of_audit, of_plan = aliased(Strategy), aliased(Strategy)
    found = session.execute(
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


class _Counted(NamedTuple):
    """How the rows of a table are counted."""

    of_rows: Callable[..., Counts]
    rolled: str
    """The table of ``_ROLLED`` whose rows say which of these are counted already."""
    column: Any
    """The column that refers to that table."""
    kept: bool = True
    """Whether rows that are removed go on to count."""


_COUNTED: Final[dict[FromClause, _Counted]] = {
    AuditEvent.__table__: _Counted(
        _by(
            EVENTS,
            AuditEvent.source,
            AuditEvent.decision,
            AuditEvent.decision_reason,
            where=_DECIDED,
        ),
        EVENTS_TABLE,
        AuditEvent.id,
    ),
    AuditRun.__table__: _Counted(_of_runs, RUNS_TABLE, AuditRun.id),
    Action.__table__: _Counted(
        _by(ACTIONS, Action.action_type, Action.state, where=Action.state.in_(_ACTION_ENDS)),
        PLANS,
        Action.action_plan_id,
    ),
    ActionPlan.__table__: _Counted(
        _by(STOCK, ActionPlan.state, where=ActionPlan.deleted == 0), PLANS, ActionPlan.id, False
    ),
}

_ROLLED: Final[dict[str, tuple[Any, Any, ColumnElement[bool]]]] = {
    EVENTS_TABLE: (AuditEvent, AuditEvent.received_at, _DECIDED),
    RUNS_TABLE: (AuditRun, AuditRun.created_at, AuditRun.state.in_(_RUN_ENDS)),
    PLANS: (ActionPlan, ActionPlan.created_at, ActionPlan.state.in_(_PLAN_ENDS)),
}
"""For each table its time, and the condition that a row, and the actions of a plan, are final."""
