# SPDX-License-Identifier: Apache-2.0
"""Engines whose database goes away under them, and comes back."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oslo_db import exception as db_exception
from oslo_utils import timeutils
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.applier.service import Applier
from watcher.cloud import Cloud
from watcher.common.states import ActionState, AuditType, PlanState, RunState
from watcher.db.models import Action, ActionPlan, AuditRun, Goal, Strategy
from watcher.db.session import Database
from watcher.decision_engine.service import DecisionEngine
from watcher.decision_engine.strategies.actuator import Actuator
from watcher.notifications import Notifications
from watcher.rpc.doorbell import LocalDoorbell
from watcher.tests import base, factories

GREETING = {"action_type": "nop", "input_parameters": {"message": "hello"}}


class Breakable(Database):
    """A database that answers as long as it is not *away*."""

    def __init__(self, conf: Any) -> None:
        super().__init__(conf)
        self.away = False
        self.refused: Counter[str] = Counter()
        """How often, by the name of the thread."""

    @contextmanager
    def reader(self) -> Iterator[Session]:
        self._refuse()
        with super().reader() as session:
            yield session
            self._refuse()

    @contextmanager
    def writer(self) -> Iterator[Session]:
        self._refuse()
        with super().writer() as session:
            yield session
            self._refuse()

    def _refuse(self) -> None:
        if self.away:
            self.refused[threading.current_thread().name] += 1
            raise db_exception.DBConnectionError("gone")


class OutageTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        for group in ("watcher_decision_engine", "watcher_applier"):
            self.conf.set_override("poll_interval", 1, group=group)
        self.conf.set_override("lease_duration", 3)
        self.engine_side, self.applier_side = Breakable(self.conf), Breakable(self.conf)
        applier_bell, engine_bell = LocalDoorbell(), LocalDoorbell()
        self.engine = DecisionEngine(
            self.conf,
            self.engine_side,
            Cloud(),
            applier_bell,
            Notifications(self.conf, self.engine_side),
        )
        self.applier = Applier(
            self.conf,
            self.applier_side,
            Cloud(),
            engine_bell,
            Notifications(self.conf, self.applier_side),
        )
        applier_bell.connect(self.applier.dispatcher.wake)
        engine_bell.connect(self.engine.dispatcher.wake)
        for service, database in (
            (self.engine, self.engine_side),
            (self.applier, self.applier_side),
        ):
            service.start()
            self.addCleanup(database.dispose)
            self.addCleanup(service.stop)
            self.addCleanup(setattr, database, "away", False)

    def alarm(self) -> None:
        with self.database.writer() as session:
            audit = factories.audit(
                session,
                session.scalars(select(Goal).where(Goal.name == "unclassified")).one(),
                session.scalars(select(Strategy).where(Strategy.name == "actuator")).one(),
                audit_type=AuditType.EVENT,
                auto_trigger=True,
                parameters={"actions": [GREETING]},
            )
            factories.accepted(session, audit.id, timeutils.utcnow())

    def states(self, row: Any) -> list[str]:
        with self.database.reader() as session:
            return list(session.scalars(select(row.state)))

    def is_done(self) -> bool:
        return self.states(ActionPlan) == [PlanState.SUCCEEDED]

    def test_all_threads_outlive_it(self) -> None:
        self.engine_side.away = self.applier_side.away = True
        for database in (self.engine_side, self.applier_side):
            base.wait_for(
                lambda database=database: (
                    min(database.refused[name] for name in ("dispatcher", "heartbeat")) > 1
                ),
                "threads that met the outage twice",
            )
        self.alarm()
        self.engine_side.away = self.applier_side.away = False
        base.wait_for(self.is_done, "a plan that is carried out")
        self.assertEqual([RunState.SUCCEEDED], self.states(AuditRun))
        self.assertEqual([ActionState.SUCCEEDED], self.states(Action))

    def test_a_run_whose_result_cannot_be_written_is_repeated(self) -> None:
        execute = Actuator.execute

        def once_away(strategy: Actuator, inputs: Any) -> Any:
            self.engine_side.away = not self.engine_side.refused
            return execute(strategy, inputs)

        self.patch(Actuator, "execute", once_away)
        self.alarm()
        self.engine.dispatcher.wake()
        base.wait_for(lambda: self.engine_side.refused, "a write that is refused")
        base.wait_for(lambda: not self.engine.dispatcher.held, "a run that is let go")
        self.assertEqual([RunState.ONGOING], self.states(AuditRun))
        self.engine_side.away = False
        base.wait_for(self.is_done, "a plan that is carried out")
        with self.database.reader() as session:
            run = session.scalars(select(AuditRun)).one()
        self.assertEqual((RunState.SUCCEEDED, 2), (run.state, run.attempt))
