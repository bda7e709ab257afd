# SPDX-License-Identifier: Apache-2.0
"""Events that come at the same time, written in as few statements as one of them takes."""

import collections
import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.states import Decision, RunState
from watcher.common.webhook import Facts
from watcher.db import events
from watcher.db.events import Parameters, Recorded
from watcher.db.models import AuditEvent, AuditRun
from watcher.db.session import Lost

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


def accept(
    connection: Connection, admitted: Sequence[Admitted], repeated: Collection[Delivery]
) -> list[Recorded]:
    """``events.accept`` for each of them.  Lost if a run that waited does no longer.

    Those that are new and join a run which waits go together; the others, one by one.
    *repeated* are the deliveries among them that are known.
    """
    joining = _joining(admitted, repeated)
    recorded = dict(zip(joining, _join(connection, [admitted[n] for n in joining]), strict=True))
    if len(recorded) < len(admitted):
        with Session(connection) as session, session.begin():
            for number, each in enumerate(admitted):
                if number not in recorded:
                    recorded[number] = each.accept(session)
    return [recorded[number] for number in range(len(admitted))]


def _joining(admitted: Sequence[Admitted], repeated: Collection[Delivery]) -> list[int]:
    """Which of them have only to join a run."""
    taken = set(repeated)
    joining = []
    for number, each in enumerate(admitted):
        full, own = each.facts.full_until is not None, each.delivery
        if each.facts.waiting_id is not None and not full and own not in taken:
            joining.append(number)
            if own:
                taken.add(own)
    return joining


def _join(connection: Connection, admitted: Sequence[Admitted]) -> list[Recorded]:
    """Count events on their runs, which locks these, and write the events."""
    if not admitted:
        return []
    _count(connection, collections.Counter(each.facts.waiting_id or 0 for each in admitted))
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


def _count(connection: Connection, numbers: Mapping[int, int]) -> None:
    """Count so many events on each run."""
    # All at first, in one order, so that no two transactions wait for each other.
    if connection.execute(_COUNT, {"ids": sorted(numbers), "number": 1}).rowcount < len(numbers):
        raise Lost
    for more in sorted({number - 1 for number in numbers.values()} - {0}):
        ids = sorted(run_id for run_id, number in numbers.items() if number - 1 == more)
        connection.execute(_COUNT, {"ids": ids, "number": more})


_RUNS: Final = AuditRun.__table__
_EVENTS: Final = AuditEvent.__table__
_KNOWN: Final = select(_EVENTS.c.audit_id, _EVENTS.c.delivery_key).where(
    tuple_(_EVENTS.c.audit_id, _EVENTS.c.delivery_key).in_(bindparam("keys", expanding=True))
)
_COUNT: Final = (
    update(_RUNS)  # type: ignore[arg-type]
    .where(_RUNS.c.id.in_(bindparam("ids", expanding=True)), _RUNS.c.state == RunState.QUEUED)
    .values(coalesced_count=_RUNS.c.coalesced_count + bindparam("number"))
)
_INSERT: Final = insert(_EVENTS)  # type: ignore[arg-type]
