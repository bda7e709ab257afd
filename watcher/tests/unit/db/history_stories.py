# SPDX-License-Identifier: Apache-2.0
"""What is told of a webhook's past and future, on any database."""

import dataclasses
import datetime
from typing import Any

from watcher.common.alarms import AlarmMessage
from watcher.common.errors import NotFound
from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import claims, history, models, run_ends, runs, webhook_settings
from watcher.db.leases import Holder
from watcher.db.paging import Page
from watcher.tests import factories

NOW = datetime.datetime(2026, 1, 1, 12)
SECOND = datetime.timedelta(seconds=1)
HOLDER = Holder("engine-1:1:a", "engine-1", 30 * SECOND)


class HistoryStories:
    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
        with self.database.writer() as session:
            self.audit_id = factories.audit(session, name="a", audit_type=AuditType.EVENT).id

    def accept(self, *values: Any) -> None:
        """Events, each with its value of a parameter."""
        for value in values or (None,):
            parameters = {} if value is None else {"host": value}
            with self.database.writer() as session:
                factories.accepted(session, self.audit_id, NOW, None, parameters)

    def claim(self) -> int:
        factories.take(self.database)
        with self.database.writer() as session:
            waiting = runs.waiting(session, self.audit_id)
            run = claims.claim(session, waiting.id, HOLDER, NOW)
            return run.id

    def claimed(self, session: Any, run_id: int) -> models.AuditRun:
        return session.get(models.AuditRun, run_id)

    def counts(self) -> tuple[int, int, int]:
        with self.database.reader() as session:
            number = history.counts(session, self.audit_id)
        self.assertEqual(set(Decision.ALL), number.keys())
        return number[Decision.ACCEPTED], number[Decision.QUEUED], number[Decision.COALESCED]

    def test_events_with_a_row_of_their_own(self) -> None:
        self.assertEqual((0, 0, 0), self.counts())
        self.accept(None, None, None)
        self.assertEqual((0, 1, 2), self.counts())
        self.claim()
        self.accept(None, None)
        self.assertEqual((0, 2, 3), self.counts())

    def test_events_of_a_storm(self) -> None:
        self.accept(None, None)
        with self.database.writer() as session:
            runs.count_coalesced(session, runs.waiting(session, self.audit_id).id, 500)
        self.assertEqual((0, 1, 501), self.counts())

    def test_events_that_joined_what_no_event_had_queued(self) -> None:
        with self.database.writer() as session:
            runs.enqueue(session, self.audit_id, NOW, NOW)
        self.accept(None, None)
        self.assertEqual((0, 0, 2), self.counts())

    def test_events_that_a_younger_run_took_over(self) -> None:
        self.accept(None, None, None)
        run_id = self.claim()
        self.accept(None, None)
        with self.database.writer() as session:
            run_ends.retry(session, self.claimed(session, run_id), NOW, NOW, "Later.")
        for _ in range(2):
            self.assertEqual((0, 2, 3), self.counts())
            factories.take(self.database)

    def test_events_that_got_another_run_for_their_parameters(self) -> None:
        self.accept("a", "b", "a", "c", "b")
        for counts in ((3, 1, 1), (1, 2, 2), (0, 3, 2)):
            factories.take(self.database)
            self.assertEqual(counts, self.counts())
            run_id = self.claim()
            with self.database.writer() as session:
                run_ends.finish(session, self.claimed(session, run_id), RunState.SUCCEEDED, NOW)
                session.get(models.Audit, self.audit_id).state = AuditState.SUCCEEDED
        with self.database.reader() as session:
            self.assertIsNone(runs.waiting(session, self.audit_id))

    def test_those_of_another_audit(self) -> None:
        with self.database.writer() as session:
            other = factories.audit(session, audit_type=AuditType.EVENT).id
            factories.accepted(session, other, NOW)
        self.assertEqual((0, 0, 0), self.counts())

    def test_those_that_caused_nothing(self) -> None:
        with self.database.writer() as session:
            for decision in (Decision.IGNORED, Decision.IGNORED, Decision.REJECTED):
                factories.appended(session, self.audit_id, NOW, None, None, decision, "x")
        with self.database.reader() as session:
            number = history.counts(session, self.audit_id)
        expected = {"ACCEPTED": 0, "QUEUED": 0, "COALESCED": 0, "IGNORED": 2, "REJECTED": 1}
        self.assertEqual(expected, number)

    def next_run(self, **settings: Any) -> tuple[datetime.datetime | None, str | None]:
        with self.database.reader() as session:
            audit, webhook = webhook_settings.get(session, "a")
            for name, value in settings.items():
                setattr(webhook, name, value)
            return history.next_run(session, audit, webhook, NOW)

    def change(self, state: str) -> None:
        with self.database.writer() as session:
            session.get(models.Audit, self.audit_id).state = state

    def test_that_of_an_event_that_comes_now(self) -> None:
        self.assertEqual((NOW, None), self.next_run())
        self.assertEqual((NOW + 30 * SECOND, None), self.next_run(debounce=30))

    def test_the_one_that_waits(self) -> None:
        with self.database.writer() as session:
            runs.enqueue(session, self.audit_id, NOW, NOW + SECOND)
        self.assertEqual((NOW + SECOND, None), self.next_run(debounce=30))

    def test_what_it_waits_for(self) -> None:
        with self.database.writer() as session:
            run = runs.enqueue(session, self.audit_id, NOW, NOW)
            runs.note_wait_for_plan(session, [run.id])
        self.assertEqual((NOW, runs.PLAN_ONGOING), self.next_run())

    def test_the_cooldown_of_the_last(self) -> None:
        self.accept()
        run_id = self.claim()
        with self.database.writer() as session:
            run_ends.finish(session, self.claimed(session, run_id), RunState.SUCCEEDED, NOW)
        self.change(AuditState.SUCCEEDED)
        cooled = (NOW + 60 * SECOND, runs.COOLDOWN)
        self.assertEqual(cooled, self.next_run(cooldown=60))
        self.assertEqual((NOW + 90 * SECOND, None), self.next_run(cooldown=60, debounce=90))
        self.accept()
        self.assertEqual(cooled, self.next_run(cooldown=60, debounce=90))

    def test_none_for_an_audit_that_takes_no_events(self) -> None:
        self.accept()
        for state in (AuditState.SUSPENDED, AuditState.CANCELLED):
            self.change(state)
            self.assertEqual((None, None), self.next_run())

    def test_an_audit_without_a_row_gets_one_when_it_is_changed(self) -> None:
        for _ in range(2):
            with self.database.reader() as session:
                _audit, webhook = webhook_settings.get(session, "a")
            self.assertEqual((None, 0, False), (webhook.id, webhook.cooldown, webhook.paused))
        with self.database.writer() as session:
            _audit, webhook = webhook_settings.get_locked(session, "a")
            webhook.paused = True
        with self.database.writer() as session:
            audit, webhook = webhook_settings.get_locked(session, "a")
            self.assertEqual((self.audit_id, True), (audit.id, webhook.paused))

    def test_deleted_audits_have_no_webhook(self) -> None:
        with self.database.writer() as session:
            session.get(models.Audit, self.audit_id).deleted = self.audit_id
        with self.database.reader() as session:
            self.assertRaises(NotFound, webhook_settings.get, session, "a")

    def test_pages_of_events(self) -> None:
        with self.database.writer() as session:
            for number in range(6):
                moment = NOW + number // 2 * SECOND  # two at a time
                factories.accepted(
                    session,
                    self.audit_id,
                    moment,
                    AlarmMessage(source="aodh", alarm_name=str(number)),
                )
        for descending in (True, False):
            page, names = Page(2, None, "received_at", descending), []
            with self.database.reader() as session:
                while rows := history.EVENTS.list_page(session, page, audit_id=self.audit_id):
                    names += [row.alarm_name for row in rows]
                    page = dataclasses.replace(page, marker=rows[-1].uuid)
            order = sorted("012345", reverse=descending)
            self.assertEqual(order, names)

    def test_events_that_are_wanted(self) -> None:
        self.accept(None, None)
        with self.database.writer() as session:
            later = NOW + SECOND
            factories.accepted(session, self.audit_id, later, AlarmMessage(source="aodh"))
        page = Page(10)
        with self.database.reader() as session:
            for number, filters in (
                (3, {}),
                (1, {"decision": Decision.QUEUED}),
                (1, {"decision": Decision.COALESCED, "source": "generic"}),
                (1, {"since": later}),
                (0, {"since": later, "decision": Decision.QUEUED}),
            ):
                rows = history.EVENTS.list_page(session, page, audit_id=self.audit_id, **filters)
                self.assertEqual(number, len(rows), filters)
            self.assertEqual(
                [], history.EVENTS.list_page(session, page, audit_id=self.audit_id + 1)
            )

    def test_runs_and_their_plans(self) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            strategy = factories.strategy(session, goal)
            audit = session.get(models.Audit, self.audit_id)
            plan = factories.action_plan(session, audit, strategy)
        self.accept()
        run_id = self.claim()
        self.accept()
        with self.database.writer() as session:
            run = self.claimed(session, run_id)
            run_ends.finish(session, run, RunState.SUCCEEDED, NOW, action_plan_id=plan.id)
        with self.database.reader() as session:
            newest, oldest = history.RUNS.list_page(
                session, Page(5, descending=True), audit_id=self.audit_id
            )
            self.assertEqual((RunState.QUEUED, None), (newest.state, newest.action_plan))
            self.assertEqual((run_id, plan.uuid), (oldest.id, oldest.action_plan.uuid))
            last = history.last_run(session, self.audit_id)
            self.assertEqual((run_id, plan.uuid), (last.id, last.action_plan.uuid))
            first, _second = history.EVENTS.list_page(session, Page(5), audit_id=self.audit_id)
            event = history.EVENTS.get(session, first.uuid.upper(), audit_id=self.audit_id)
            self.assertEqual((plan.uuid, "null"), (event.run.action_plan.uuid, event.payload))
