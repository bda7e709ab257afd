# SPDX-License-Identifier: Apache-2.0
"""Claims plans that are due, executes them, and takes over those of appliers that died."""

import datetime
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from oslo_config import cfg
from sqlalchemy.orm import Session

from watcher.applier.interrupts import Interrupts
from watcher.common.states import PlanState
from watcher.db import plan_claims
from watcher.db.dispatcher import CANDIDATES, Claim, Dispatcher
from watcher.db.leases import Holder
from watcher.db.session import Database
from watcher.notifications import Notifications

_CANCEL_INTERVAL: Final = 1.0
"""Seconds between two checks whether a held plan is being cancelled."""


class PlanDispatcher(Dispatcher[Interrupts]):
    """Keeps up to ``workers`` plans of this applier under way."""

    WHAT = "action plan"

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        holder: Holder,
        carry_out: Callable[[int, Interrupts], None],
        notifications: Notifications,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = conf.watcher_applier
        super().__init__(database, holder, options, options.workers, carry_out, clock)
        self._notifications = notifications

    def stop(self) -> None:
        """Claim nothing more, and release the held plans as soon as their actions allow it."""
        self._stop_claiming()
        for interrupts in self.held.values():
            interrupts.stop()
        self._wait_for_workers()

    def attend(self) -> None:
        """Interrupt the held plans that are being cancelled, or that were taken over."""
        held = self.held
        if not held:
            return
        with self._database.reader() as session:
            states = plan_claims.held_states(session, sorted(held), self._holder.engine)
        for plan_id, interrupts in held.items():
            state = states.get(plan_id)
            if state == PlanState.CANCELLING:
                if interrupts.cancel():
                    self._notifications.send("action_plan.cancel.start", plan_id)
            elif state != PlanState.ONGOING:
                interrupts.stop()

    def claim(self, now: datetime.datetime) -> int | None:
        """Claim the next plan: one that another applier has left first.  Returns its id."""
        with self._database.reader() as session:
            released = plan_claims.released(session, CANDIDATES)
            lapsed = self._watch.lapsed(plan_claims.of_all(session))
            pending = plan_claims.pending(session, CANDIDATES)
        candidates: list[tuple[Claim[bool], int]] = [
            *((plan_claims.take_over, plan_id) for plan_id in released),
            *(
                (partial(plan_claims.take_over, end=end), plan_id)
                for plan_id, end in lapsed.items()
            ),
            *((plan_claims.claim, plan_id) for plan_id in pending),
        ]
        held = self.held  # after a late heartbeat their leases may look lapsed
        claimed = self._claim_first((each for each in candidates if each[1] not in held), now)
        return claimed and claimed[0]

    def hold_next(self, now: datetime.datetime) -> tuple[int, Interrupts] | None:
        plan_id = self.claim(now)
        return None if plan_id is None else (plan_id, Interrupts())

    def extend(self, session: Session, ids: Collection[int], now: datetime.datetime) -> None:
        plan_claims.extend(session, ids, self._holder, now)

    def look(self, now: datetime.datetime) -> None:
        """Interrupt held plans if needed, and begin others as long as there are workers."""
        self.attend()
        super().look(now)

    def pause(self, now: datetime.datetime) -> float:
        poll = super().pause(now)
        return min(poll, _CANCEL_INTERVAL) if self._held else poll
