# SPDX-License-Identifier: Apache-2.0
"""Which plans are due?  Claim them, carry them out, take over what was abandoned."""

import datetime
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import log
from oslo_utils import timeutils

from watcher.applier.interrupts import Interrupts
from watcher.common.periodic import jittered
from watcher.common.states import PlanState
from watcher.db import leases
from watcher.db.claims import Lease
from watcher.db.session import Database
from watcher.db.timeouts import LockWait
from watcher.db.unchanged import Unchanged
from watcher.notifications import Notifications

LOG = log.getLogger(__name__)

_CANDIDATES = 16
"""Plans to look at for one claim: other appliers look at the same ones."""

_ATTENTION = 1.0
"""Seconds between two looks at whether a plan in hand is being cancelled."""


_Claim = Callable[..., bool]


class Dispatcher:
    """Keeps up to ``workers`` plans of this applier under way.

    ``wake`` makes it look at once; without that it looks every ``poll_interval`` seconds.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        lease: Lease,
        carry_out: Callable[[int, Interrupts], None],
        notifications: Notifications,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = conf.watcher_applier
        self._database, self._lease, self._carry_out = database, lease, carry_out
        self._notifications = notifications
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._in_hand: dict[int, Interrupts] = {}
        self._unchanged = Unchanged(lease.duration, clock)
        self._pool = ThreadPoolExecutor(max_workers=self._options.workers)
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more, and let go of the plans in hand as soon as they allow."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for interrupts in self._plans_in_hand().values():
            interrupts.stop()
        self._pool.shutdown()

    def beat(self, now: datetime.datetime) -> None:
        """Extend the leases of the plans in hand, and of no others."""
        in_hand = sorted(self._plans_in_hand())
        if in_hand:
            self._database.write(lambda session: leases.extend(session, in_hand, self._lease, now))

    def attend(self) -> None:
        """Interrupt the plans in hand that are being cancelled, or are no longer ours."""
        in_hand = self._plans_in_hand()
        if not in_hand:
            return
        with self._database.reader() as session:
            states = leases.held_states(session, sorted(in_hand), self._lease.engine)
        for plan_id, interrupts in in_hand.items():
            state = states.get(plan_id)
            if state == PlanState.CANCELLING:
                if interrupts.cancel():
                    self._notifications.send("action_plan.cancel.start", plan_id)
            elif state != PlanState.ONGOING:
                interrupts.stop()

    def claim(self, now: datetime.datetime) -> int | None:
        """The id of the next plan for this applier: an abandoned one first."""
        with self._database.reader() as session:
            released = leases.released(session, _CANDIDATES)
            lapsed = self._unchanged.ends(leases.of_all(session))
            pending = leases.pending(session, _CANDIDATES)
        candidates: list[tuple[_Claim, int]] = [
            *((leases.take_over, plan_id) for plan_id in released),
            *((partial(leases.take_over, end=end), plan_id) for plan_id, end in lapsed.items()),
            *((leases.claim, plan_id) for plan_id in pending),
        ]
        for claim, plan_id in candidates:
            if plan_id not in self._in_hand and self._try(claim, plan_id, now):
                return plan_id
        return None

    def look(self, now: datetime.datetime) -> None:
        """Attend to the plans in hand, and begin others as long as there are workers."""
        self.attend()
        while len(self._in_hand) < self._options.workers and not self._stopping:
            plan_id = self.claim(now)
            if plan_id is None:
                return
            interrupts = Interrupts()
            with self._lock:
                self._in_hand[plan_id] = interrupts
            self._pool.submit(self._work, plan_id, interrupts)

    def _try(
        self,
        claim: _Claim,
        plan_id: int,
        now: datetime.datetime,
    ) -> bool:
        try:
            with self._database.writer() as session:
                return claim(session, plan_id, self._lease, now)
        except (db_exception.DBDuplicateEntry, db_exception.DBDeadlock, LockWait):
            return False  # another applier was faster; if not, the next look finds the plan

    def _loop(self) -> None:
        while not self._stopping:
            try:
                self.look(timeutils.utcnow())
            except db_exception.DBError as error:
                LOG.error("The database does not answer, no plan can be claimed: %s", error)
            except Exception:  # without this thread the process would only seem to work
                LOG.exception("No plan could be claimed; it will be tried again")
            poll = jittered(self._options.poll_interval)
            self._wake.wait(min(poll, _ATTENTION) if self._in_hand else poll)
            self._wake.clear()

    def _work(self, plan_id: int, interrupts: Interrupts) -> None:
        try:
            self._carry_out(plan_id, interrupts)
        except Exception:
            # No wake: the next look is soon enough for what has just failed.
            LOG.exception("Action plan %d is let go; it will be taken over", plan_id)
            self._put_down(plan_id)
        else:
            self._put_down(plan_id)
            self._wake.set()

    def _put_down(self, plan_id: int) -> None:
        with self._lock:
            del self._in_hand[plan_id]

    def _plans_in_hand(self) -> dict[int, Interrupts]:
        with self._lock:
            return dict(self._in_hand)
