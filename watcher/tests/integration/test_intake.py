# SPDX-License-Identifier: Apache-2.0
"""The intake of one audit on real servers, with engines that take events and runs meanwhile."""

import contextlib
import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import webob
from oslo_utils import timeutils
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import claims, migration, run_ends, runs
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditEvent, AuditRun
from watcher.db.timeouts import LockWait
from watcher.tests import factories
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.api.fakes import build_api

HOLDER = Holder("engine-1", "host-1", datetime.timedelta(seconds=30))
SENDERS, BURSTS, ALARMS = 4, 15, 8


class IntakeStories:
    def setUp(self) -> None:
        super().setUp()
        migration.create_schema(self.database)
        self.conf.set_override("enable_authentication", False)
        self.conf.set_override("max_recorded_per_minute", 5, group="webhooks")
        self.unrecorded = UnrecordedEvents(self.database)
        self.addCleanup(self.unrecorded.stop)
        self.api = build_api(self.conf, self.database, unrecorded=self.unrecorded)
        with self.database.writer() as session:
            factories.audit(session, audit_type=AuditType.EVENT, name="a")

    def post(self, **headers: str) -> webob.Response:
        request = webob.Request.blank("/v1/webhooks/a", method="POST", headers=headers)
        response = request.get_response(self.api)
        self.assertEqual(202, response.status_int, response.text)
        return response

    def waiting(self) -> bool:
        with self.database.reader() as session:
            in_inbox = session.scalars(select(AuditEvent.id).where(AuditEvent.inbox.is_not(None)))
            if in_inbox.first() is not None:
                return True
        with self.database.reader() as session:
            found = session.scalars(select(AuditRun.id).where(AuditRun.state == RunState.QUEUED))
            return found.first() is not None

    def carry_out_one(self) -> float | None:
        """When the run that waits was claimed, however long it was to wait; None if none does."""
        later = timeutils.utcnow() + datetime.timedelta(minutes=5)

        with contextlib.suppress(LockWait):
            factories.take(self.database, 5)

        def begin(session: Session) -> AuditRun | None:
            ids = runs.due(session, later, 1)
            return claims.claim(session, ids[0], HOLDER, later) if ids else None

        run = self.database.write(begin)
        if run is None:
            return None
        claimed = time.monotonic()

        def end(session: Session) -> None:
            if run_ends.move_audit(session, run, AuditState.SUCCEEDED, later):
                run_ends.finish(session, run, RunState.SUCCEEDED, later)

        self.database.write(end)
        return claimed

    def test_no_alarm_of_a_storm_is_without_a_run_after_it(self) -> None:
        sent = 0
        for _ in range(BURSTS):
            begun: list[float] = []
            claimed: list[float] = []

            def send(number: int, begun: list[float] = begun) -> None:
                for _ in range(ALARMS):
                    begun.append(time.monotonic())
                    self.post()

            def work(senders, claimed: list[float] = claimed) -> None:
                while True:
                    over = all(sender.done() for sender in senders)
                    at = self.carry_out_one()
                    if at is not None:
                        claimed.append(at)
                    elif over and not self.waiting():
                        return

            with ThreadPoolExecutor(SENDERS + 1) as pool:
                senders = [pool.submit(send, number) for number in range(SENDERS)]
                pool.submit(work, senders).result()
                for sender in senders:
                    sender.result()
            sent += SENDERS * ALARMS
            self.assertGreater(max(claimed), max(begun), "no run began after the last alarm")
        # Not flush: its thread may be writing the counts.
        self.unrecorded.stop()
        with self.database.reader() as session:
            number, merged = session.execute(
                select(func.count(AuditRun.id), func.sum(AuditRun.coalesced_count))
            ).one()
            rows = session.scalar(select(func.count(AuditEvent.id))) or 0
            states = session.scalars(select(Audit.state)).all()
        self.assertEqual(sent, number + merged)
        # Beyond what is recorded, those that come before anything waits for them.
        self.assertLessEqual(rows, 5 + SENDERS * (number + 1))
        self.assertEqual([AuditState.SUCCEEDED], states)

    def test_a_delivery_that_comes_many_times_at_once_is_one_event(self) -> None:
        barrier = threading.Barrier(8)

        def send(number: int) -> str:
            barrier.wait()
            return self.post(**{"Idempotency-Key": "k"}).location

        with ThreadPoolExecutor(8) as pool:
            locations = set(pool.map(send, range(8)))
        self.assertEqual(1, len(locations))
        self.unrecorded.stop()
        with self.database.reader() as session:
            self.assertEqual(8, session.scalars(select(AuditEvent.deliveries)).one())
            self.assertEqual(Decision.ACCEPTED, session.scalars(select(AuditEvent.decision)).one())


class IntakeOnMariaDB(IntakeStories, MariaDBTestCase):
    pass


class IntakeOnPostgreSQL(IntakeStories, PostgreSQLTestCase):
    pass
