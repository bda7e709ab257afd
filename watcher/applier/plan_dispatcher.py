# SPDX-License-Identifier: Apache-2.0
"""Claims and executes due plans, and takes over the plans of appliers that died."""

import datetime
import time
from collections.abc import Callable
from typing import Final

from oslo_config import cfg

from watcher.applier.interrupts import Interrupts
from watcher.common.states import PlanState
from watcher.db import plan_claims
from watcher.db.dispatcher import Dispatcher
from watcher.db.leases import Holder
from watcher.db.session import Database
from watcher.notifications import Notifications

_CANCEL_INTERVAL: Final = 1.0
"""Seconds between two checks whether a held plan is being cancelled."""


class PlanDispatcher(Dispatcher[int, Interrupts]):
    """Keeps up to ``workers`` plans of this applier under way."""

    noun = "action plan"

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        holder: Holder,
        execute: Callable[[int, Interrupts], None],
        notifications: Notifications,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = conf.watcher_applier
        super().__init__(plan_claims, database, holder, options, options.workers, execute, clock)
        self._notifications = notifications

    def look(self, now: datetime.datetime) -> None:
        """Interrupt held plans if needed, and begin others as long as there are workers."""
        self.interrupt_held()
        self.begin_due(now)

    def interrupt_held(self) -> None:
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

    def pause(self, now: datetime.datetime) -> float:
        poll = super().pause(now)
        return min(poll, _CANCEL_INTERVAL) if self._held else poll

    def to_held(self, plan_id: int) -> tuple[int, Interrupts]:
        # The thread of the plan loads its HeldPlan.
        return plan_id, Interrupts()

    def stop(self) -> None:
        """Claim nothing more, and release the held plans as soon as their actions allow it."""
        self._stop_claiming()
        for interrupts in self.held.values():
            interrupts.stop()
        self._wait_for_workers()
