# SPDX-License-Identifier: Apache-2.0
"""Takes events out of the inbox, claims due runs, executes them, and takes over lapsed ones."""

import dataclasses
import datetime
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.common.errors import LostClaim
from watcher.common.periodic import jittered
from watcher.db import claims, inbox, run_ends, runs
from watcher.db.dispatcher import Dispatcher
from watcher.db.leases import Holder
from watcher.db.models import AuditRun
from watcher.db.session import Database, StaleRead
from watcher.db.timeouts import LockWait

LOG = log.getLogger(__name__)

_LEFT_PAUSE: Final = 1.0
"""Seconds between looks while events are left in the inbox."""

_STOP_SECONDS: Final = 45.0
"""How long a stop waits for runs under way: less than the parent waits for the process."""


@dataclasses.dataclass(frozen=True, eq=False)
class HeldRun:
    """A run that this engine executes."""

    run: AuditRun
    since: float
    """When it was claimed, by the monotonic clock."""


def _nothing(*_: object) -> None:
    """Does nothing: the default of the callbacks."""


class RunDispatcher(Dispatcher[AuditRun, HeldRun]):
    """Keeps up to ``max_audit_workers`` runs of this engine under way.

    *time_out* ends a run that took longer than ``max_run_seconds``.  Its thread, which cannot be
    killed, continues, and another run may begin.  If there are ``max_lost_workers`` such
    threads, the other runs are handed back, and *exhausted* is called, which should restart the
    process.
    """

    noun = "run"

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        holder: Holder,
        execute: Callable[[AuditRun], None],
        time_out: Callable[[AuditRun], None] = _nothing,
        exhausted: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options, work = conf.watcher_decision_engine, lambda _, held: execute(held.run)
        super().__init__(claims, database, holder, options, options.max_audit_workers, work, clock)
        self._max_recorded: int = conf.webhooks.max_recorded_per_minute
        self._time_out, self._exhausted = time_out, exhausted
        self._lost: set[HeldRun] = set()
        """Runs that took too long, whose threads have not ended yet."""
        self._next_join = clock()
        self._left = False
        """Whether events were left in the inbox."""

    def look(self, now: datetime.datetime) -> None:
        """Begin due runs, let events join QUEUED runs, and write which runs wait for a plan."""
        self.begin_due(now)
        self._join()
        if self.has_room:
            with self._database.reader() as session:
                waiting = runs.waiting_for_plan(session, now)
            if waiting:
                self._database.write(lambda session: runs.note_wait_for_plan(session, waiting))

    def claim(self, now: datetime.datetime) -> AuditRun | None:
        """Queue runs for the events in the inbox, then claim the next run."""
        self._queue_runs(now)
        return super().claim(now)

    def _queue_runs(self, now: datetime.datetime) -> None:
        """Queue runs for the events in the inbox."""
        with self._database.reader() as session:
            ready = inbox.ready(session)
        self._left = bool(ready.joining)
        for audit_id in ready.audit_ids:
            self._write(
                partial(
                    inbox.queue_run, audit_id=audit_id, max_recorded=self._max_recorded, now=now
                )
            )

    def _join(self) -> None:
        """Let events join QUEUED runs, at most once a second."""
        if self._clock() >= self._next_join:
            self._next_join = self._clock() + _LEFT_PAUSE
            self._write(inbox.join_waiting)

    def _write(self, change: Callable[[Session], None]) -> None:
        """Change the inbox, unless another transaction takes the same events or locks the audit."""
        try:
            self._database.write(change)
        except LockWait:
            self._left = True
        except (StaleRead, db_exception.DBDuplicateEntry, db_exception.DBDeadlock):
            LOG.debug("Other engines take the same events")

    def pause(self, now: datetime.datetime) -> float:
        if not self.has_room:
            return super().pause(now)
        poll = jittered(_LEFT_PAUSE) if self._left else super().pause(now)
        with self._database.reader() as session:
            next_due_at = runs.next_due_at(session, now)
        if next_due_at is None:
            return poll
        return min(poll, max(0.0, (next_due_at - timeutils.utcnow()).total_seconds()))

    def to_held(self, run: AuditRun) -> tuple[int, HeldRun]:
        return run.id, HeldRun(run, self._clock())

    def _release(self, row_id: int, held: HeldRun) -> None:
        with self._changed:
            super()._release(row_id, held)
            self._lost.discard(held)

    def beat(self, now: datetime.datetime) -> None:
        """Extend the leases of the runs under way that have time left, and end the others."""
        oldest = self._clock() - self._options.max_run_seconds
        late = [each for each in self.held.values() if each.since <= oldest]
        self._extend(self.held.keys() - {each.run.id for each in late}, now)
        for each in late:
            self._abandon(each, now)

    def _abandon(self, held: HeldRun, now: datetime.datetime) -> None:
        """End a run that takes too long, and let another one begin in its place."""
        try:
            self._time_out(held.run)
        except LostClaim as lost:
            LOG.warning("%s", lost)
        with self._changed:
            if self._held.get(held.run.id) is not held:
                return  # it has just ended
            del self._held[held.run.id]
            self._lost.add(held)
            lost_workers = len(self._lost)
        LOG.error(
            "Run %s does not end; its thread is abandoned. Such threads: %d",
            held.run.uuid,
            lost_workers,
        )
        if lost_workers < self._options.max_lost_workers:
            self._wake.set()
            return
        self._stopping = True
        self._hand_back(now)
        self._exhausted()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Claim no more runs, wait *seconds* for those under way, and hand back the others."""
        self._stop_claiming()
        self._wait_for_workers(seconds)
        self._hand_back(timeutils.utcnow())

    def _hand_back(self, now: datetime.datetime) -> None:
        """Hand the runs under way to other engines; their results here are dropped."""
        for run in [each.run for each in self.held.values()]:
            try:
                with self._database.writer() as session:
                    run_ends.hand_back(session, run, now)
                LOG.info("Run %s is handed back", run.uuid)
            except LostClaim as lost:
                LOG.warning("%s", lost)
            except db_exception.DBError as error:
                LOG.error("Run %s is left to its lease: %s", run.uuid, error)
