# SPDX-License-Identifier: Apache-2.0
"""Which cloud is connected to, and what that loads."""

import subprocess
import sys

from watcher.cmd import cloud
from watcher.common.errors import NotConfigured
from watcher.tests import base


class TestConnect(base.TestCase):
    def test_without_a_cloud(self) -> None:
        connected = cloud.connect(self.conf)
        self.assertFalse(connected.notifies)
        for use in (
            lambda: connected.compute,
            lambda: connected.block_storage,
            lambda: connected.baremetal,
        ):
            self.assertRaises(NotConfigured, use)

    def test_the_services_load_no_sdk_before_there_is_a_cloud(self) -> None:
        program = (
            "import sys\n"
            "import watcher.cmd.api, watcher.cmd.applier, watcher.cmd.decision_engine\n"
            "from watcher import conf; from watcher.cmd import cloud\n"
            "cloud.connect(conf.load([], []))\n"
            "print('openstack' in sys.modules)"
        )
        found = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        self.assertEqual("False", found.stdout.strip())
