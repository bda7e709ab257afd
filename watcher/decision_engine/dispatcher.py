# SPDX-License-Identifier: Apache-2.0
"""What is due?  Take events out of the inbox, claim runs, hand them to workers, take over."""

import dataclasses
import datetime
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.common.errors import LostClaim
from watcher.common.periodic import jittered
from watcher.db import claims, inbox, runs
from watcher.db.models import AuditRun
from watcher.db.session import Database, Lost
from watcher.db.timeouts import LockWait
from watcher.db.unchanged import Unchanged

LOG = log.getLogger(__name__)

_CANDIDATES = 16
"""Due runs to look at for one claim: other engines look at the same ones."""

_RESCUE_PAUSE = 1.0
"""Seconds between two looks for lapsed runs: engines die rarely, runs become due all the time."""


_LOCKED_PAUSE = 1.0
"""Seconds until the next look for events that could not be taken: somebody writes their audit."""

_PATIENCE = 45.0
"""Seconds that a stop waits for runs in hand: less than the parent waits for the process."""


_Claim = Callable[..., AuditRun | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """A run that this engine has in hand."""

    run: AuditRun
    since: float
    """When it was claimed, on a clock that nobody sets."""


def _nothing(*_: object) -> None:
    """What comes of an end that nobody asked to hear of."""


class Dispatcher:
    """Keeps up to ``max_audit_workers`` runs of this engine under way.

    ``wake`` makes it look at once.  Without that it looks when the next run is due,
    and every ``poll_interval`` seconds for what nobody told it.

    *expire* ends a run that took longer than ``max_run_seconds``.  Its thread cannot be
    killed: it is left alone, and another one takes its place.  After ``max_lost_workers``
    of these the other runs are handed back and *exhausted* is called, which is to restart
    the process.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        lease: claims.Lease,
        execute: Callable[[AuditRun], None],
        expire: Callable[[AuditRun], None] = _nothing,
        exhausted: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options, self._webhooks = conf.watcher_decision_engine, conf.webhooks
        self._database, self._lease, self._execute = database, lease, execute
        self._expire, self._exhausted, self._clock = expire, exhausted, clock
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.Condition()
        self._workers = 0
        self._in_hand: dict[int, Held] = {}
        self._lost: set[Held] = set()
        self._dropped: set[int] = set()
        """Runs that their worker left to their lease, as it could not write how they ended."""
        self._next_rescue = clock()
        self._unchanged = Unchanged(lease.duration, clock)
        self._taking = threading.Lock()
        self._locked = False
        """Whether there are events whose audit somebody else held at the last look."""
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self, patience: float = _PATIENCE) -> None:
        """Claim nothing more, wait *patience* seconds for the runs in hand, hand back the rest."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._lock.wait_for(lambda: not self._workers, patience)
        self._hand_back(timeutils.utcnow())

    def beat(self, now: datetime.datetime) -> None:
        """Extend the leases of the runs in hand that have time left, and end the others."""
        with self._lock:
            in_hand = list(self._in_hand.values())
        oldest = self._clock() - self._options.max_run_seconds
        kept = sorted(held.run.id for held in in_hand if held.since > oldest)
        if kept:
            self._database.write(lambda session: claims.extend(session, kept, self._lease, now))
        for held in in_hand:
            if held.since <= oldest:
                self._give_up(held, now)

    def _give_up(self, held: Held, now: datetime.datetime) -> None:
        """End a run that takes too long, and let another worker take the place of its own."""
        try:
            self._expire(held.run)
        except LostClaim as lost:
            LOG.warning("%s", lost)
        with self._lock:
            if self._in_hand.get(held.run.id) is not held:
                return  # it ended meanwhile
            del self._in_hand[held.run.id]
            self._lost.add(held)
            self._workers -= 1
            lost_workers = len(self._lost)
        LOG.error(
            "Run %s does not end; its worker is replaced. Such workers: %d",
            held.run.uuid,
            lost_workers,
        )
        if lost_workers < self._options.max_lost_workers:
            self._wake.set()
            return
        self._stopping = True
        self._hand_back(now)
        self._exhausted()

    def _hand_back(self, now: datetime.datetime) -> None:
        """Let other engines have the runs in hand; what comes of them here is dropped."""
        with self._lock:
            in_hand = list(self._in_hand.values())
        for held in in_hand:
            run = held.run
            try:
                with self._database.writer() as session:
                    claims.hand_back(session, run, now)
                LOG.info("Run %s is handed back", run.uuid)
            except LostClaim as lost:
                LOG.warning("%s", lost)
            except db_exception.DBError as error:
                LOG.error("Run %s is left to its lease: %s", run.uuid, error)

    def claim(self, now: datetime.datetime) -> AuditRun | None:
        """The next run for this engine: a lapsed one first, then one that is due."""
        while True:
            self._take_events(now)
            with self._database.reader() as session:
                lapsed = self._lapsed(session)
                due = runs.due(session, now, _CANDIDATES)
            candidates: list[tuple[_Claim, int]] = [
                *((partial(claims.take_over, end=end), run_id) for run_id, end in lapsed.items()),
                *((claims.claim, run_id) for run_id in due),
            ]
            for claim, run_id in candidates:
                run = self._try(claim, run_id, now)
                if run is not None:
                    return run
            if len(due) < _CANDIDATES or self._stopping:
                return None
            # Others took them all, or they have to cool down: what is due comes after them.

    def _take_events(self, now: datetime.datetime) -> None:
        """Queue runs for the events that have come, or let them join those that wait."""
        with self._taking:
            with self._database.reader() as session:
                ready = inbox.ready(session)
            self._locked = False
            for audit_id in ready:
                try:
                    self._take_events_of(audit_id, now)
                except LockWait:
                    self._locked = True
                except (Lost, db_exception.DBDuplicateEntry, db_exception.DBDeadlock):
                    LOG.debug("Other engines take the events of the audit with the id %d", audit_id)

    def _take_events_of(self, audit_id: int, now: datetime.datetime) -> None:
        limit = self._webhooks.max_recorded_per_minute
        self._database.write(lambda session: inbox.take(session, audit_id, limit, now))

    def _lapsed(self, session: Session) -> Mapping[int, datetime.datetime]:
        """Runs of engines that have died, and the end of the claim on each."""
        if self._clock() < self._next_rescue:
            return {}
        with self._lock:
            claimed = claims.of_others(session, self._lease.engine, self._dropped)
            lapsed = self._unchanged.ends(claimed)
        if len(lapsed) <= 1:
            self._next_rescue = self._clock() + _RESCUE_PAUSE
        return lapsed

    def _try(self, claim: _Claim, run_id: int, now: datetime.datetime) -> AuditRun | None:
        try:
            with self._database.writer() as session:
                return claim(session, run_id, self._lease, now)
        except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock, LockWait):
            return None  # another engine was faster; if not, the next look finds the run again

    def _loop(self) -> None:
        while not self._stopping:
            try:
                pause = self._look(timeutils.utcnow())
            except db_exception.DBError as error:
                LOG.error("The database does not answer, no run can be claimed: %s", error)
                pause = jittered(self._options.poll_interval)
            except Exception:  # without this thread the process would only seem to work
                LOG.exception("No run could be claimed; it will be tried again")
                pause = jittered(self._options.poll_interval)
            self._wake.wait(pause)
            self._wake.clear()

    def _look(self, now: datetime.datetime) -> float:
        """Start workers for what is due; the seconds until it is worth looking again."""
        while self._workers < self._options.max_audit_workers and not self._stopping:
            held = self._take(now)
            if held is None:
                self._tell_held_up(now)
                return self._pause(now)
            with self._lock:
                self._workers += 1
            threading.Thread(target=self._work, args=(held,), name="worker", daemon=True).start()
        return jittered(self._options.poll_interval)

    def _take(self, now: datetime.datetime) -> Held | None:
        since = self._clock()
        run = self.claim(now)
        if run is None:
            return None
        held = Held(run, since)
        with self._lock:
            self._dropped.discard(run.id)
            self._in_hand[run.id] = held
        return held

    def _work(self, held: Held | None) -> None:
        """A worker: carries out one run after another until nothing is due."""
        replaced = False
        try:
            while held is not None:
                written = False
                try:
                    self._execute(held.run)
                    written = True
                finally:
                    replaced = self._put_down(held, written)
                held = None if self._stopping or replaced else self._take(timeutils.utcnow())
        except Exception:
            LOG.exception("A worker of the decision engine ended")
        finally:
            with self._lock:
                self._workers -= not replaced
                self._lock.notify_all()
            self._wake.set()

    def _put_down(self, held: Held, written: bool) -> bool:
        """Whether another worker has taken the place of the one that had this run."""
        with self._lock:
            if held in self._lost:
                self._lost.discard(held)
                return True
            self._in_hand.pop(held.run.id, None)
            if not written:
                self._dropped.add(held.run.id)
        return False

    def _tell_held_up(self, now: datetime.datetime) -> None:
        with self._database.reader() as session:
            held_up = runs.held_up(session, now)
        if held_up:
            self._database.write(lambda session: runs.tell_held_up(session, held_up))

    def _pause(self, now: datetime.datetime) -> float:
        poll = jittered(_LOCKED_PAUSE if self._locked else self._options.poll_interval)
        with self._database.reader() as session:
            next_due_at = runs.next_due_at(session, now)
        if next_due_at is None:
            return poll
        return min(poll, max(0.0, (next_due_at - timeutils.utcnow()).total_seconds()))
