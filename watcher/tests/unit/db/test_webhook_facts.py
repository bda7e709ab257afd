# SPDX-License-Identifier: Apache-2.0
"""What a look at an audit tells, before an event is decided about."""

import datetime

from watcher.common.alarms import PendingRun, WebhookFacts
from watcher.common.errors import NotFound
from watcher.common.states import AuditType
from watcher.db import events, models, webhook_facts
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
SECOND = datetime.timedelta(seconds=1)


class FactsTest(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            audit = factories.audit(session, audit_type=AuditType.EVENT, name="a")
            self.audit_id, self.uuid = audit.id, audit.uuid or ""

    def facts(self, now: datetime.datetime = NOW, cap: int = 3, ident: str = "a") -> WebhookFacts:
        with self.database.reader() as session:
            return webhook_facts.read(session, ident, now, "none", cap)

    def post(self, now: datetime.datetime = NOW, **parameters: str) -> int:
        with self.database.writer() as session:
            return factories.appended(session, self.audit_id, now, None, parameters).id

    def test_an_audit_without_a_webhook_has_the_defaults(self) -> None:
        for ident in ("a", self.uuid, self.uuid.upper(), self.uuid.replace("-", "")):
            facts = self.facts(ident=ident)
            self.assertEqual((self.audit_id, self.uuid), (facts.audit_id, facts.audit_uuid))
            self.assertEqual(("none", 0, False), (facts.auth, facts.debounce, facts.paused))
            self.assertEqual(([], None), (facts.pending_runs, facts.limited_until))

    def test_there_is_no_such_audit(self) -> None:
        for ident in (str(self.audit_id), "b", models.new_uuid()):
            self.assertRaises(NotFound, self.facts, ident=ident)

    def test_the_settings_of_the_webhook(self) -> None:
        spec = {"properties": {"node": {"type": "string"}}}
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session), parameters_spec=spec)
            audit = factories.audit(
                session, strategy=strategy, audit_type=AuditType.EVENT, parameters={"node": "x"}
            )
            session.add(
                models.Webhook(
                    audit_id=audit.id, auth="secret", debounce=5, parameters={"node": "host"}
                )
            )
            name = audit.name or ""
        facts = self.facts(ident=name)
        self.assertEqual(("secret", 5), (facts.auth, facts.debounce))
        self.assertEqual(
            ({"node": "host"}, {"node": "x"}, spec),
            (facts.mapping, facts.own_parameters, facts.schema),
        )

    def test_the_minute_is_full_until_its_oldest_event_is_a_minute_old(self) -> None:
        for seconds in (0, 10, 20):
            self.assertIsNone(self.facts(NOW + seconds * SECOND).limited_until)
            self.post(NOW + seconds * SECOND)
        self.assertEqual(NOW + 60 * SECOND, self.facts(NOW + 59 * SECOND).limited_until)
        self.assertIsNone(self.facts(NOW + 60 * SECOND).limited_until)

    def test_the_event_that_waits_and_then_its_run(self) -> None:
        event_id = self.post()
        self.assertEqual([PendingRun({}, event_id=event_id)], self.facts().pending_runs)
        factories.take(self.database)
        [pending_run] = self.facts().pending_runs
        self.assertEqual(({}, None), (pending_run.parameters, pending_run.event_id))
        self.assertIsNotNone(pending_run.run_id)

    def test_where_it_is_full_all_that_wait_with_their_parameters(self) -> None:
        with self.database.writer() as session:
            session.add(models.Webhook(audit_id=self.audit_id, parameters={"node": "host"}))
        for node in "ab":
            self.post(node=node)
        self.assertEqual(1, len(self.facts().pending_runs))
        self.post(node="c")
        self.assertEqual(
            ["a", "b", "c"], sorted(h.parameters["node"] for h in self.facts().pending_runs)
        )

    def test_many_at_once(self) -> None:
        self.post()
        idents = ["nobody", self.uuid, "a", self.uuid.upper()]
        with self.database.reader() as session:
            found = webhook_facts.read_all(session.connection(), idents, NOW, "none", 60)
        self.assertEqual([None, *[self.facts(cap=60)] * 3], found)

    def test_one_is_not_true(self) -> None:
        self.assertFalse(events.same({"a": 1}, {"a": True}))
        self.assertTrue(events.same({"a": 1, "b": None}, {"b": None, "a": 1}))
        self.assertTrue(events.same(None, {}))
