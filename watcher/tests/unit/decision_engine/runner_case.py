# SPDX-License-Identifier: Apache-2.0
"""A runner with its database, for tests of runs."""

import datetime
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.cloud import Cloud
from watcher.common.states import AuditType, PlanState
from watcher.db import claims, inbox, runs
from watcher.db.leases import Holder
from watcher.db.models import (
    ActionPlan,
    Audit,
    AuditRun,
    Goal,
    Strategy,
    Webhook,
)
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.runner import Runner
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.notifications import Notifications
from watcher.tests import base, factories

HOLDER = Holder("engine-1:1:a", "engine-1", datetime.timedelta(seconds=30))
OTHER = Holder("other", "engine-2", HOLDER.duration)


class Ringing:
    """A doorbell that remembers who rang."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, uuid: str) -> None:
        self.rung.append(uuid)


class RunnerTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        sources = Sources.of(self.conf, Cloud())
        self.catalog = sources.catalog
        self.database.write(lambda session: self.catalog.sync(session, timeutils.utcnow()))
        self.applier = Ringing()
        notifications = Notifications(self.conf, self.database)
        self.runner = Runner(sources, self.database, self.applier, notifications)

    def audit(self, strategy: str | None = "dummy", **values: Any) -> Audit:
        values.setdefault("audit_type", AuditType.EVENT)
        with self.database.writer() as session:
            goal = session.scalars(select(Goal).where(Goal.name == "dummy")).one()
            row = (
                strategy
                and session.scalars(select(Strategy).where(Strategy.name == strategy)).one()
            )
            return factories.audit(session, goal, row or None, **values)

    def claim(self, audit: Audit) -> AuditRun:
        now = timeutils.utcnow()
        with self.database.writer() as session:
            inbox.queue_run(session, audit.id, 60, now)
            waiting = runs.waiting(session, audit.id) or runs.enqueue(session, audit.id, now, now)
            waiting.not_before = now
            session.flush()
            claimed = claims.claim(session, waiting.id, HOLDER, now)
        assert claimed is not None
        return claimed

    def reload(self, row: Any) -> Any:
        with self.database.reader() as session:
            return session.get_one(type(row), row.id)

    def plans(self) -> list[ActionPlan]:
        with self.database.reader() as session:
            return list(session.scalars(select(ActionPlan).order_by(ActionPlan.id)))

    def fail_with(self, error: BaseException) -> None:
        def execute(strategy: Dummy, inputs: Any) -> Any:
            raise error

        self.patch(Dummy, "execute", execute)

    def set_audit(self, audit: Audit, **values: Any) -> None:
        with self.database.writer() as session:
            row = session.get_one(Audit, audit.id)
            for name, value in values.items():
                setattr(row, name, value)

    def set_strategy(self, audit: Audit, name: str, **values: Any) -> None:
        with self.database.reader() as session:
            strategy = session.scalars(select(Strategy).where(Strategy.name == name)).one()
        self.set_audit(audit, strategy_id=strategy.id, goal_id=strategy.goal_id, **values)

    def end_pending(self) -> None:
        with self.database.writer() as session:
            for plan in session.scalars(select(ActionPlan)):
                if plan.state == PlanState.PENDING:
                    plan.state = PlanState.SUCCEEDED

    def auto(self, **webhook: Any) -> Audit:
        audit = self.audit(auto_trigger=True)
        with self.database.writer() as session:
            session.add(Webhook(audit_id=audit.id, **webhook))
        return audit
