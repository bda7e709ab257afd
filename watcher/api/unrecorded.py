# SPDX-License-Identifier: Apache-2.0
"""The counts of a unrecorded: events that nobody wrote down, since there were too many.

Such an event costs no write of its own.  What is kept here until the next second is only
how many there were; if the process dies, a number is too small and no alarm is lost.
"""

import collections
import threading
from typing import Final, NamedTuple

from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.alarms import PendingRun
from watcher.db import counters, runs
from watcher.db.models import AuditEvent
from watcher.db.session import Database

LOG = log.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds between two writes of the counts."""


class _Kind(NamedTuple):
    audit_uuid: str
    source: str
    decision: str
    reason: str


class _Place(NamedTuple):
    """The run that covers an event, or the event that is to get that run."""

    run_id: int | None
    event_id: int | None


class UnrecordedEvents:
    """Counts of events without a row, written once a second by a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: collections.Counter[_Kind] = collections.Counter()
        self._joined: collections.Counter[_Place] = collections.Counter()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def count(
        self,
        audit_uuid: str,
        source: str,
        decision: str,
        reason: str | None,
        pending_run: PendingRun | None = None,
    ) -> None:
        """Count an event by what became of it, on the *pending_run* that covers it if one does."""
        with self._changed:
            self._seen[_Kind(audit_uuid, source, decision, reason or "")] += 1
            if pending_run is not None:
                self._joined[_Place(pending_run.run_id, pending_run.event_id)] += 1
            if self._thread is None and not self._stopped.is_set():
                # Not in the constructor: a thread does not survive the fork of a
                # server that loads the application first.
                self._thread = threading.Thread(target=self._loop, name="unrecorded", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Write what is left."""
        self._stopped.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def flush(self) -> bool:
        """Write the counts now.  False if the database does not take them; they are kept."""
        with self._changed:
            seen, self._seen = self._seen, collections.Counter()
            joined, self._joined = self._joined, collections.Counter()
        if not (seen or joined):
            return True
        totals: counters.Counts = collections.Counter()
        for kind, number in seen.items():
            totals[counters.EVENTS, kind.source, kind.decision, kind.reason] += number

        def work(session: Session) -> collections.Counter[_Place]:
            of_runs, waiting = _by_run(session, joined)
            # In one order, whoever flushes, so that no two wait for each other.
            for run_id, number in sorted(of_runs.items()):
                runs.count_coalesced(session, run_id, number)
            counters.add(session, totals)
            return waiting

        try:
            waiting = self._database.write(work)
        except DBError as error:
            with self._changed:
                self._seen.update(seen)
                self._joined.update(joined)
            LOG.debug("The counts of events without a row wait: %s", error)
            return False
        with self._changed:
            self._joined.update(waiting)
        for kind, number in seen.items():
            LOG.info(
                "%d more events (not recorded): %s%s, audit %s, source %s",
                number,
                kind.decision,
                f" ({kind.reason})" if kind.reason else "",
                kind.audit_uuid,
                kind.source,
            )
        return True

    def _loop(self) -> None:
        written = True
        while not self._stopped.is_set():
            with self._changed:
                while not (self._seen or self._joined) and not self._stopped.is_set():
                    self._changed.wait()
            self._stopped.wait(_PAUSE)
            before, written = written, self.flush()
            if before and not written:
                LOG.warning("The database does not answer; counts of events without a row wait.")


def _by_run(
    session: Session, joined: collections.Counter[_Place]
) -> tuple[collections.Counter[int], collections.Counter[_Place]]:
    """The counts by run, and those of events that still wait for theirs."""
    of_runs: collections.Counter[int] = collections.Counter()
    waiting: collections.Counter[_Place] = collections.Counter()
    for place, number in joined.items():
        run_id = place.run_id
        if run_id is None:
            event = session.execute(
                select(AuditEvent.run_id, AuditEvent.inbox).where(AuditEvent.id == place.event_id)
            ).first()
            if event is not None and event.inbox is not None:
                waiting[place] = number
            run_id = event and event.run_id
        if run_id is not None:
            of_runs[run_id] += number
    return of_runs, waiting
