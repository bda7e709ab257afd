# SPDX-License-Identifier: Apache-2.0
"""Nothing that happens elsewhere in the database makes an alarm wait."""

import contextlib
import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
import webob
from oslo_utils import timeutils
from sqlalchemy.orm import Session

from watcher.api import app
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.states import AuditType, PlanState
from watcher.db import action_plans, migration, runs
from watcher.db.action_plans import PlannedAction
from watcher.db.leases import Holder
from watcher.db.models import Audit, AuditEvent
from watcher.db.session import Database
from watcher.decision_engine.run_dispatcher import RunDispatcher
from watcher.tests import factories
from watcher.tests.base import TIMEOUT
from watcher.tests.integration.freezing import Freezing
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase
from watcher.tests.unit.api.fakes import build_api

HOLDER = Holder("engine-1", "host-1", datetime.timedelta(seconds=30))


class IsolationStories:
    """Whoever waits for another transaction here ends with an error, not later."""

    def setUp(self) -> None:
        super().setUp()
        migration.create_schema(self.database)
        self.conf.set_override("enable_authentication", False)
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            for name in "ab":
                factories.audit(session, strategy=strategy, audit_type=AuditType.EVENT, name=name)
        self.conf.set_override("call_timeout", 8, group="database")
        self.impatient = Database(self.conf)
        self.addCleanup(self.impatient.dispose)
        self.api = self.built(self.impatient)

    def built(self, database: Database) -> app.Application:
        self.unrecorded = UnrecordedEvents(database)
        self.addCleanup(self.unrecorded.stop)
        return build_api(self.conf, database, unrecorded=self.unrecorded)

    def request(self, path: str, method: str = "GET", **headers: str) -> int:
        request = webob.Request.blank(path, method=method, headers=headers)
        return int(request.get_response(self.api).status_int)

    def post(self, name: str, **headers: str) -> int:
        return self.request(f"/v1/webhooks/{name}", "POST", **headers)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The rows of audit a, its events and its run that waits, if any, held by somebody."""
        held, ended = threading.Event(), threading.Event()

        def hold(session: Session) -> None:
            audit = session.scalars(
                sa.select(Audit).where(Audit.name == "a").with_for_update()
            ).one()
            waiting = runs.waiting(session, audit.id)
            if waiting is not None:
                session.refresh(waiting, with_for_update=True)
            of_audit = AuditEvent.audit_id == audit.id
            session.execute(sa.select(AuditEvent.id).where(of_audit).with_for_update())
            held.set()
            ended.wait(TIMEOUT)

        with ThreadPoolExecutor(1) as pool:
            holder = pool.submit(self.database.write, hold)
            self.assertTrue(held.wait(TIMEOUT))
            try:
                yield
            finally:
                ended.set()
            holder.result()

    def test_a_row_that_is_held_delays_no_alarm(self) -> None:
        self.post("a")
        factories.take(self.database)
        with self.held():
            self.assertEqual([202, 202], [self.post(name) for name in "ab"])

    def test_a_row_that_is_held_delays_no_repetition(self) -> None:
        again = {"Idempotency-Key": "1"}
        self.post("a", **again)
        with self.held():
            self.assertEqual(202, self.post("a", **again))
        self.unrecorded.stop()  # which writes the counts
        with self.database.reader() as session:
            self.assertEqual(2, session.scalars(sa.select(AuditEvent.deliveries)).one())

    def test_with_alarms_in_flight_others_are_answered(self) -> None:
        with self.held(), ThreadPoolExecutor(14) as pool:
            alarms = [pool.submit(self.post, "a") for _ in range(12)]
            others = [
                pool.submit(self.request, path) for path in ("/healthcheck", "/v1/webhooks/a")
            ]
            self.assertEqual([200, 200], [each.result() for each in others])
            self.assertEqual([202] * 12, [each.result() for each in alarms])

    def test_an_engine_leaves_the_audit_alone_that_is_held(self) -> None:
        for name in "ab":
            self.post(name)
        engine = RunDispatcher(self.conf, self.impatient, HOLDER, lambda run: None)
        with self.held():
            run = engine.claim(timeutils.utcnow())
            self.assertEqual("b", run.audit.name)
        self.assertEqual("a", engine.claim(timeutils.utcnow()).audit.name)

    def test_a_large_plan_that_is_written_delays_no_alarm(self) -> None:
        with self.database.writer() as session, ThreadPoolExecutor(1) as pool:
            audit = session.scalars(sa.select(Audit).where(Audit.name == "a")).one()
            audit.status_message = "changed"
            action_plans.create(
                session,
                audit_id=audit.id,
                strategy_id=audit.strategy_id,
                state=PlanState.RECOMMENDED,
                global_efficacy=[],
                indicators=[],
                actions=[PlannedAction(f"action-{n}", "nop", {}, []) for n in range(5000)],
                now=timeutils.utcnow(),
            )
            posted = [pool.submit(self.post, name).result() for name in "ab"]
        self.assertEqual([202, 202], posted)

    def test_a_connection_that_falls_silent_delays_its_own_alarm_alone(self) -> None:
        url = sa.make_url(self.conf.database.connection)
        proxy = Freezing((url.host or "", url.port or 0))
        proxy.start()
        self.addCleanup(proxy.stop)
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        self.conf.set_override("connection", through, group="database")
        self.conf.set_override("call_timeout", round(TIMEOUT), group="database")
        database = Database(self.conf)
        self.addCleanup(database.dispose)
        self.api = self.built(database)
        self.assertEqual(202, self.post("a"))
        self.assertEqual(1, proxy.freeze())
        with ThreadPoolExecutor(7) as pool:
            first = pool.submit(self.post, "a")
            self.assertTrue(proxy.swallowed.wait(TIMEOUT))
            others = [pool.submit(self.post, "b") for _ in range(6)]
            self.assertEqual([202] * 6, [each.result() for each in others])
            self.assertFalse(first.done(), "nobody waited for it")
            proxy.stop()
            self.assertIn(first.result(), (202, 503))


class IsolationOnMariaDB(IsolationStories, MariaDBTestCase):
    pass


class IsolationOnPostgreSQL(IsolationStories, PostgreSQLTestCase):
    pass
