# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

from sqlalchemy import select

from watcher.common.states import AuditType, Decision, RunState
from watcher.db import counters, retention
from watcher.db.models import AuditEvent, AuditRun
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
DAY = datetime.timedelta(days=1)


class ForgetEventsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            self.audit_id = factories.audit(session, audit_type=AuditType.EVENT).id

    def event(self, age: datetime.timedelta, run_state: str | None = None) -> str:
        with self.database.writer() as session:
            run_id = None
            if run_state is not None:
                run = AuditRun(
                    audit_id=self.audit_id, state=run_state, not_before=NOW, created_at=NOW
                )
                session.add(run)
                session.flush()
                run_id = run.id
            row = AuditEvent(
                audit_id=self.audit_id,
                run_id=run_id,
                received_at=NOW - age,
                source="generic",
                decision=Decision.QUEUED if run_id else Decision.IGNORED,
            )
            session.add(row)
            session.flush()
            return row.uuid

    def kept(self) -> set[str]:
        with self.database.reader() as session:
            return set(session.scalars(select(AuditEvent.uuid)))

    def totals(self) -> Any:
        with self.database.reader() as session:
            return +counters.totals(session)

    def test_removes_old_events_that_nobody_waits_for(self) -> None:
        kept = {
            self.event(DAY, RunState.SUCCEEDED),
            self.event(3 * DAY, RunState.QUEUED),
            self.event(3 * DAY, RunState.ONGOING),
        }
        self.event(3 * DAY, RunState.FAILED)
        self.event(3 * DAY)
        before = self.totals()

        self.assertEqual(
            2, self.database.write(lambda session: retention.forget_events(session, NOW - 2 * DAY))
        )

        self.assertEqual(kept, self.kept())
        self.assertEqual(before, self.totals())

    def test_removes_a_batch_at_a_time(self) -> None:
        self.patch(retention, "BATCH", 2)
        for _ in range(3):
            self.event(3 * DAY)
        numbers = [
            self.database.write(lambda session: retention.forget_events(session, NOW))
            for _ in range(3)
        ]
        self.assertEqual([2, 1, 0], numbers)
