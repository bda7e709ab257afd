# SPDX-License-Identifier: Apache-2.0
"""The loop of a process that works on due rows: look, claim, work, release; heartbeat, take over.

Decision engines do so with runs, appliers with action plans.
"""

import abc
import datetime
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.common.periodic import jittered
from watcher.db.leases import Holder, Watch
from watcher.db.session import Database
from watcher.db.timeouts import LockWait

LOG = log.getLogger(__name__)

Row = TypeVar("Row")
Held = TypeVar("Held")
Claimed = TypeVar("Claimed", covariant=True)
Time = datetime.datetime

CANDIDATES: Final = 16
"""Due rows to look at for one claim: other processes look at the same ones."""

_LAPSED_PAUSE: Final = 1.0
"""Seconds between two queries for lapsed leases, because processes die much more rarely than rows
become due."""


class Claims(Protocol[Claimed]):
    """What ``db.claims`` does with runs and ``db.plan_claims`` with plans.

    A claim is None if another process was faster, or if the row must not be claimed any more.
    """

    def due(self, session: Session, now: Time, limit: int, /) -> Sequence[int]:
        """Ids of the rows to claim, in that order."""

    def claim(self, session: Session, row_id: int, holder: Holder, now: Time, /) -> Claimed | None:
        """Claim a row that is due."""

    def of_all(self, session: Session, /) -> Sequence[tuple[int, Time]]:
        """Ids of all rows that some process holds, and the end of the lease on each."""

    def take_over(
        self, session: Session, row_id: int, holder: Holder, now: Time, end: Time, /
    ) -> Claimed | None:
        """Claim a row whose lease still has this *end*."""

    def extend(
        self, session: Session, row_ids: Collection[int], holder: Holder, now: Time, /
    ) -> None:
        """Extend the leases of *holder* on those rows."""


class Dispatcher(abc.ABC, Generic[Row, Held]):
    """Keeps up to ``workers`` claimed rows under way, each in a thread of its own.

    One thread claims.  ``wake`` makes it look for rows at once; otherwise it looks every
    ``poll_interval`` seconds, or when ``pause`` says so.
    """

    noun: str
    """The rows, as log lines name them."""

    def __init__(
        self,
        claims: Claims[Row],
        database: Database,
        holder: Holder,
        options: Any,
        workers: int,
        work: Callable[[int, Held], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*options* is the configuration group that has ``poll_interval``.

        *work* is done with each claimed row; if it raises, the row is taken over later.
        """
        self._claims, self._database, self._holder, self._clock = claims, database, holder, clock
        self._options, self._workers, self._execute = options, workers, work
        self._wake = threading.Event()
        self._stopping = False
        self._changed = threading.Condition()
        self._held: dict[int, Held] = {}
        self._watch = Watch(holder.duration, clock)
        self._next_lapsed = clock()
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    @property
    def held(self) -> Mapping[int, Held]:
        """The claimed rows that this process executes now, by id."""
        with self._changed:
            return dict(self._held)

    @property
    def has_room(self) -> bool:
        return len(self._held) < self._workers and not self._stopping

    def _loop(self) -> None:
        while not self._stopping:
            seconds = jittered(self._options.poll_interval)
            try:
                self.look(timeutils.utcnow())
                seconds = self.pause(timeutils.utcnow())
            except db_exception.DBError as error:
                LOG.error("The database fails, no %s can be claimed: %s", self.noun, error)
            except Exception:  # a process without this thread would do nothing
                LOG.exception("No %s could be claimed; it will be tried again", self.noun)
            self._wake.wait(seconds)
            self._wake.clear()

    @abc.abstractmethod
    def look(self, now: Time) -> None:
        """Do what is due: ``begin_due``, and what else a look is for."""

    def pause(self, now: Time) -> float:
        """Seconds until the next look for due rows."""
        return jittered(self._options.poll_interval)

    def begin_due(self, now: Time) -> None:
        """Claim rows and begin to work on them, as long as there are workers."""
        while self.has_room and (row := self.claim(now)) is not None:
            row_id, held = self.to_held(row)
            with self._changed:
                self._held[row_id] = held
            work = threading.Thread(
                target=self._run_worker, args=(row_id, held), name="worker", daemon=True
            )
            work.start()

    def claim(self, now: Time) -> Row | None:
        """Claim the next row: one whose lease has lapsed, or else one that is due."""
        while True:
            with self._database.reader() as session:
                lapsed = self._lapsed(session)
                due = self._claims.due(session, now, CANDIDATES)
            for row_id, end in [*lapsed.items(), *((row_id, None) for row_id in due)]:
                row = self._claim_one(row_id, end, now)
                if row is not None:
                    return row
            if len(due) < CANDIDATES or self._stopping:
                return None
            # The claims have changed or postponed these rows, or other processes have claimed
            # them: look for the rows after them.

    def _lapsed(self, session: Session) -> Mapping[int, Time]:
        """The rows to take over, with the end of each lease.  Rows that this process executes are
        left out, even if its heartbeat was late."""
        if self._clock() < self._next_lapsed:
            return {}
        leases, held = self._claims.of_all(session), self.held
        lapsed = {id: end for id, end in self._watch.lapsed(leases).items() if id not in held}
        if len(lapsed) <= 1:  # if there are more, the next claim takes over the next one at once
            self._next_lapsed = self._clock() + _LAPSED_PAUSE
        return lapsed

    def _claim_one(self, row_id: int, end: Time | None, now: Time) -> Row | None:
        """Claim a due row, or take over one whose lease has that *end*."""
        try:
            with self._database.writer() as session:
                if end is None:
                    return self._claims.claim(session, row_id, self._holder, now)
                return self._claims.take_over(session, row_id, self._holder, now, end)
        except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock, LockWait):
            return None  # another process was faster; if not, the next look finds the row again

    @abc.abstractmethod
    def to_held(self, row: Row) -> tuple[int, Held]:
        """The id of a claimed row, and the object that is ``held`` while this process works on
        it."""

    def _run_worker(self, row_id: int, held: Held) -> None:
        failed = True
        try:
            self._execute(row_id, held)
            failed = False
        except Exception:
            LOG.exception("The %s %d is left to be taken over", self.noun, row_id)
        self._release(row_id, held)
        if not failed:  # after a failure not at once, because the same row would fail again
            self.wake()

    def _release(self, row_id: int, held: Held) -> None:
        with self._changed:
            if self._held.get(row_id) is held:
                del self._held[row_id]
            self._changed.notify_all()

    def beat(self, now: Time) -> None:
        """Extend the leases of the held rows."""
        self._extend(self.held, now)

    def _extend(self, row_ids: Collection[int], now: Time) -> None:
        if ids := sorted(row_ids):
            self._database.write(
                lambda session: self._claims.extend(session, ids, self._holder, now)
            )

    def _stop_claiming(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _wait_for_workers(self, seconds: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._held, seconds)
