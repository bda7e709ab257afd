# SPDX-License-Identifier: Apache-2.0
"""What the upgrade check looks at."""

from oslo_upgradecheck.upgradecheck import Code

from watcher.cmd.status import Checks
from watcher.tests.base import DatabaseTestCase


class TestNovaVersion(DatabaseTestCase):
    def test_the_minimum(self) -> None:
        for version, code in (
            ("2.55", Code.FAILURE),
            ("2.9", Code.FAILURE),
            ("2.56", Code.SUCCESS),
            ("2.100", Code.SUCCESS),
        ):
            with self.subTest(version):
                self.conf.set_override("api_version", version, group="nova")
                result = Checks(self.conf).check_nova_version()
                self.assertEqual(code, result.code)
        self.conf.set_override("api_version", "2.55", group="nova")
        self.assertIn("at least 2.56", Checks(self.conf).check_nova_version().details)
