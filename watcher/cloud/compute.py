# SPDX-License-Identifier: Apache-2.0
"""What Watcher needs of a cloud's compute service."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from watcher.common.errors import NotConfigured


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A compute host with its inventory: whole amounts, before ratio and reserve."""

    uuid: str
    hostname: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    vcpus_reserved: int = 0
    memory_mb_reserved: int = 0
    disk_gb_reserved: int = 0
    vcpu_ratio: float = 1.0
    memory_ratio: float = 1.0
    disk_ratio: float = 1.0
    status: str = "enabled"
    """``enabled`` or ``disabled``: whether the scheduler uses it."""
    state: str = "up"
    """``up`` or ``down``: whether it answers."""
    disabled_reason: str | None = None
    zone: str = ""
    aggregates: Sequence[tuple[int, str]] = ()
    """(id, name) of each host aggregate that it is in."""

    @property
    def available(self) -> bool:
        """Up and enabled: fit to take servers."""
        return self.state == "up" and self.status == "enabled"


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server (instance), what it was given, and the host it is on."""

    uuid: str
    name: str
    host: str
    """Hostname of its compute host; empty while it has none."""
    vcpus: int
    memory_mb: int
    disk_gb: int
    state: str = "active"
    """nova's vm_state: active, paused, stopped, ..."""
    task_state: str | None = None
    """What nova is doing with it, such as ``migrating``; None when nothing."""
    project_id: str = ""
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    created: datetime.datetime | None = None
    locked: bool = False

    @property
    def migratable(self) -> bool:
        """Active, not locked and at rest: fit to be migrated live."""
        return self.state == "active" and not self.locked and self.task_state is None


class Compute(Protocol):
    """The compute service.

    Every method may raise CloudUnavailable (try again later) and CloudRefused
    (the service said no); those that name a server or host raise NotFound for an
    unknown one.  Requests return when the service has taken them, not when the
    work is done: poll ``server``.
    """

    def hosts(self) -> Sequence[Host]: ...

    def servers(self) -> Sequence[Server]: ...

    def host(self, hostname: str) -> Host: ...

    def server(self, uuid: str) -> Server: ...

    def live_migrate(self, uuid: str, destination: str | None) -> None:
        """Begin to move a running server to *destination* (None: the scheduler picks)."""

    def cold_migrate(self, uuid: str, destination: str | None) -> None:
        """Begin to move a server that may be stopped; ends in vm_state ``resized``."""

    def confirm_resize(self, uuid: str) -> None:
        """Confirm a cold migration, which frees the source."""

    def abort_live_migration(self, uuid: str) -> None:
        """Ask for the end of a live migration that is under way."""


class Metrics(Protocol):
    """Measured values in bulk: one call for the whole scope.

    A resource without data is absent from the result, never zero.
    MetricsUnavailable when the source does not answer; NotFound for a metric it
    does not know.
    """

    name: str
    """What users call this source of metrics."""

    def available(self, metric: str) -> bool:
        """Whether the source answers and knows *metric*."""

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """Host uuid to value, in the metric's unit, over the last *period* seconds."""

    def server_metric(
        self, name: str, servers: Sequence[Server], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """Server uuid to value, in the metric's unit, over the last *period* seconds."""


class Cloud:
    """The services of one cloud.  NotConfigured on the use of one that it lacks."""

    def __init__(self, compute: Compute | None = None, metrics: Metrics | None = None) -> None:
        self._compute, self._metrics = compute, metrics

    @property
    def compute(self) -> Compute:
        if self._compute is None:
            raise NotConfigured("No cloud is configured; set [cloud] simulation to a file.")
        return self._compute

    @property
    def metrics(self) -> Metrics:
        if self._metrics is None:
            raise NotConfigured("No source of metrics is configured.")
        return self._metrics
