# SPDX-License-Identifier: Apache-2.0
"""A world as Watcher's services read it: its metrics, migrations and times."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Migration, Server
from watcher.cloud.metrics import Window
from watcher.decision_engine import same_metrics
from watcher.decision_engine.datasources import gnocchi, prometheus
from watcher.decision_engine.feedback.recent_moves import window_of

from .demand import DAY
from .inventory import Floats
from .world import World

BEGIN = datetime.datetime(2026, 1, 5)
"""A Monday."""

_SOURCES: Mapping[str, Any] = {
    # They need no connection here, so these instances have none.
    "gnocchi": gnocchi.Gnocchi.__new__(gnocchi.Gnocchi),
    "prometheus": prometheus.Prometheus.__new__(prometheus.Prometheus),
}


def moment(minute: float) -> datetime.datetime:
    """The time of a minute, in naive UTC."""
    return BEGIN + datetime.timedelta(minutes=minute)


class Readings:
    """The datasource, and nova's list of migrations."""

    def __init__(self, world: World) -> None:
        self._world, self.name = world, world.source
        hosts, servers = world.inventory.hosts, world.inventory.servers
        self._hosts = {host.uuid: number for number, host in enumerate(hosts)}
        self._servers = {server.uuid: number for number, server in enumerate(servers)}

    def available(self, metric: str) -> bool:
        return metric in ("host_cpu_usage", "instance_cpu_usage")

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """CPU use in per cent.  A host that is down has no measures."""
        values = _known(self._world.host_use.over(self._world.now, period // 60))
        return {
            host.uuid: 100 * float(values[number])
            for host in hosts
            if self._world.up[number := self._hosts[host.uuid]]
        }

    def server_metric(
        self, name: str, servers: Sequence[Server], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """CPU use in per cent of the vCPUs."""
        values = _known(self._world.server_use.over(self._world.now, period // 60))
        per_cent = (100 * values).tolist()
        return {server.uuid: per_cent[self._servers[server.uuid]] for server in servers}

    def past(
        self,
        name: str,
        servers: Sequence[Server],
        end: datetime.datetime,
        period: int,
        granularity: int,
    ) -> Mapping[str, float]:
        """CPU use in per cent of the vCPUs, of an earlier week."""
        begin = int((end - BEGIN).total_seconds() - period) // 60
        week, minute = divmod(begin, 7 * DAY)
        demand = self._world.demand.earlier(-week)
        per_cent = (100 * demand.ahead(minute % demand.minutes, period // 60)).tolist()
        return {server.uuid: per_cent[self._servers[server.uuid]] for server in servers}

    def window(self, now: datetime.datetime, period: int, granularity: int) -> Window:
        return window_of(_SOURCES[self.name], now, period, granularity)

    def step(self, granularity: int) -> int:
        return same_metrics.step_of(lambda: _SOURCES[self.name], granularity)

    def migrations(self, since: datetime.datetime) -> Sequence[Migration]:
        """The migrations that ended after *since*, by Watcher or others."""
        hosts, servers = self._world.inventory.hosts, self._world.inventory.servers
        found = []
        for move in reversed(self._world.history):
            if moment(move.ended) <= since:
                break
            found.append(
                Migration(
                    servers[move.server].uuid,
                    hosts[move.source].hostname,
                    hosts[move.destination].hostname,
                    moment(move.ended),
                    move.succeeded,
                )
            )
        return found[::-1]


def _known(values: Floats | None) -> Floats:
    assert values is not None  # no run begins before there are some
    return values
