# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

import fixtures
from oslo_db.exception import DBDataError
from sqlalchemy import func, select

from watcher.api.door import Answered, Door, Knock
from watcher.common.errors import NotFound
from watcher.common.event import Event
from watcher.common.states import AuditType, Decision
from watcher.common.webhook import Facts
from watcher.db import batches
from watcher.db.batches import Admitted
from watcher.db.models import AuditEvent, AuditRun
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, statements
from watcher.webhooks import admission
from watcher.webhooks.admission import Verdict

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)


def let_in(facts: Facts) -> Verdict:
    return admission.decide(facts, Event("generic"), NOW)


def think_about_it(facts: Facts) -> None:
    """What would take long is for who knocked."""


class TestDoor(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("max_recorded_per_minute", 3, group="webhooks")
        with self.database.writer() as session:
            goal = factories.goal(session)
            audits = [
                factories.audit(session, goal, audit_type=AuditType.EVENT, name=name)
                for name in "ab"
            ]
            self.uuids = [str(audit.uuid) for audit in audits]
        self.door = Door(self.conf, self.database)

    def knock(self, name: str, judge: Any = let_in, **values: Any) -> Knock:
        return Knock(name, Event("generic", **values), NOW, judge)

    def answers(self, *knocks: Knock) -> list[Answered]:
        """Those to knocks that come together."""
        answers = self.door._answer(knocks)
        self.assertEqual([], [each for each in answers if not isinstance(each, Answered)])
        return list(answers)  # type: ignore[arg-type]

    def rows(self) -> list[int]:
        with self.database.reader() as session:
            return [
                session.scalars(select(func.count(row.id))).one() for row in (AuditEvent, AuditRun)
            ]

    def test_each_gets_the_answer_to_its_own_knock(self) -> None:
        knocks = [self.knock("b"), self.knock("nobody"), self.knock("a", think_about_it)]
        b, nobody, a = self.door._answer(knocks)
        self.assertIsInstance(nobody, NotFound)
        assert isinstance(a, Answered) and isinstance(b, Answered)
        self.assertEqual((None, None), (a.verdict, a.recorded))
        assert b.verdict and b.recorded
        self.assertEqual(Decision.QUEUED, b.recorded.decision)
        with self.database.reader() as session:
            row = session.scalars(select(AuditEvent)).one()
        self.assertEqual((b.recorded.event_uuid, b.facts.audit_id), (row.uuid, row.audit_id))
        self.assertRaises(NotFound, self.door.knock, self.knock("nobody"))

    def test_what_is_judged_late_is_committed_all_the_same(self) -> None:
        answered = self.door.knock(self.knock("a", think_about_it))
        self.assertEqual([0, 0], self.rows())
        recorded = self.door.accept(Admitted(answered.facts, Event("generic"), {}, NOW))
        self.assertEqual(Decision.QUEUED, recorded.decision)
        self.assertEqual([1, 1], self.rows())

    def test_many_cost_one_look_and_one_transaction(self) -> None:
        self.answers(self.knock("a"), self.knock("b"))
        executed = statements(self.database)
        for times, updates in ((1, 1), (2, 2)):
            executed.clear()
            self.answers(*(self.knock(uuid) for uuid in self.uuids * times))
            self.assertEqual(
                ["BEGIN", "SELECT", *["UPDATE"] * updates, "INSERT"],
                [each.split()[0] for each in executed],
            )

    def test_in_a_flood_nothing_is_written_but_deliveries_that_are_known(self) -> None:
        self.answers(self.knock("a", delivery="x"), self.knock("a"), self.knock("a"))
        rows = self.rows()
        covered, known, new = self.answers(
            self.knock("a"), self.knock("a", delivery="x"), self.knock("a", delivery="y")
        )
        self.assertEqual((False, None), (covered.delivered, covered.recorded))
        self.assertEqual((False, None), (new.delivered, new.recorded))
        assert known.recorded
        self.assertTrue(known.delivered and known.recorded.repeated)
        self.assertEqual(rows, self.rows())

    def test_an_event_that_the_database_refuses_fails_alone(self) -> None:
        refused = self.knock("a", reason="bad")
        accept = batches.accept

        def fussy(connection: Any, admitted: Any, repeated: Any) -> Any:
            if any(each.event.reason == "bad" for each in admitted):
                raise DBDataError("bad")
            return accept(connection, admitted, repeated)

        self.useFixture(fixtures.MockPatchObject(batches, "accept", fussy))
        good, bad = self.door._knocks._answers([self.knock("b"), refused])
        self.assertIsInstance(good, Answered)
        self.assertIsInstance(bad, DBDataError)
        self.assertEqual([1, 1], self.rows())
