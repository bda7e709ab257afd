# SPDX-License-Identifier: Apache-2.0
"""How a service starts."""

import os

import fixtures

from watcher.cmd import process
from watcher.tests import base


class TestMain(base.TestCase):
    def test_an_api_version_of_nova_that_is_too_old(self) -> None:
        path = os.path.join(self.directory, "watcher.conf")
        with open(path, "w") as file:
            file.write("[nova]\napi_version = 2.55\n")
        argv = ["watcher-applier", "--config-file", path]
        self.useFixture(fixtures.MonkeyPatch("sys.argv", argv))
        error = self.assertRaises(SystemExit, process.main, process.ServiceProcess)
        self.assertIn("[nova] api_version is 2.55", str(error))
