# SPDX-License-Identifier: Apache-2.0
"""Faults that a simulation has to find: each takes one safeguard out of the services.

They are patches of names, not of lines, so they outlive most changes of the code; a name that
is gone makes its mutant fail at once.
"""

import contextlib
import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from sqlalchemy import true, update

from watcher.api import intake
from watcher.applier import reopening
from watcher.applier.actions.migrate import Migrate
from watcher.db import claims, inbox, leases, runs, starts, unchanged
from watcher.db.models import ActionPlanLease, AuditRun
from watcher.decision_engine import retries

_PATCHES = list[tuple[Any, str, Any]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    """What is no longer so."""
    patches: Callable[[], _PATCHES]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for owner, name, value in self.patches():
                stack.enter_context(mock.patch.object(owner, name, value))
            yield


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _none(*_: Any, **__: Any) -> tuple[Any, ...]:
    return ()


def _everywhere(real: Callable[..., Any]) -> Callable[..., Any]:
    """A change of state that does not look what the state is."""

    def move(session: Any, row: Any, row_id: int, table: Any, target: str, *_: Any, **values: Any):
        statement = update(row).where(row.id == row_id).values(state=target, **values)
        session.execute(statement.execution_options(synchronize_session=False))
        return True

    return move


def _later(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A function whose argument *now* is two minutes too late."""

    @functools.wraps(real)
    def late(*args: Any, **kwargs: Any) -> Any:
        shifted = list(args)
        shifted[at] += datetime.timedelta(minutes=2)
        return real(*shifted, **kwargs)

    return late


def _released(session: Any, run: AuditRun, state: str, **values: Any) -> None:
    statement = update(AuditRun).where(AuditRun.id == run.id).values(state=state, **values)
    session.execute(statement.execution_options(synchronize_session=False))


def _extended_for_all(session: Any, run_ids: Any, lease: Any, now: Any) -> None:
    session.execute(
        update(AuditRun)
        .where(AuditRun.id.in_(run_ids), AuditRun.state == "ONGOING")
        .values(lease_expires_at=now + lease.duration)
        .execution_options(synchronize_session=False)
    )


def _plans_extended_for_all(session: Any, plan_ids: Any, lease: Any, now: Any) -> None:
    session.execute(
        update(ActionPlanLease)
        .where(ActionPlanLease.action_plan_id.in_(plan_ids))
        .values(expires_at=now + lease.duration)
        .execution_options(synchronize_session=False)
    )


def _own_too(session: Any, now: Any, limit: int, engine: str, dropped: Any = ()) -> Any:
    return _LAPSED(session, now + datetime.timedelta(minutes=2), limit, "", dropped)


def _joined_unseen(session: Any, audit_id: int, run_id: int, chosen: Any) -> None:
    if chosen:
        runs.count_coalesced(session, run_id, len(chosen))
        inbox._give(session, audit_id, run_id, [each.id for each in chosen], "COALESCED")


def _any_waiting(session: Any, audit_id: int) -> Any:
    """A run that is under way is taken for one that waits."""
    return (
        _WAITING(session, audit_id)
        or session.query(AuditRun).filter_by(audit_id=audit_id, state="ONGOING").first()
    )


def _given_up(session: Any, run: AuditRun, now: Any) -> None:
    claims.finish(session, run, "CANCELLED", now, "Nothing was kept.")


_LAPSED, _WAITING = claims.lapsed, runs.waiting

MUTANTS = (
    Mutant(
        "a run is claimed whatever its state is",
        lambda: [(claims, "move", _everywhere(claims.move))],
    ),
    Mutant(
        "a plan is claimed whatever its state is",
        lambda: [(leases, "move", _everywhere(leases.move))],
    ),
    Mutant("the heartbeat keeps no run", lambda: [(claims, "extend", _nothing)]),
    Mutant("the heartbeat keeps no plan", lambda: [(leases, "extend", _nothing)]),
    Mutant(
        "the heartbeat keeps runs that are another engine's",
        lambda: [(claims, "extend", _extended_for_all)],
    ),
    Mutant(
        "the heartbeat keeps plans that are another applier's",
        lambda: [(leases, "extend", _plans_extended_for_all)],
    ),
    Mutant(
        "a run is taken over before its claim ends",
        lambda: [
            (claims, "lapsed", _later(claims.lapsed, 1)),
            (claims, "take_over", _later(claims.take_over, 3)),
        ],
    ),
    Mutant(
        "a plan is taken over before its claim ends",
        lambda: [
            (leases, "abandoned", _later(leases.abandoned, 1)),
            (leases, "take_over", _later(leases.take_over, 3)),
        ],
    ),
    Mutant(
        "an engine takes over what it has in hand",
        lambda: [
            (claims, "lapsed", _own_too),
            (claims, "take_over", _later(claims.take_over, 3)),
        ],
    ),
    Mutant("no run of a dead engine is taken over", lambda: [(claims, "lapsed", _none)]),
    Mutant("no plan of a dead applier is taken over", lambda: [(leases, "abandoned", _none)]),
    Mutant(
        "a claim from a clock that is ahead holds until then",
        lambda: [(unchanged.Unchanged, "ends", lambda self, claims: {})],
    ),
    Mutant(
        "an engine that lost a run writes its end",
        lambda: [(claims, "_release", _released)],
    ),
    Mutant(
        "an applier that lost a plan goes on writing it",
        lambda: [(leases, "held", lambda plan_id, engine: true())],
    ),
    Mutant(
        "an event is answered and not kept",
        lambda: [(intake.Intake, "_append", lambda self, rows: [None] * len(rows))],
    ),
    Mutant(
        "events beyond the limit count on runs with other parameters",
        lambda: [(intake.events, "same", lambda one, other: True)],
    ),
    Mutant(
        "events join a run with other parameters",
        lambda: [(inbox, "_like", lambda events, parameters: list(events))],
    ),
    Mutant(
        "events join a run that is claimed meanwhile",
        lambda: [(inbox, "_join", _joined_unseen)],
    ),
    Mutant("events join a run that is under way", lambda: [(runs, "waiting", _any_waiting)]),
    Mutant(
        "the events of a run that others replace are not given back",
        lambda: [(inbox, "give_back", _nothing)],
    ),
    Mutant(
        "the run of a suspended audit is dropped",
        lambda: [(claims, "_end_unwanted", _given_up)],
    ),
    Mutant(
        "a run that fails for a passing cause is given up",
        lambda: [(retries, "may_retry", lambda *_: False)],
    ),
    Mutant("runs that end at once take no turns", lambda: [(starts, "take_turn", _nothing)]),
    Mutant("a plan may start whatever others do", lambda: [(starts, "rival", _nothing)]),
    Mutant(
        "an action that was under way is begun again",
        lambda: [(Migrate, "resume", Migrate.execute)],
    ),
    Mutant(
        "no sweep opens the hosts of dead appliers",
        lambda: [(reopening.Reopening, "sweep", _nothing)],
    ),
    Mutant(
        "the end of a plan opens no hosts, and a sweep none that is asked for",
        lambda: [
            (reopening.Reopening, "after", _none),
            (reopening.closings, "owners", lambda session, uuids: {}),
        ],
    ),
)
