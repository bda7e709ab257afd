# SPDX-License-Identifier: Apache-2.0
"""The loop of a process that works on due rows: claim, execute, heartbeat, take over.

Decision engines do so with runs, appliers with action plans.
"""

import abc
import datetime
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.common.periodic import jittered
from watcher.db.leases import Holder, Watch
from watcher.db.session import Database
from watcher.db.timeouts import LockWait

LOG = log.getLogger(__name__)

Held = TypeVar("Held")
Claimed = TypeVar("Claimed")
Claim = Callable[[Session, int, Holder, datetime.datetime], Claimed]
"""Claims the row with that id for a holder.  A false result: another process was faster."""

CANDIDATES: Final = 16
"""Due rows to look at for one claim: other processes look at the same ones."""


class Dispatcher(abc.ABC, Generic[Held]):
    """Keeps up to ``workers`` claimed rows under way, each in a thread of its own.

    One thread claims.  ``wake`` makes it look for rows at once; otherwise it looks every
    ``poll_interval`` seconds, or when ``pause`` says so.
    """

    WHAT: str
    """The rows, as log lines name them."""

    def __init__(
        self,
        database: Database,
        holder: Holder,
        options: Any,
        workers: int,
        work: Callable[[int, Held], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*options* is the configuration group that has ``poll_interval``.

        *work* is done with each claimed row; if it raises, the row is left to its lease.
        """
        self._database, self._holder, self._clock = database, holder, clock
        self._options, self._workers, self._do = options, workers, work
        self._wake = threading.Event()
        self._stopping = False
        self._changed = threading.Condition()
        self._held: dict[int, Held] = {}
        self._watch = Watch(holder.duration, clock)
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    @abc.abstractmethod
    def hold_next(self, now: datetime.datetime) -> tuple[int, Held] | None:
        """Claim the next row.  Returns its id, and the object that is ``held`` until its end."""

    @abc.abstractmethod
    def extend(self, session: Session, ids: Collection[int], now: datetime.datetime) -> None:
        """Extend the leases on those rows."""

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    @property
    def held(self) -> Mapping[int, Held]:
        """The claimed rows that this process executes now, by id."""
        with self._changed:
            return dict(self._held)

    def look(self, now: datetime.datetime) -> None:
        """Claim what is due, as long as there are workers for it."""
        while self.has_room and (claimed := self.hold_next(now)):
            row_id, held = claimed
            with self._changed:
                self._held[row_id] = held
            threading.Thread(target=self._work, args=claimed, name="worker", daemon=True).start()

    @property
    def has_room(self) -> bool:
        return len(self._held) < self._workers and not self._stopping

    def pause(self, now: datetime.datetime) -> float:
        """Seconds until the next look for due rows."""
        return jittered(self._options.poll_interval)

    def beat(self, now: datetime.datetime) -> None:
        """Extend the leases of the held rows."""
        if ids := sorted(self.held):
            self._database.write(lambda session: self.extend(session, ids, now))

    def _claim_first(
        self, candidates: Iterable[tuple[Claim[Claimed], int]], now: datetime.datetime
    ) -> tuple[int, Claimed] | None:
        """Claim the first of the candidates that can be claimed."""
        for claim, row_id in candidates:
            try:
                with self._database.writer() as session:
                    claimed = claim(session, row_id, self._holder, now)
            except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock, LockWait):
                continue  # another process was faster; if not, the next look finds the row again
            if claimed:
                return row_id, claimed
        return None

    def _stop_claiming(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _wait_for_workers(self, seconds: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._held, seconds)

    def _loop(self) -> None:
        while not self._stopping:
            seconds = jittered(self._options.poll_interval)
            try:
                self.look(timeutils.utcnow())
                seconds = self.pause(timeutils.utcnow())
            except db_exception.DBError as error:
                LOG.error(
                    "The database does not answer, no %s can be claimed: %s", self.WHAT, error
                )
            except Exception:  # a process without this thread would do nothing
                LOG.exception("No %s could be claimed; it will be tried again", self.WHAT)
            self._wake.wait(seconds)
            self._wake.clear()

    def _work(self, row_id: int, held: Held) -> None:
        failed = True
        try:
            self._do(row_id, held)
            failed = False
        except Exception:
            LOG.exception("The %s %d is left to its lease, to be taken over", self.WHAT, row_id)
        self._remove(row_id, held, failed)
        if not failed:  # else not at once: the same row would fail again
            self.wake()

    def _remove(self, row_id: int, held: Held, failed: bool) -> None:
        with self._changed:
            if self._held.get(row_id) is held:
                del self._held[row_id]
            self._changed.notify_all()
