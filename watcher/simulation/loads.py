# SPDX-License-Identifier: Apache-2.0
"""The loads of a simulated cloud: those of its servers, on the hosts where they are now."""

import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.cloud.metrics import Window
from watcher.common.errors import NotFound
from watcher.conf.datasources import METRICS
from watcher.simulation.scenario import Scenario

OWN_MEMORY_MB = 2048.0
"""The use of the host itself, without servers."""


class SimulatedLoads:
    """The ``Metrics`` of a simulated cloud.  Any thread may call it."""

    def __init__(
        self,
        scenario: Scenario,
        servers: Callable[[], Collection[Server]],
        elapsed: Callable[[], float],
    ) -> None:
        """*servers* gives the present ones, *elapsed* the seconds since the cloud began."""
        self._scenario, self._servers, self._elapsed = scenario, servers, elapsed
        self._shown = (
            {} if scenario.loads_follow else {each.uuid: each.host for each in scenario.servers}
        )
        usual = scenario.server_metrics.get("instance_cpu_usage", {})
        needed, used = self._cpu_needed(usual, servers()), self._ram_used(servers())
        self._own_cpu = self._own("host_cpu_usage", needed, lambda host: host.cpus, 0.0)
        self._own_ram = self._own("host_ram_usage", used, lambda host: 1 / 1024, OWN_MEMORY_MB)

    name = "simulation"

    def available(self, metric: str) -> bool:
        return metric in METRICS

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """The present values, whatever *period* and *aggregate*."""
        _check_known(name)
        if name in ("host_cpu_usage", "host_ram_usage"):
            loads = self._of_hosts(name)
            return {host.uuid: loads[host.uuid] for host in hosts if host.uuid in loads}
        return _pick(self._scenario.host_metrics.get(name, {}), hosts, period)

    def server_metric(
        self, name: str, servers: Sequence[Server], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """The present values, whatever the *aggregate*."""
        _check_known(name)
        if name == "instance_cpu_usage":
            return _pick(self.cpu_of_servers(), servers, period)
        return _pick(self._scenario.server_metrics.get(name, {}), servers, period)

    def window(self, now: datetime.datetime, period: int, granularity: int) -> Window:
        return now, now

    def cpu_of_servers(self) -> Mapping[str, float]:
        """Server uuid to percent of its vCPUs."""
        usual = self._scenario.server_metrics.get("instance_cpu_usage", {})
        elapsed = self._elapsed()
        present = [
            surge
            for surge in self._scenario.surges
            if surge.after_seconds <= elapsed < surge.after_seconds + surge.seconds
        ]
        if not present:
            return usual
        return {**usual, **{uuid: surge.cpu for surge in present for uuid in surge.servers}}

    def cpu_of_hosts(self) -> dict[str, float]:
        """Host uuid to the percentage of its vCPUs that servers and the host itself use now."""
        return self._of_hosts("host_cpu_usage")

    def _of_hosts(self, name: str) -> dict[str, float]:
        """Host uuid to percent or KiB."""
        servers = self._servers()
        if name == "host_ram_usage":
            used = self._ram_used(servers)
            return {
                host.uuid: (self._own_ram[host.hostname] + used[host.hostname]) * 1024
                for host in self._scenario.hosts
            }
        needed = self._cpu_needed(self.cpu_of_servers(), servers)
        return {
            host.uuid: min(
                100.0, (self._own_cpu[host.hostname] + needed[host.hostname]) / max(host.cpus, 1)
            )
            for host in self._scenario.hosts
        }

    def _cpu_needed(
        self, cpu: Mapping[str, float], servers: Collection[Server]
    ) -> dict[str, float]:
        """Hostname to the need of its servers, in percent of one vCPU."""
        needs = {each.uuid: each.vcpus * cpu.get(each.uuid, 0.0) for each in servers}
        return self._by_host(servers, needs)

    def _ram_used(self, servers: Collection[Server]) -> dict[str, float]:
        """Hostname to the MB that its servers use."""
        return self._by_host(servers, self._scenario.server_metrics.get("instance_ram_usage", {}))

    def _by_host(
        self, servers: Collection[Server], amounts: Mapping[str, float]
    ) -> dict[str, float]:
        """Hostname to the sum of the *amounts* of its servers, which are by uuid."""
        total = dict.fromkeys((host.hostname for host in self._scenario.hosts), 0.0)
        for server in servers:
            if host := self._shown.get(server.uuid, server.host):
                total[host] += amounts.get(server.uuid, 0.0)
        return total

    def _own(
        self,
        metric: str,
        servers: Mapping[str, float],
        scale: Callable[[Host], float],
        usual: float,
    ) -> dict[str, float]:
        """Hostname to the use of the host itself: the measured value, less the use of its
        *servers*.

        *usual* if nothing was measured.  One unit of *servers* is *scale* units of the metric.
        """
        measured = self._scenario.host_metrics.get(metric, {})
        return {
            host.hostname: max(0.0, measured[host.uuid] * scale(host) - servers[host.hostname])
            if host.uuid in measured
            else usual
            for host in self._scenario.hosts
        }


def _check_known(name: str) -> None:
    if name not in METRICS:
        raise NotFound(f"Metric {name} was not found.")


def _pick(
    values: Mapping[str, Any], resources: Sequence[Host] | Sequence[Server], period: int
) -> dict[str, float]:
    """The value of each resource that has one; of a value by period, the one for *period*."""
    picked, key = {}, str(period)
    for resource in resources:
        value = values.get(resource.uuid)
        if isinstance(value, dict):
            value = value.get(key)
        if value is not None:
            picked[resource.uuid] = value
    return picked
