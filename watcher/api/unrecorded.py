# SPDX-License-Identifier: Apache-2.0
"""Counts of events without a row: all beyond the rate limit, except an ACCEPTED one that no pending
run covers; and messages that cannot be read.  Also counts of repeated deliveries, because another
transaction may have locked the row on which they count.

They are counted in memory, and the counts are written once a second.  If the process dies, a count
is too small, and no alarm is lost.
"""

import collections
import threading
from typing import Final, NamedTuple

from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.alarms import PendingRun
from watcher.common.periodic import LateThread
from watcher.db import counters, events, runs
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


class _PendingRunKey(NamedTuple):
    """The run that covers an event, or the event in the inbox that will get that run."""

    run_id: int | None
    event_id: int | None


class UnrecordedEvents:
    """Counts of unrecorded events and of repetitions, written once a second by a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: collections.Counter[_Kind] = collections.Counter()
        self._covered: collections.Counter[_PendingRunKey] = collections.Counter()
        self._repeated: collections.Counter[str] = collections.Counter()
        """By the UUID of the event."""
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = LateThread("unrecorded", self._loop)

    def count(
        self,
        audit_uuid: str,
        source: str,
        decision: str,
        reason: str | None,
        pending_run: PendingRun | None = None,
    ) -> None:
        """Count an event by its decision, and for the *pending_run* that covers it, if any."""
        with self._changed:
            self._seen[_Kind(audit_uuid, source, decision, reason or "")] += 1
            if pending_run is not None:
                self._covered[_PendingRunKey(pending_run.run_id, pending_run.event_id)] += 1
            self._notify()

    def repeat(self, event_uuid: str) -> None:
        """Count a repeated delivery of an event."""
        with self._changed:
            self._repeated[event_uuid] += 1
            self._notify()

    def _notify(self) -> None:
        if not self._stopped.is_set():
            self._thread.ensure()
        self._changed.notify()

    def stop(self) -> None:
        """Stop the thread, and write the remaining counts."""
        self._stopped.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()
        self.flush()

    def flush(self) -> bool:
        """Write the counts now.  False if that fails; they are kept for the next time."""
        repeated = self._flush_repeated()
        return self._flush_unrecorded() and repeated

    def _flush_repeated(self) -> bool:
        with self._changed:
            repeated, self._repeated = self._repeated, collections.Counter()
        if not repeated:
            return True
        try:
            self._database.write(lambda session: events.repeat(session, repeated))
        except DBError as error:
            with self._changed:
                self._repeated.update(repeated)
            LOG.debug("Repeated deliveries cannot be counted yet: %s", error)
            return False
        return True

    def _flush_unrecorded(self) -> bool:
        with self._changed:
            seen, self._seen = self._seen, collections.Counter()
            covered, self._covered = self._covered, collections.Counter()
        if not (seen or covered):
            return True
        totals: counters.Counts = collections.Counter()
        for kind, number in seen.items():
            totals[counters.EVENTS, kind.source, kind.decision, kind.reason] += number

        def work(session: Session) -> collections.Counter[_PendingRunKey]:
            of_runs, waiting = _by_run(session, covered)
            # In the order of the ids, so that no two processes deadlock.
            for run_id, number in sorted(of_runs.items()):
                runs.count_coalesced(session, run_id, number)
            counters.add(session, totals)
            return waiting

        try:
            waiting = self._database.write(work)
        except DBError as error:
            with self._changed:
                self._seen.update(seen)
                self._covered.update(covered)
            LOG.debug("Counts of unrecorded events cannot be written yet: %s", error)
            return False
        with self._changed:
            self._covered.update(waiting)
        for kind, number in seen.items():
            LOG.info(
                "%d unrecorded events: %s%s, audit %s, source %s",
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
                self._changed.wait_for(
                    lambda: self._seen or self._covered or self._repeated or self._stopped.is_set()
                )
            self._stopped.wait(_PAUSE)
            before, written = written, self.flush()
            if before and not written:
                LOG.warning("Counts of unrecorded events and repetitions cannot be written yet")


def _by_run(
    session: Session, covered: collections.Counter[_PendingRunKey]
) -> tuple[collections.Counter[int], collections.Counter[_PendingRunKey]]:
    """The counts by run, and those whose event has no run yet."""
    of_runs: collections.Counter[int] = collections.Counter()
    waiting: collections.Counter[_PendingRunKey] = collections.Counter()
    for cover, number in covered.items():
        run_id = cover.run_id
        if run_id is None:
            event = session.execute(
                select(AuditEvent.run_id, AuditEvent.inbox).where(AuditEvent.id == cover.event_id)
            ).first()
            if event is not None and event.inbox is not None:
                waiting[cover] = number
            run_id = event and event.run_id
        if run_id is not None:
            of_runs[run_id] += number
    return of_runs, waiting
