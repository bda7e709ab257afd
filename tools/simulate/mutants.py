# SPDX-License-Identifier: Apache-2.0
"""Faults that a simulation has to find: each takes one safeguard out of the services.

They are patches of names, not of lines, so they outlive most changes of the code; a name that
is gone makes its mutant fail at once.
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from sqlalchemy import select, true

from watcher.api import intake
from watcher.api.intake import Intake
from watcher.applier import enabling
from watcher.applier.actions.migrate import Migrate
from watcher.applier.enabling import Enabling
from watcher.applier.interrupts import Interrupts
from watcher.applier.service import Applier
from watcher.common.alarms import PendingRun
from watcher.db import (
    action_plans,
    claims,
    events,
    inbox,
    leases,
    plan_claims,
    run_ends,
    runs,
    transitions,
)
from watcher.db.dispatcher import Dispatcher
from watcher.db.models import ActionPlan, ActionPlanLease, Audit, AuditRun
from watcher.db.session import Database
from watcher.db.timeouts import LockWait
from watcher.decision_engine import retries
from watcher.decision_engine.run_dispatcher import RunDispatcher
from watcher.decision_engine.runner import Runner

_PATCHES = list[tuple[Any, str, Any]]


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    """The rule that no longer holds."""
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


def _blind_move(
    session: Any, row: Any, table: Any, target: str, which: Any, *_: Any, **values: Any
) -> int:
    """A change of state that compares only the id."""
    return transitions._update(session, row, which, state=target, **values)


def _blind_extend(session: Any, key: Any, ids: Any, holder: Any, now: Any, *_: Any) -> None:
    """A heartbeat that extends the claims of other processes."""
    end = holder.lease(now)["lease_expires_at"]
    transitions.update_rows(session, key.class_, key.in_(ids), lease_expires_at=end)


def _with_present_end(real: Callable[..., Any], key: Any, end: Any) -> Callable[..., Any]:
    """A take-over that does not check whether the claim is still the lapsed one."""

    def take_over(session: Any, of: int, holder: Any, now: Any, *_: Any, **__: Any) -> Any:
        return real(session, of, holder, now, session.scalar(select(end).where(key == of)))

    return take_over


def _with_own(self: Dispatcher[Any, Any], session: Any) -> Any:
    """The claims that have lapsed, also those of this process after a late heartbeat."""
    return self._watch.lapsed(self._claims.of_all(session))


def _pending(session: Any, *_: Any) -> list[int]:
    """The plans that no applier has begun."""
    return list(session.scalars(select(ActionPlan.id).where(ActionPlan.state == "PENDING")))


def _once_seen(self: Any, claims: Any) -> dict[int, Any]:
    """Claims lapse after some time, even with heartbeats."""
    seen = {key: (end, self._seen.get(key, (0, self._clock()))[1]) for key, end in claims}
    self._seen = seen
    old = self._clock() - self._seconds
    return {key: end for key, (end, since) in seen.items() if since <= old}


def _released(session: Any, run: AuditRun, state: str, **values: Any) -> None:
    transitions._update(session, AuditRun, AuditRun.id == run.id, state=state, **values)


def _taken_late(session: Any, audit_id: int, *rest: Any, **more: Any) -> None:
    """A run that is under way is taken for one that waits."""
    run = session.query(AuditRun).filter_by(audit_id=audit_id, state="ONGOING").first()
    if run is None:
        _QUEUE_RUN(session, audit_id, *rest, **more)
    else:
        event_ids = [each.id for each in inbox._arrived(session, audit_id)]
        runs.count_coalesced(session, run.id, len(event_ids))
        inbox._assign(session, run.id, event_ids, "COALESCED")


def _given_up(session: Any, run: AuditRun, now: Any) -> None:
    run_ends.finish(session, run, "CANCELLED", now, "Nothing was kept.")


def _put_back_as_dead(session: Any, run: AuditRun, now: Any, **values: Any) -> None:
    run.deaths += 1
    _PUT_BACK(session, run, now, **values)


def _patient_write(self: Database, work: Any) -> Any:
    for _ in range(10):
        try:
            return _WRITE(self, work)
        except LockWait as error:
            last = error
    raise last


def _moved_audit(session: Any, run: AuditRun, state: str, now: Any, **values: Any) -> bool:
    transitions._update(session, Audit, Audit.id == run.audit_id, state=state, **values)
    return True


_QUEUE_RUN, _PUT_BACK, _WRITE = inbox.queue_run, run_ends.put_back, Database.write
_RUN = (AuditRun.id, AuditRun.lease_expires_at)
_LEASE = (ActionPlanLease.action_plan_id, ActionPlanLease.lease_expires_at)

MUTANTS = (
    Mutant("a run is claimed whatever its state is", lambda: [(claims, "move", _blind_move)]),
    Mutant("a plan is claimed whatever its state is", lambda: [(plan_claims, "move", _blind_move)]),
    Mutant("the heartbeat keeps no run", lambda: [(claims, "extend", _nothing)]),
    Mutant("the heartbeat keeps no plan", lambda: [(plan_claims, "extend", _nothing)]),
    Mutant(
        "the heartbeat keeps what another process holds",
        lambda: [(leases, "extend", _blind_extend)],
    ),
    Mutant(
        "claims lapse at once",
        lambda: [(leases.Watch, "lapsed", lambda self, claims: dict(claims))],
    ),
    Mutant("claims lapse in spite of heartbeats", lambda: [(leases.Watch, "lapsed", _once_seen)]),
    Mutant(
        "a run is taken over again from who has just taken it over",
        lambda: [(claims, "take_over", _with_present_end(claims.take_over, *_RUN))],
    ),
    Mutant(
        "a plan is taken over again from who has just taken it over",
        lambda: [(plan_claims, "take_over", _with_present_end(plan_claims.take_over, *_LEASE))],
    ),
    Mutant(
        "a process takes over what it holds",
        lambda: [(Dispatcher, "_lapsed", _with_own)],
    ),
    Mutant("no run of a dead engine is taken over", lambda: [(claims, "of_all", _none)]),
    Mutant("no plan of a dead applier is taken over", lambda: [(plan_claims, "of_all", _none)]),
    Mutant("no plan that was let go is taken over", lambda: [(plan_claims, "due", _pending)]),
    Mutant(
        "an engine that lost a run writes its end",
        lambda: [(run_ends, "_release", _released)],
    ),
    Mutant(
        "an applier that lost a plan goes on writing it",
        lambda: [(plan_claims, "held", lambda plan_id, engine: true())],
    ),
    Mutant(
        "an event is answered and not kept",
        lambda: [(events, "append", _none)],
    ),
    Mutant(
        "events beyond the limit count on runs with other parameters",
        lambda: [(events, "same", lambda one, other: True)],
    ),
    Mutant(
        "events join a run with other parameters",
        lambda: [(inbox, "_with_parameters", lambda events, parameters: list(events))],
    ),
    Mutant(
        "events beyond the limit are recorded",
        lambda: [(intake, "_covering", _nothing)],
    ),
    Mutant(
        "events beyond the limit are dropped",
        lambda: [(intake, "_covering", lambda *_: PendingRun({}))],
    ),
    Mutant("events join a run that is under way", lambda: [(inbox, "queue_run", _taken_late)]),
    Mutant(
        "the events of a run that others replace are not given back",
        lambda: [(inbox, "give_back", _nothing)],
    ),
    Mutant(
        "the run of a suspended audit is dropped",
        lambda: [(run_ends, "end_unwanted", _given_up)],
    ),
    Mutant(
        "a run that fails for a passing cause is given up",
        lambda: [(retries, "may_retry", lambda *_: False)],
    ),
    Mutant(
        "a run is begun however often its engines died",
        lambda: [(Runner, "_check_deaths", _nothing)],
    ),
    Mutant(
        "a plan is carried out however often its appliers died",
        lambda: [(Applier, "_check_deaths", _nothing)],
    ),
    Mutant(
        "a run that is put back counts as a death",
        lambda: [(run_ends, "put_back", _put_back_as_dead)],
    ),
    Mutant(
        "deaths count over a plan that goes on",
        lambda: [(plan_claims, "progress", _nothing)],
    ),
    Mutant(
        "a wait for a lock is tried again like a deadlock",
        lambda: [(Database, "write", _patient_write)],
    ),
    Mutant(
        "runs that end at once take no turns",
        lambda: [(action_plans, "lock_plan_starts", _nothing)],
    ),
    Mutant(
        "nobody counts the plans that end",
        lambda: [(action_plans, "count_end", _nothing)],
    ),
    Mutant(
        "a run begins while a plan is under way",
        lambda: [(runs, "waits_for_plans", lambda audit: False)],
    ),
    Mutant(
        "a plan may start whatever others do",
        lambda: [(action_plans, "conflicting_plan", _nothing)],
    ),
    Mutant(
        "an action that was under way is begun again",
        lambda: [(Migrate, "resume", Migrate.execute)],
    ),
    Mutant(
        "nobody looks for rows without a doorbell",
        lambda: [(Dispatcher, "pause", lambda *_: 1e6)],
    ),
    Mutant(
        "a run may take as long as it likes",
        lambda: [(RunDispatcher, "beat", Dispatcher.beat)],
    ),
    Mutant("a cancelled audit goes on", lambda: [(run_ends, "move_audit", _moved_audit)]),
    Mutant("a cancelled plan goes on", lambda: [(Interrupts, "cancel", lambda self: False)]),
    Mutant(
        "a run begins before its debounce is over",
        lambda: [(inbox, "earliest_start", lambda received, *_: received)],
    ),
    Mutant(
        "a run begins before the cooldown is over",
        lambda: [(runs, "cooled_down_at", _nothing)],
    ),
    Mutant(
        "an hour passes twice when clocks are set back",
        lambda: [(runs, "_AHEAD", datetime.timedelta(days=1))],
    ),
    Mutant(
        "alarms wait for a transaction that hangs",
        lambda: [(Intake.__init__, "__defaults__", (1e6,))],
    ),
    Mutant(
        "no sweep enables the hosts of dead appliers",
        lambda: [(Enabling, "sweep", _nothing)],
    ),
    Mutant(
        "hosts stay disabled that plans disabled for a while",
        lambda: [
            (Enabling, "enable_hosts_of", _none),
            (enabling, "is_temporary", lambda *_: False),
        ],
    ),
)
