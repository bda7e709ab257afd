# SPDX-License-Identifier: Apache-2.0
"""Events that come at the same time, written in as few statements as one of them takes."""

import collections
import dataclasses
import datetime
from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.states import Decision, RunState
from watcher.common.webhook import Facts
from watcher.db import events
from watcher.db.events import Parameters, Recorded
from watcher.db.models import AuditEvent, AuditRun

Delivery = tuple[int, str]
"""An audit and a delivery key: what no two rows have in common."""


@dataclasses.dataclass(frozen=True)
class Admitted:
    """An event that a run is to act on, with these parameters."""

    facts: Facts
    event: Event
    parameters: Parameters
    now: datetime.datetime

    def accept(self, session: Session) -> Recorded:
        return events.accept(session, self.facts, self.event, self.parameters, self.now)

    @property
    def delivery(self) -> Delivery | None:
        return delivery(self.facts, self.event)


def delivery(facts: Facts, event: Event) -> Delivery | None:
    return None if event.delivery is None else (facts.audit_id, events.key(event.delivery))


def known(connection: Connection, deliveries: Collection[Delivery]) -> set[Delivery]:
    """Those of which there is a row."""
    if not deliveries:
        return set()
    rows = connection.execute(_KNOWN, {"keys": sorted(deliveries)})
    return {(row.audit_id, row.delivery_key) for row in rows}


def accept(session: Session, admitted: Sequence[Admitted]) -> list[Recorded]:
    """``events.accept`` for each of them.

    Those that are new and join a run which waits go together; the others, one by one.
    """
    # Without the ORM, which has nothing to add to plain rows.
    connection = session.connection()
    joining = _joining(connection, admitted) if len(admitted) > 1 else []
    recorded = dict(zip(joining, _join(connection, [admitted[n] for n in joining]), strict=True))
    for number, each in enumerate(admitted):
        if number not in recorded:
            recorded[number] = each.accept(session)
    return [recorded[number] for number in range(len(admitted))]


def _joining(connection: Connection, admitted: Sequence[Admitted]) -> list[int]:
    """Which of them only join a run.  Locks those runs, so that they wait until the end."""
    wanted = {each.facts.waiting_id for each in admitted} - {None}
    # Runs before events, as everybody locks them.
    waiting = set(connection.scalars(_WAITING, {"ids": sorted(filter(None, wanted))}))
    taken = known(connection, {each.delivery for each in admitted if each.delivery})
    joining = []
    for number, each in enumerate(admitted):
        full = each.facts.full_until is not None
        if each.facts.waiting_id in waiting and not full and each.delivery not in taken:
            joining.append(number)
            if each.delivery:
                taken.add(each.delivery)
    return joining


def _join(connection: Connection, admitted: Sequence[Admitted]) -> list[Recorded]:
    """Write events of runs that are locked, and count them on the runs."""
    if not admitted:
        return []
    by_run = collections.Counter(each.facts.waiting_id for each in admitted)
    for number in sorted(set(by_run.values())):
        ids = sorted(run_id for run_id, times in by_run.items() if times == number and run_id)
        connection.execute(_COUNT, {"ids": ids, "number": number})
    rows = [
        events.row(
            each.facts,
            each.event,
            each.now,
            Decision.COALESCED,
            None,
            each.facts.waiting_id,
            each.parameters,
        )
        for each in admitted
    ]
    connection.execute(_INSERT, rows)
    return [Recorded(Decision.COALESCED, None, row["uuid"], row["run_id"]) for row in rows]


_RUNS: Final = AuditRun.__table__
_EVENTS: Final = AuditEvent.__table__
_WAITING: Final = (
    select(_RUNS.c.id)
    .where(_RUNS.c.id.in_(bindparam("ids", expanding=True)), _RUNS.c.state == RunState.QUEUED)
    .order_by(_RUNS.c.id)
    .with_for_update()
)
_KNOWN: Final = select(_EVENTS.c.audit_id, _EVENTS.c.delivery_key).where(
    tuple_(_EVENTS.c.audit_id, _EVENTS.c.delivery_key).in_(bindparam("keys", expanding=True))
)
_COUNT: Final = (
    update(_RUNS)  # type: ignore[arg-type]
    .where(_RUNS.c.id.in_(bindparam("ids", expanding=True)))
    .values(coalesced_count=_RUNS.c.coalesced_count + bindparam("number"))
)
_INSERT: Final = insert(_EVENTS)  # type: ignore[arg-type]
