# SPDX-License-Identifier: Apache-2.0
"""The warning about open webhooks on real databases, before and after their upgrade."""

from watcher.cmd import open_webhooks
from watcher.common.states import AuditType
from watcher.db import migration
from watcher.db.models import Webhook
from watcher.tests import factories
from watcher.tests.integration.servers import (
    MariaDBTestCase,
    PostgreSQLTestCase,
)

WITHOUT_SETTINGS = "f56ba02662b4"


class ExposureStories:
    def test_before_and_after_the_upgrade(self) -> None:
        self.assertIsNone(open_webhooks.warning(self.conf))
        migration.upgrade(self.database, WITHOUT_SETTINGS)
        with self.database.writer() as session:
            audit = factories.audit(
                session, name="open", audit_type=AuditType.EVENT, auto_trigger=True
            )
        self.assertIn(f"auto_trigger: {audit.uuid};", open_webhooks.warning(self.conf) or "")
        migration.upgrade(self.database)
        self.assertIn("auto_trigger: open;", open_webhooks.warning(self.conf) or "")
        with self.database.writer() as session:
            session.query(Webhook).delete()
            session.add(Webhook(audit_id=audit.id, auth="secret"))
        self.assertIsNone(open_webhooks.warning(self.conf))


class ExposureOnMariaDB(ExposureStories, MariaDBTestCase):
    pass


class ExposureOnPostgreSQL(ExposureStories, PostgreSQLTestCase):
    pass
