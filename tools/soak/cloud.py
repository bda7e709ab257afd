# SPDX-License-Identifier: Apache-2.0
"""The cloud of a soak: nova, placement and Prometheus, in threads of the tool."""

import random
from typing import Any

from watcher.tests.emulated import keystone, prometheus
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer

HOSTS, SERVERS = 20, 200
THRESHOLD = 31
"""Per cent of the processors of a host: a hot host is above it until a server has left."""
_BUSY, _IDLE = 90.0, 30.0
"""Per cent of its processors that a server uses."""


class Cloud:
    """A cloud with some hot hosts; ``turn`` makes others hot."""

    def __init__(self) -> None:
        self._cloud, self._metrics = EmulatedCloud(), Prometheus({})
        self._prometheus = EmulatedServer(self._metrics)
        self._draw = random.Random(3)

    def __enter__(self) -> "Cloud":
        self._cloud.setUp()
        self._prometheus.setUp()
        self._cloud.fill(HOSTS, SERVERS)
        self.turn()
        return self

    def __exit__(self, *error: object) -> None:
        self._prometheus.cleanUp()
        self._cloud.cleanUp()

    @property
    def configuration(self) -> str:
        """The parts of a configuration file that name the cloud and its metrics."""
        return prometheus.section(self._prometheus.url) + keystone.section(self._cloud.server.url)

    def turn(self) -> None:
        """Make other hosts hot, and delete the recorded requests."""
        nova = self._cloud.nova
        hot = set(self._draw.sample(sorted(nova.uuids), 2))
        used = {host: _BUSY if host in hot else _IDLE for host in nova.uuids}
        self._metrics.show_cpu_use(nova.all, used)
        asked: tuple[list[Any], ...] = (
            self._cloud.server.requests,
            self._prometheus.requests,
            self._metrics.queries,
        )
        for requests in asked:
            requests.clear()
