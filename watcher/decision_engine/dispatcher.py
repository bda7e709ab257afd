# SPDX-License-Identifier: Apache-2.0
"""What is due?  Claim it, hand it to a worker thread, take over what lapsed."""

import datetime
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.db import claims, runs
from watcher.db.models import AuditRun
from watcher.db.session import Database

LOG = log.getLogger(__name__)

_CANDIDATES = 16
"""Due runs to look at for one claim: other engines look at the same ones."""

_RESCUE_PAUSE = datetime.timedelta(seconds=1)
"""Between two looks for lapsed runs: engines die rarely, runs become due all the time."""


class Dispatcher:
    """Keeps up to ``max_audit_workers`` runs of this engine under way.

    ``wake`` makes it look at once.  Without that it looks when the next run is due,
    and every ``poll_interval`` seconds for what nobody told it.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        lease: claims.Lease,
        execute: Callable[[AuditRun], None],
    ) -> None:
        self._options = conf.watcher_decision_engine
        self._database, self._lease, self._execute = database, lease, execute
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._workers = 0
        self._in_hand: set[int] = set()
        self._rescued_at: datetime.datetime | None = None
        self._pool = ThreadPoolExecutor(max_workers=self._options.max_audit_workers)
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more, and wait for the runs in hand."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()

    def beat(self, now: datetime.datetime) -> None:
        """Extend the leases of the runs in hand, and of no others."""
        with self._lock:
            in_hand = sorted(self._in_hand)
        if in_hand:
            self._database.write(lambda session: claims.extend(session, in_hand, self._lease, now))

    def claim(self, now: datetime.datetime) -> AuditRun | None:
        """The next run for this engine: a lapsed one first, then one that is due."""
        while True:
            with self._database.reader() as session:
                lapsed = self._lapsed(session, now)
                due = runs.due(session, now, _CANDIDATES)
            for claim, ids in ((claims.take_over, lapsed), (claims.claim, due)):
                for run_id in ids:
                    run = self._try(claim, run_id, now)
                    if run is not None:
                        return run
            if len(due) < _CANDIDATES or self._stopping:
                return None
            # Others took them all, or they have to cool down: what is due comes after them.

    def _lapsed(self, session: Session, now: datetime.datetime) -> Sequence[int]:
        last = self._rescued_at
        if last is not None and last <= now < last + _RESCUE_PAUSE:  # not if the clock went back
            return ()
        lapsed = claims.lapsed(session, now, _CANDIDATES)
        if len(lapsed) <= 1:
            self._rescued_at = now
        return lapsed

    def _try(
        self, claim: Callable[..., AuditRun | None], run_id: int, now: datetime.datetime
    ) -> AuditRun | None:
        try:
            with self._database.writer() as session:
                return claim(session, run_id, self._lease, now)
        except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock):
            return None  # another engine was faster; if not, the next look finds the run again

    def _loop(self) -> None:
        while not self._stopping:
            try:
                pause = self._look(timeutils.utcnow())
            except db_exception.DBError as error:
                LOG.error("The database does not answer, no run can be claimed: %s", error)
                pause = float(self._options.poll_interval)
            except Exception:  # without this thread the process would only seem to work
                LOG.exception("No run could be claimed; it will be tried again")
                pause = float(self._options.poll_interval)
            self._wake.wait(pause)
            self._wake.clear()

    def _look(self, now: datetime.datetime) -> float:
        """Start workers for what is due; the seconds until it is worth looking again."""
        while self._workers < self._options.max_audit_workers and not self._stopping:
            run = self._take(now)
            if run is None:
                self._tell_held_up(now)
                return self._pause(now)
            with self._lock:
                self._workers += 1
            self._pool.submit(self._work, run)
        return float(self._options.poll_interval)

    def _take(self, now: datetime.datetime) -> AuditRun | None:
        run = self.claim(now)
        if run is not None:
            with self._lock:
                self._in_hand.add(run.id)
        return run

    def _work(self, run: AuditRun | None) -> None:
        """A worker: carries out one run after another until nothing is due."""
        try:
            while run is not None:
                try:
                    self._execute(run)
                finally:
                    with self._lock:
                        self._in_hand.discard(run.id)
                run = None if self._stopping else self._take(timeutils.utcnow())
        except Exception:
            LOG.exception("A worker of the decision engine ended")
        finally:
            with self._lock:
                self._workers -= 1
            self._wake.set()

    def _tell_held_up(self, now: datetime.datetime) -> None:
        with self._database.reader() as session:
            held_up = runs.held_up(session, now)
        if held_up:
            self._database.write(lambda session: runs.tell_held_up(session, held_up))

    def _pause(self, now: datetime.datetime) -> float:
        poll = float(self._options.poll_interval)
        with self._database.reader() as session:
            next_due_at = runs.next_due_at(session, now)
        if next_due_at is None:
            return poll
        return min(poll, max(0.0, (next_due_at - timeutils.utcnow()).total_seconds()))
