# SPDX-License-Identifier: Apache-2.0
"""Metrics from Prometheus: node-exporter's of hosts, ceilometer's (sg-core) of servers."""

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import requests
from oslo_log import log

from watcher.cloud.compute import Host, Server
from watcher.common.errors import Invalid, NotConfigured
from watcher.decision_engine.datasources import host_names
from watcher.decision_engine.datasources.queries import QUICK, Queries, Send, number
from watcher.decision_engine.datasources.source import (
    DatasourceTools,
    aggregate_of,
    mapped,
    own_name,
)

LOG = log.getLogger(__name__)

T = TypeVar("T")

Values = dict[str, float]

METRICS = {
    "host_cpu_usage": "node_cpu_seconds_total",
    "host_ram_usage": "node_memory_MemAvailable_bytes",
    "instance_cpu_usage": "ceilometer_cpu",
    "instance_ram_usage": "ceilometer_memory_usage",
}
"""The series from which each metric is computed.  A metric map may name another one of the
same kind."""

KNOWN_TO_WATCHER = {
    "instance_ram_allocated": "instance.memory",
    "instance_root_disk_size": "instance.disk",
}
"""Metrics that are not measured, because they are fields of the servers."""

_QUERIES = {
    # Idle and available are measured, and the rest is used: hence ``unused``.
    "host_cpu_usage": "100 - 100 * {unused} by ({label})"
    ' (rate({metric}{{mode="idle"}}[{period}s]))',
    "host_ram_usage": "avg by ({label}) (node_memory_MemTotal_bytes"
    " - {unused}_over_time({metric}[{period}s])) / 1024",
    # Nanoseconds of CPU a second are 1e-7 per cent of one vCPU.
    "instance_cpu_usage": "{used} by ({label}) (rate({metric}{servers}[{period}s])) / 1e7",
}
_GAUGE = "avg by ({label}) ({used}_over_time({metric}{servers}[{period}s]))"

_USED = {"mean": "avg", "min": "min", "max": "max"}
_UNUSED = {"mean": "avg", "min": "max", "max": "min"}

FILTERED = 500
"""Up to so many servers are named in the query; of more, the answer for all is filtered."""


class Prometheus:
    """Reads each metric with one instant query for the whole scope."""

    name = "prometheus"
    group: ClassVar[str] = "prometheus_client"
    """The group of its options."""

    def __init__(self, tools: DatasourceTools) -> None:
        self._options = tools.conf[self.group]
        self.queries = Queries(self.name, self._connect(tools), tools.conf, tools.wait)
        self.metrics = mapped({**METRICS, **KNOWN_TO_WATCHER}, tools.metric_map)

    def _connect(self, tools: DatasourceTools) -> Send:
        """The function that sends requests. NotConfigured."""
        options = self._options
        if not options.host:
            raise NotConfigured("[prometheus_client] host is not set.")
        session = requests.Session()
        if options.username and options.password:
            session.auth = (options.username, options.password)
        if options.cafile:
            session.verify = options.cafile
            if options.certfile and options.keyfile:
                session.cert = (options.certfile, options.keyfile)
        host = f"[{options.host}]" if ":" in options.host else options.host
        base = f"{'https' if options.cafile else 'http'}://{host}:{options.port}/api/v1/"
        return lambda method, path, **request: session.request(method, base + path, **request)

    def check(self) -> None:
        self._query("answer", "vector(1)", _series, **QUICK)

    def available(self, metric: str) -> bool:
        if metric not in self.metrics:
            return False
        name = self.metrics[metric]
        if name in KNOWN_TO_WATCHER.values():
            return True
        query = f'count(last_over_time({{__name__="{name}"}}[1h]))'
        return bool(self._query(metric, query, _series, **QUICK))

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """Prometheus' own step counts, not *granularity*.

        The label may have nova's name of the host or that of its hypervisor, with or without a
        domain.
        """
        values = self._ask(name, self._options.fqdn_label, period, aggregate)
        return host_names.matched(self.name, hosts, values)

    def server_metric(
        self,
        name: str,
        servers: Sequence[Server],
        period: int,
        aggregate: str,
        granularity: int,
        end: datetime.datetime | None = None,
    ) -> Mapping[str, float]:
        """Over the time before *end* in naive UTC, or now.  Prometheus' own step counts, not
        *granularity*."""
        backend = own_name(self, name)
        if backend == KNOWN_TO_WATCHER["instance_ram_allocated"]:
            return {server.uuid: float(server.memory_mb) for server in servers}
        if backend == KNOWN_TO_WATCHER["instance_root_disk_size"]:
            return {server.uuid: float(server.disk_gb) for server in servers}
        label = self._options.instance_uuid_label
        named = [server.uuid for server in servers] if len(servers) <= FILTERED else []
        values = self._ask(name, label, period, aggregate, named, end)
        if name != "instance_cpu_usage":
            return {each.uuid: values[each.uuid] for each in servers if each.uuid in values}
        return {
            each.uuid: min(100.0, values[each.uuid] / (each.vcpus or 1))
            for each in servers
            if each.uuid in values
        }

    def past(
        self,
        name: str,
        servers: Sequence[Server],
        end: datetime.datetime,
        period: int,
        granularity: int,
    ) -> Mapping[str, float]:
        return self.server_metric(name, servers, period, "mean", granularity, end)

    def _ask(
        self,
        name: str,
        label: str,
        period: int,
        aggregate: str,
        servers: Sequence[str] = (),
        end: datetime.datetime | None = None,
    ) -> Values:
        """Value of each value of *label*, over the time before *end* in naive UTC, or now."""
        if period < 1:
            raise Invalid(f"period: {period} is not allowed, {self.name} needs at least 1 second.")
        aggregate = aggregate_of(aggregate)
        query = _QUERIES.get(name, _GAUGE).format(
            metric=own_name(self, name),
            label=label,
            period=int(period),
            used=_USED[aggregate],
            unused=_UNUSED[aggregate],
            servers=f'{{{label}=~"{"|".join(servers)}"}}' if servers else "",
        )
        return self._query(name, query, functools.partial(_by_label, label=label), end)

    def _query(
        self,
        about: str,
        query: str,
        read: Callable[[Any], T],
        end: datetime.datetime | None = None,
        **how: Any,
    ) -> T:
        data = {"query": query} | ({"time": f"{end.isoformat()}Z"} if end else {})
        return self.queries.ask(about, read, "POST", "query", data=data, **how)


def _by_label(answer: Any, label: str) -> Values:
    """Value of each value of *label*."""
    found = (
        (series["metric"].get(label), number(series["value"][1])) for series in _series(answer)
    )
    return {name: value for name, value in found if name is not None and value is not None}


def _series(answer: Any) -> Sequence[Any]:
    """The series of an instant vector.  KeyError, TypeError or ValueError."""
    if answer["status"] != "success" or answer["data"]["resultType"] != "vector":
        raise ValueError("no vector")
    for warning in answer.get("warnings") or ():
        LOG.warning("Prometheus: %s", warning)
    return list(answer["data"]["result"])
