# SPDX-License-Identifier: Apache-2.0
"""The counts of a flood: events that nobody wrote down, since there were too many.

Such an event costs no write of its own.  What is kept here until the next second is only
how many there were; if the process dies, a number is too small and no alarm is lost.
"""

import collections
import threading
from typing import Final, NamedTuple

from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.orm import Session

from watcher.common.event import Event
from watcher.common.webhook import Facts
from watcher.db import counters, events
from watcher.db.events import Recorded
from watcher.db.session import Database

LOG = log.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds between two writes of the counts."""


class _Kind(NamedTuple):
    audit_uuid: str
    source: str
    decision: str
    reason: str
    run_id: int | None


class Flood:
    """Counts of events without a row, written once a second by a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: collections.Counter[_Kind] = collections.Counter()
        self._joined: collections.Counter[int] = collections.Counter()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, facts: Facts, event: Event, recorded: Recorded) -> None:
        """Count an event by what became of it."""
        reason = recorded.reason or ""
        kind = _Kind(facts.audit_uuid, event.source, recorded.decision, reason, recorded.run_id)
        with self._changed:
            self._seen[kind] += 1
            if self._thread is None and not self._stopped.is_set():
                # Not in the constructor: a thread does not survive the fork of a
                # server that loads the application first.
                self._thread = threading.Thread(target=self._loop, name="flood", daemon=True)
                self._thread.start()
            self._changed.notify()

    def count_joined(self, run_id: int) -> None:
        """Count an event on the run that covers it, before ``count`` does the rest."""
        with self._changed:
            self._joined[run_id] += 1

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

        def work(session: Session) -> None:
            # In one order, whoever flushes, so that no two wait for each other.
            for run_id, number in sorted(joined.items()):
                events.count_coalesced(session, run_id, number)
            counters.add(session, totals)

        try:
            self._database.write(work)
        except DBError as error:
            with self._changed:
                self._seen.update(seen)
                self._joined.update(joined)
            LOG.debug("The counts of events without a row wait: %s", error)
            return False
        for kind, number in seen.items():
            LOG.info(
                "%d more events (not recorded): %s%s, run id %s, audit %s, source %s",
                number,
                kind.decision,
                f" ({kind.reason})" if kind.reason else "",
                kind.run_id,
                kind.audit_uuid,
                kind.source,
            )
        return True

    def _loop(self) -> None:
        written = True
        while not self._stopped.is_set():
            with self._changed:
                while not self._seen and not self._stopped.is_set():
                    self._changed.wait()
            self._stopped.wait(_PAUSE)
            before, written = written, self.flush()
            if before and not written:
                LOG.warning("The database does not answer; counts of events without a row wait.")
