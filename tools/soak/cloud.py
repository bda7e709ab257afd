# SPDX-License-Identifier: Apache-2.0
"""The cloud of a soak: nova, placement and Prometheus, in threads of the tool."""

import random
from typing import Any

from watcher.tests.emulated import keystone
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer

HOSTS, SERVERS = 20, 200
THRESHOLD = 31
"""Per cent of the processors of a host: a hot host is above it until a server has left."""
_BUSY, _IDLE = 90.0, 30.0
"""Per cent of its processors that a server uses."""

_CONFIGURATION = """\
[prometheus_client]
host = 127.0.0.1
port = {prometheus}
[watcher_clients_auth]
auth_type = password
auth_url = {identity}/v3
username = watcher
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
"""


class Cloud:
    """Some hosts are hot; which ones, ``turn`` changes."""

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
        return _CONFIGURATION.format(
            identity=self._cloud.server.url,
            password=keystone.PASSWORD,
            prometheus=self._prometheus.url.rpartition(":")[2],
        )

    def turn(self) -> None:
        """Let other hosts be hot, and forget what was asked."""
        nova = self._cloud.nova
        hot = set(self._draw.sample(sorted(nova.uuids), 2))
        used = {host: _BUSY if host in hot else _IDLE for host in nova.uuids}
        self._metrics.values = {
            "ceilometer_cpu": {
                uuid: used[row["OS-EXT-SRV-ATTR:host"]] * row["flavor"]["vcpus"]
                for uuid, row in list(nova.all.items())
            },
            "node_cpu_seconds_total": used,
        }
        asked: tuple[list[Any], ...] = (
            self._cloud.server.requests,
            self._prometheus.requests,
            self._metrics.queries,
        )
        for requests in asked:
            requests.clear()
