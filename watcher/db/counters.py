# SPDX-License-Identifier: Apache-2.0
"""What has happened so far, counted from the rows.

A count never falls.  Where rows that were counted go, or no longer tell how they ended,
``preserved`` writes down what they stood for, in the table ``tallies``; a count is what
the rows give and what stands there.
"""

import collections
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    case,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.functions import FunctionElement

from watcher.common.states import ActionState, AuditType, RunState
from watcher.db.models import Action, ActionPlan, Audit, AuditEvent, AuditRun, Strategy, Tally

Counts = collections.Counter[tuple[str, ...]]
"""How often, or how many milliseconds, by what is counted and its labels."""

Queryable = Session | Connection

EVENTS: Final = "events"
"""By source, decision and reason."""
COALESCED: Final = "coalesced"
"""Events that joined a run that waited, recorded or not."""
RUNS: Final = "runs"
"""That ended, by result and strategy."""
RUN_TIME: Final = "run_time"
"""As RUNS, and by the bucket of the time from the start to the end; with its SUM."""
PLAN_TIME: Final = "plan_time"
"""Runs of EVENT audits that made a plan, by the bucket of the time from the alarm on."""
ACTIONS: Final = "actions"
"""That ended, by type and result."""
PROMISE_ERROR: Final = "promise_error"
"""Plans that were reviewed, by strategy and the bucket of how far from its promise each was."""
TAKE_OVERS: Final = "take_overs"
"""Runs or action plans whose holder died, by which of the two."""

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
"""Upper bounds, in seconds; of promises, in shares of what was promised."""

_RUN_ENDS = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
_ACTION_ENDS = (
    ActionState.SUCCEEDED,
    ActionState.FAILED,
    ActionState.SKIPPED,
    ActionState.CANCELLED,
)


def totals(session: Session) -> Counts:
    """All counts since the database exists, in one statement a table and one for tallies."""
    counts: Counts = collections.Counter()
    for of_rows in _COUNTED.values():
        counts.update(of_rows(session))
    for name, value in session.execute(select(Tally.name, Tally.value)):
        counts[tuple(json.loads(name))] += value
    return counts


@contextmanager
def preserved(queryable: Queryable, table: FromClause, rows: ColumnElement[bool]) -> Iterator[None]:
    """Keep all counts as they are, whatever happens inside the ``with`` to these *rows*.

    The caller's transaction holds the counting and the change together.
    """
    of_rows = _COUNTED.get(table)
    if of_rows is None:
        yield
        return
    lost = of_rows(queryable, rows)
    yield
    lost.subtract(of_rows(queryable, rows))
    add(queryable, lost)


def add(queryable: Queryable, counts: Counts) -> None:
    """Count what no row tells.  DBDuplicateEntry if somebody else is the first to, too."""
    for labels, value in sorted(counts.items()):
        if value == 0:
            continue
        name = json.dumps(labels, ensure_ascii=False)
        grown = queryable.execute(
            update(Tally).where(Tally.name == name).values(value=Tally.value + value)
        )
        if grown.rowcount == 0:  # type: ignore[attr-defined]
            queryable.execute(insert(Tally).values(name=name, value=value))


def add_take_over(session: Session, of: str) -> None:
    """Count that a RUN or an ACTION_PLAN whose holder died has another one now."""
    add(session, collections.Counter({(TAKE_OVERS, of): 1}))


def add_promise(session: Session, strategy: str, kept: float) -> None:
    """Count that a plan of *strategy* was found to have *kept* that share of its promise.

    Only here, not in rows: a scrape must not read a history that grows.
    """
    error = abs(1 - kept)
    kind = (PROMISE_ERROR, strategy)
    counts: Counts = collections.Counter(
        {(*kind, str(bound)): 1 for bound in PROMISE_BUCKETS if error <= bound}
    )
    counts.update({(*kind, ALL): 1, (*kind, SUM): round(1000 * error)})
    add(session, counts)


