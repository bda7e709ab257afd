# SPDX-License-Identifier: Apache-2.0
"""A test case with an emulated nova and placement."""

from collections.abc import Callable
from typing import Any

from watcher.cmd import cloud
from watcher.tests import base
from watcher.tests.emulated.cloud import EmulatedCloud


class ComputeTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.emulated = self.useFixture(EmulatedCloud())
        self.nova, self.placement = self.emulated.nova, self.emulated.placement
        self.emulated.configure(self.conf)
        self.compute = cloud.connect(self.conf).compute

    def reconnect(self) -> None:
        """Connect with the options as they are now."""
        self.compute = cloud.connect(self.conf).compute

    def calls(self, work: Callable[[], Any]) -> dict[str, int]:
        """The requests that *work* makes once the cloud is known."""
        self.emulated.server.requests.clear()
        work()
        return dict(self.emulated.asked())
