# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

from sqlalchemy import Connection, select

from watcher.common.event import Event
from watcher.common.states import AuditType, Decision, RunState
from watcher.db import batches, runs, webhooks
from watcher.db.batches import Admitted
from watcher.db.events import Recorded
from watcher.db.models import AuditEvent, AuditRun
from watcher.db.session import Lost
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, statements

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)


class TestBatches(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            goal = factories.goal(session)
            audits = [
                factories.audit(session, goal, audit_type=AuditType.EVENT, name=name)
                for name in "abc"
            ]
            self.uuids = {audit.name: audit.uuid for audit in audits}

    def admitted(self, name: str, limit: int = 60, **values: Any) -> Admitted:
        with self.database.reader() as session:
            facts = webhooks.facts(session, name, NOW, "none", limit)
        return Admitted(facts, Event("generic", **values), {}, NOW)

    def accept(self, *admitted: Admitted) -> list[Recorded]:
        def work(connection: Connection) -> list[Recorded]:
            deliveries = {each.delivery for each in admitted if each.delivery}
            return batches.accept(connection, admitted, batches.known(connection, deliveries))

        return self.database.write_plainly(work)

    def decisions(self, recorded: list[Recorded]) -> str:
        return " ".join(f"{each.decision}{'!' if each.repeated else ''}" for each in recorded)

    def counts(self) -> list[int]:
        with self.database.reader() as session:
            return list(
                session.scalars(select(AuditRun.coalesced_count).order_by(AuditRun.audit_id))
            )

    def test_the_first_of_each_audit_queues_and_the_others_join(self) -> None:
        recorded = self.accept(*(self.admitted(name) for name in "abab"))
        self.assertEqual("QUEUED QUEUED COALESCED COALESCED", self.decisions(recorded))
        self.assertEqual([1, 1], self.counts())
        self.assertEqual(recorded[0].run_id, recorded[2].run_id)

    def test_each_joins_the_run_that_waits(self) -> None:
        first = self.accept(*(self.admitted(name) for name in "abc"))
        recorded = self.accept(*(self.admitted(name, reason=name) for name in "cabaa"))
        self.assertEqual([3, 1, 1], self.counts())
        runs_of = dict(zip("abc", (each.run_id for each in first), strict=True))
        self.assertEqual([runs_of[name] for name in "cabaa"], [each.run_id for each in recorded])
        with self.database.reader() as session:
            for name, each in zip("cabaa", recorded, strict=True):
                row = session.scalars(
                    select(AuditEvent).where(AuditEvent.uuid == each.event_uuid)
                ).one()
                self.assertEqual(
                    (name, each.run_id, Decision.COALESCED), (row.reason, row.run_id, row.decision)
                )

    def test_what_joins_costs_no_more_statements_however_many_they_are(self) -> None:
        self.accept(*(self.admitted(name) for name in "abc"))
        executed = statements(self.database)
        for size in (2, 3):
            admitted = [self.admitted(name) for name in "abc"[:size]]
            executed.clear()
            self.accept(*admitted)
            self.assertEqual(["BEGIN", "UPDATE", "INSERT"], [each.split()[0] for each in executed])

    def test_events_whose_run_was_claimed_meanwhile_start_over(self) -> None:
        first = self.accept(self.admitted("a"), self.admitted("b"))
        late = [self.admitted("a"), self.admitted("b")]
        with self.database.writer() as session:
            session.get_one(AuditRun, first[0].run_id).state = RunState.ONGOING
        self.assertRaises(Lost, self.accept, *late)
        self.assertEqual([0, 0], self.counts())
        recorded = self.accept(*(self.admitted(name) for name in "ab"))
        self.assertEqual("QUEUED COALESCED", self.decisions(recorded))
        self.assertNotEqual(first[0].run_id, recorded[0].run_id)

    def test_a_delivery_counts_once_in_a_batch_and_after_it(self) -> None:
        self.accept(self.admitted("a"), self.admitted("b"))
        recorded = self.accept(
            self.admitted("a", delivery="x"),
            self.admitted("b", delivery="x"),
            self.admitted("a", delivery="x"),
        )
        self.assertEqual("COALESCED COALESCED COALESCED!", self.decisions(recorded))
        self.assertEqual(recorded[0].event_uuid, recorded[2].event_uuid)
        again = self.accept(self.admitted("a", delivery="x"), self.admitted("b", delivery="y"))
        self.assertEqual("COALESCED! COALESCED", self.decisions(again))
        self.assertEqual(recorded[0].event_uuid, again[0].event_uuid)
        with self.database.reader() as session:
            row = session.scalars(
                select(AuditEvent).where(AuditEvent.uuid == recorded[0].event_uuid)
            ).one()
            self.assertEqual(3, row.deliveries)

    def test_above_the_limit_events_are_only_counted(self) -> None:
        self.accept(self.admitted("a"), self.admitted("b"))
        recorded = self.accept(self.admitted("a", limit=1), self.admitted("b", limit=60))
        self.assertIsNone(recorded[0].event_uuid)
        self.assertIsNotNone(recorded[1].event_uuid)
        self.assertEqual([1, 1], self.counts())

    def test_a_batch_of_one_is_as_any_event(self) -> None:
        self.assertEqual("QUEUED", self.decisions(self.accept(self.admitted("a"))))
        self.assertEqual("COALESCED", self.decisions(self.accept(self.admitted("a"))))

    def test_facts_of_several_audits_are_those_of_each(self) -> None:
        self.accept(self.admitted("a"))
        idents = ["b", self.uuids["a"], "nobody", self.uuids["c"].upper(), self.uuids["a"]]
        with self.database.reader() as session:
            found = webhooks.facts_of_all(session.connection(), idents, NOW, "none", 60)
            alone = [
                ident != "nobody" and webhooks.facts(session, ident, NOW, "none", 60)
                for ident in idents
            ]
            waiting = runs.waiting(session, found[1].audit_id)
        self.assertEqual(alone, [each or False for each in found])
        self.assertEqual(waiting.id, found[1].waiting_id)
        self.assertEqual([None], found[2:3])
