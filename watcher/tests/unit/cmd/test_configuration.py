# SPDX-License-Identifier: Apache-2.0
"""Configurations of the former service, and policies that nobody satisfies."""

import os

import fixtures
from oslo_upgradecheck.upgradecheck import Code

from watcher import conf
from watcher.cmd import configuration
from watcher.cmd.status import Checks
from watcher.tests import base

FORMER = """
[DEFAULT]
debug = true
graceful_shutdown_timeout = 20
periodic_interval = 60
transport_url = rabbit://
[nova_client]
api_version = 2.60
[keystone_authtoken]
auth_type = password
username = watcher
memcached_servers = localhost
[watcher_clients_auth]
auth_type = v3password
password = secret
[watcher_applier]
workflow_engine = taskflow
workers = 3
[oslo_messaging_notifications]
driver = messagingv2
[watcher_planner]
planner = weight
[watcher_strategies.basic]
datasources = gnocchi
"""


class TestOptions(base.TestCase):
    def load(self, text: str, policy: str | None = None) -> Checks:
        """The checks of a configuration file, and a policy file beside it."""
        path = os.path.join(self.directory, "watcher.conf")
        with open(path, "w") as file:
            file.write(text)
        if policy is not None:
            with open(os.path.join(self.directory, "policy.yaml"), "w") as file:
                file.write(policy)
        self.settings = conf.load([], [path])
        return Checks(self.settings)

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path

    def test_options_that_nothing_reads(self) -> None:
        self.load(FORMER)
        self.assertEqual(
            [
                ("DEFAULT", "periodic_interval"),
                ("watcher_applier", "workflow_engine"),
                ("watcher_planner", "planner"),
            ],
            configuration.unknown(self.settings),
        )

    def test_the_check_names_them_and_defaults_that_differ(self) -> None:
        result = self.load(FORMER).check_options()
        self.assertEqual(Code.WARNING, result.code)
        self.assertIn("these 3 options: [DEFAULT] periodic_interval, [", result.details)
        self.assertIn("[api] enable_webhooks_auth is false and was true", result.details)
        own = "[api]\nenable_webhooks_auth = false\n[DEFAULT]\nstate_path = /tmp\n"
        self.assertNotIn("default", self.load(FORMER + own).check_options().details)
        self.assertEqual(Code.SUCCESS, self.load("").check_options().code)

    def test_many_are_cut(self) -> None:
        names = [("DEFAULT", f"option_{number}") for number in range(25)]
        self.assertTrue(configuration.sentence(names).endswith("[DEFAULT] option_19 and 5 more"))

    def test_an_auth_type_that_is_not_installed(self) -> None:
        self.load("[watcher_clients_auth]\nauth_type = v3nothing\nsecret_word = x\n")
        self.assertEqual(
            [("watcher_clients_auth", "secret_word")], configuration.unknown(self.settings)
        )

    def test_policies(self) -> None:
        self.assertEqual(Code.SUCCESS, self.load("").check_policies().code)
        result = self.load(
            "",
            '"audit:get": "project_id:%(project_id)s or rule:admin_api"\n'
            '"audit:delete": "project_id:%(owner)s"\n'
            '"audit:create": "rule:nobody_knows"\n'
            '"audit:explode": "rule:admin_api"\n',
        ).check_policies()
        self.assertEqual(Code.WARNING, result.code)
        self.assertIn("audit:delete compares with owner; there are project_id", result.details)
        self.assertIn("The rule audit:explode guards nothing", result.details)
        self.assertIn("audit:create", result.details)
        self.assertNotIn("audit:get", result.details)
