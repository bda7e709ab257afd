# SPDX-License-Identifier: Apache-2.0
"""Leases: which process holds a run or plan, and when others may take it over.

A claim names the process that holds it and is a lease, which the heartbeat extends.  When it
has lapsed, any process may take it over.  Every write of a claimed row compares the holder,
so a process that has lost its claim writes nothing any more.
"""

import dataclasses
import datetime
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.db.transitions import update_rows


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process that claims rows, and how long its leases last without a heartbeat."""

    engine: str
    """Identifies the process, of a decision engine or an applier."""
    host: str
    duration: datetime.timedelta

    @classmethod
    def this_process(cls, conf: cfg.ConfigOpts) -> "Holder":
        return cls(
            engine=f"{conf.host}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            host=conf.host,
            duration=datetime.timedelta(seconds=conf.lease_duration),
        )

    def lease(self, now: datetime.datetime) -> dict[str, Any]:
        """The columns of a lease of this process, as it begins or is extended."""
        return {"engine": self.engine, "lease_expires_at": now + self.duration}


NONE: Final[dict[str, Any]] = {"engine": None, "lease_expires_at": None}
"""The columns of a row that no process holds."""


def has_died(session: Session, key: Any, row_id: int, holder: Holder) -> bool:
    """Whether the holder of a lapsed row has died, before *holder* takes the row over; *row_id* is
    a value of the column *key*.

    If *holder* held the row itself, the database did not answer when it ended or released the row.
    """
    engine = session.scalar(select(key.class_.engine).where(key == row_id))
    return bool(engine != holder.engine)


def extend(
    session: Session,
    key: Any,
    ids: Collection[int],
    holder: Holder,
    now: datetime.datetime,
    *conditions: Any,
) -> None:
    """Extend the leases of *holder* on rows; *ids* are values of the column *key*."""
    held = (key.in_(ids), key.class_.engine == holder.engine, *conditions)
    update_rows(session, key.class_, *held, **holder.lease(now))


class Watch:
    """Finds the leases that have lapsed, whatever the clocks of the nodes show.

    Each heartbeat changes the end of a lease.  A lease has lapsed when this process has seen the
    same end for the whole duration of a lease, by its own monotonic clock.  The end is not compared
    with the time of this node: if its clock were ahead, it would take rows from processes that are
    alive.  An object is for one thread.
    """

    def __init__(
        self, duration: datetime.timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._clock = duration.total_seconds(), clock
        self._seen: dict[int, tuple[datetime.datetime, float]] = {}

    def lapsed(
        self, leases: Iterable[tuple[int, datetime.datetime]]
    ) -> Mapping[int, datetime.datetime]:
        """Lapsed leases, id to end; *leases*: all present ones."""
        now = self._clock()
        seen = {}
        for row_id, end in leases:
            before = self._seen.get(row_id)
            seen[row_id] = before if before is not None and before[0] == end else (end, now)
        self._seen = seen
        return {
            row_id: end for row_id, (end, since) in seen.items() if now - since >= self._seconds
        }
