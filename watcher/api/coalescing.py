# SPDX-License-Identifier: Apache-2.0
"""The counts of a flood: events that a waiting run covers and that nobody wrote down.

Such an event costs no transaction of its own.  What is kept here until the next second is
only how many there were; if the process dies, a number is too small and no alarm is lost.
"""

import collections
import threading
from typing import Final

from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.orm import Session

from watcher.db import events
from watcher.db.session import Database

LOG = log.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds between two writes of the counts."""


class Coalescing:
    """Counts by run, written once a second by a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: collections.Counter[int] = collections.Counter()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, run_id: int) -> None:
        with self._changed:
            self._counts[run_id] += 1
            if self._thread is None and not self._stopped.is_set():
                # Not in the constructor: a thread does not survive the fork of a
                # server that loads the application first.
                self._thread = threading.Thread(target=self._loop, name="coalescing", daemon=True)
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
            counts, self._counts = self._counts, collections.Counter()
        if not counts:
            return True

        def work(session: Session) -> None:
            # In one order, whoever flushes, so that no two wait for each other.
            for run_id, number in sorted(counts.items()):
                events.count_coalesced(session, run_id, number)

        try:
            self._database.write(work)
        except DBError as error:
            with self._changed:
                self._counts.update(counts)
            LOG.debug("The counts of coalesced events wait: %s", error)
            return False
        for run_id, number in sorted(counts.items()):
            LOG.info("%d more events (not recorded) joined run id %d", number, run_id)
        return True

    def _loop(self) -> None:
        written = True
        while not self._stopped.is_set():
            with self._changed:
                while not self._counts and not self._stopped.is_set():
                    self._changed.wait()
            self._stopped.wait(_PAUSE)
            before, written = written, self.flush()
            if before and not written:
                LOG.warning("The database does not answer; counts of coalesced events wait.")
