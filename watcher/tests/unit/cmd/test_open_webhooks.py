# SPDX-License-Identifier: Apache-2.0
"""The warning about open webhooks that act on their own."""

import fixtures

from watcher.cmd import open_webhooks
from watcher.common.states import AuditState, AuditType
from watcher.db.models import Webhook
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase


class ExposureTestCase(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())

    def add(self, name: str, *settings: Webhook, **values: object) -> None:
        values = {"audit_type": AuditType.EVENT, "auto_trigger": True, **values}
        with self.database.writer() as session:
            audit = factories.audit(session, name=name, **values)
            for webhook in settings:
                webhook.audit_id = audit.id
                session.add(webhook)

    def warned(self) -> str | None:
        return open_webhooks.warning(self.conf)

    def test_who_is_named(self) -> None:
        self.assertIsNone(self.warned())
        self.add("locked-1", Webhook(auth="secret"))
        self.add("locked-2", Webhook(auth="keystone"))
        self.add("careful", Webhook(), auto_trigger=False)
        self.add("oneshot", audit_type=AuditType.ONESHOT)
        self.add("over", Webhook(auth="none"), state=AuditState.CANCELLED)
        self.add("deleted", Webhook(auth="none"), deleted=7)
        self.assertIsNone(self.warned())
        self.add("open", Webhook(auth="none"))
        self.add("default", Webhook(), state=AuditState.FAILED)
        self.add("rowless", state=AuditState.SUSPENDED)
        self.assertIn("auto_trigger: open, default, rowless;", self.warned() or "")
        self.conf.set_override("enable_webhooks_auth", True, group="api")
        self.assertIn("auto_trigger: open;", self.warned() or "")
        self.conf.set_override("require_auth_for_auto_trigger", True, group="webhooks")
        self.assertIsNone(self.warned())

    def test_no_more_than_ten(self) -> None:
        for number in range(12):
            self.add(f"a{number}")
        sentence = self.warned() or ""
        self.assertIn("a9 and 2 more;", sentence)
        self.assertNotIn("a10", sentence)

    def test_it_is_logged_once(self) -> None:
        open_webhooks.warn(self.conf)
        self.assertEqual("", self.log.output)
        self.add("100%s-open")
        open_webhooks.warn(self.conf)
        self.assertEqual(1, self.log.output.count("auto_trigger: 100%s-open;"))

    def test_a_failing_database_does_not_stop_the_service(self) -> None:
        with self.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE audits RENAME COLUMN auto_trigger TO other")
        open_webhooks.warn(self.conf)
        self.assertIn("cannot be looked up now", self.log.output)