def _of_events(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    labels = (AuditEvent.source, AuditEvent.decision, AuditEvent.decision_reason)
    found = queryable.execute(select(*labels, func.count()).where(*rows).group_by(*labels))
    return collections.Counter(
        {
            (EVENTS, source, decision, reason or ""): number
            for source, decision, reason, number in found
        }
    )


def _of_runs(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    """One row a state, strategy and kind of audit, with every count as a column."""
    of_audit, of_plan = aliased(Strategy), aliased(Strategy)
    strategy = func.coalesce(of_audit.name, of_plan.name, "")
    by_event = Audit.audit_type == AuditType.EVENT
    labels = (AuditRun.state, strategy, by_event)
    found = queryable.execute(
        select(
            *labels,
            func.count(),
            func.sum(AuditRun.coalesced_count),
            *_spread(_Milliseconds(AuditRun.started_at, AuditRun.finished_at), RUN_BUCKETS),
            *_spread(_Milliseconds(AuditRun.created_at, AuditRun.finished_at), PLAN_BUCKETS),
        )
        .join(Audit, Audit.id == AuditRun.audit_id)
        .outerjoin(of_audit, of_audit.id == Audit.strategy_id)
        .outerjoin(ActionPlan, ActionPlan.id == AuditRun.action_plan_id)
        .outerjoin(of_plan, of_plan.id == ActionPlan.strategy_id)
        .where(*rows)
        .group_by(*labels)
    )
    counts: Counts = collections.Counter()
    width = len(RUN_BUCKETS) + 2
    for state, name, is_event, number, coalesced, *times in found:
        counts[(COALESCED,)] += int(coalesced)
        if state not in _RUN_ENDS:
            continue
        counts[RUNS, state, name] += number
        _gather(counts, (RUN_TIME, state, name), RUN_BUCKETS, times[:width])
        if is_event and state == RunState.SUCCEEDED:
            _gather(counts, (PLAN_TIME,), PLAN_BUCKETS, times[width:])
    return counts


def _of_actions(queryable: Queryable, *rows: ColumnElement[bool]) -> Counts:
    labels = (Action.action_type, Action.state)
    ended = Action.state.in_(_ACTION_ENDS)
    found = queryable.execute(select(*labels, func.count()).where(ended, *rows).group_by(*labels))
    return collections.Counter(
        {(ACTIONS, action_type, state or ""): number for action_type, state, number in found}
    )


_COUNTED: Final[dict[FromClause, Callable[..., Counts]]] = {
    AuditEvent.__table__: _of_events,
    AuditRun.__table__: _of_runs,
    Action.__table__: _of_actions,
}


def _spread(elapsed: "_Milliseconds", buckets: tuple[float, ...]) -> list[ColumnElement[Any]]:
    """Columns of a histogram: how many rows up to each bound, how many in all, and the sum."""
    bounds = [func.sum(case((elapsed <= round(bound * 1000), 1), else_=0)) for bound in buckets]
    return [*bounds, func.count(elapsed), func.sum(elapsed)]


def _gather(
    counts: Counts, labels: tuple[str, ...], buckets: tuple[float, ...], columns: list[Any]
) -> None:
    for key, value in zip((*map(str, buckets), ALL, SUM), columns, strict=True):
        counts[(*labels, key)] += int(value or 0)


class _Milliseconds(FunctionElement[int]):
    """From one time to another; null if one of them is."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Milliseconds, "sqlite")  # type: ignore[no-untyped-call, untyped-decorator]
def _sqlite(element: _Milliseconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(ROUND((julianday({end}) - julianday({start})) * 86400000) AS INTEGER)"


@compiles(_Milliseconds, "mysql", "mariadb")  # type: ignore[no-untyped-call, untyped-decorator]
def _mysql(element: _Milliseconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"ROUND(TIMESTAMPDIFF(MICROSECOND, {start}, {end}) / 1000)"


@compiles(_Milliseconds, "postgresql")  # type: ignore[no-untyped-call, untyped-decorator]
def _postgresql(element: _Milliseconds, compiler: Any, **options: Any) -> str:
    start, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM {end} - {start}) * 1000 AS BIGINT)"
