# SPDX-License-Identifier: Apache-2.0
"""Metrics from gnocchi, as ceilometer stores them."""

import dataclasses
import datetime
import functools
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keystoneauth1.adapter import Adapter
from oslo_log import log
from oslo_utils import timeutils

from watcher.cloud.compute import Host, Server
from watcher.cloud.metrics import Window
from watcher.cloud.openstack.proxies import session
from watcher.decision_engine.datasources import host_names
from watcher.decision_engine.datasources.queries import (
    QUICK,
    Queries,
    Refused,
    Send,
    number,
)
from watcher.decision_engine.datasources.source import (
    DatasourceTools,
    aggregate_of,
    mapped,
    own_name,
)

LOG = log.getLogger(__name__)

METRICS = {
    "host_cpu_usage": "compute.node.cpu.percent",
    "host_ram_usage": "hardware.memory.used",
    "host_outlet_temp": "hardware.ipmi.node.outlet_temperature",
    "host_inlet_temp": "hardware.ipmi.node.temperature",
    "host_airflow": "hardware.ipmi.node.airflow",
    "host_power": "hardware.ipmi.node.power",
    "instance_cpu_usage": "cpu",
    "instance_ram_usage": "memory.resident",
    "instance_ram_allocated": "memory",
    "instance_l3_cache_usage": "cpu_l3_cache",
    "instance_root_disk_size": "disk.root.size",
}

_TENTHS = {"host_airflow": 10}
"""Factors from stored to returned values: CFM are stored, and strategies use tenths of CFM."""

CHUNK = 1000
"""Resources in one request: gnocchi reads files for each of them before it answers."""

_PAGE = 1000

_UNKNOWN_METRIC = re.compile(r"Metric .* does not exist")
_UNFIT_POLICY = re.compile(r"Granularities are missing|unknown aggregation")
_LENGTH_OF_TIME = re.compile(r"(?:(\d+) days?, )?(\d+):(\d+):(\d+(?:\.\d+)?)")


class Point(NamedTuple):
    """The aggregate of one granule."""

    granularity: float
    """The length of the granule in seconds."""
    value: float
    share: float
    """How much of it lies within the period, from 0 to 1."""


Points = Sequence[Point]
"""The points of the finest granularity only."""


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """One metric of many resources."""

    about: str
    """Watcher's name of the metric."""
    metric: str
    method: str
    """How gnocchi aggregated the measures of each granule."""
    resource_type: str
    key: str
    """The attribute that identifies resources."""
    period: int
    granularity: int
    now: datetime.datetime
    """The end of the period, in naive UTC."""
    past: bool = False
    """Whether *now* is over, so that gnocchi's own clock does not count."""

    @property
    def query(self) -> dict[str, Any]:
        query: dict[str, Any] = {"start": f"-{self.period}s", "details": "true"}
        if self.past:
            begin = self.now - datetime.timedelta(seconds=self.period)
            query |= {"start": begin.isoformat(), "stop": self.now.isoformat()}
        return query | ({"granularity": self.granularity} if self.granularity else {})


class Gnocchi:
    """Reads the points of a thousand resources in one request."""

    name = "gnocchi"

    def __init__(self, tools: DatasourceTools) -> None:
        self.queries = Queries(self.name, _connect(tools), tools.conf, tools.wait)
        self.metrics = mapped(METRICS, tools.metric_map)

    def check(self) -> None:
        self.queries.ask("answer", list, "GET", "metric", params={"limit": 1}, **QUICK)

    def available(self, metric: str) -> bool:
        if metric not in self.metrics:
            return False
        query = {"name": self.metrics[metric], "limit": 1}
        return bool(self.queries.ask(metric, list, "GET", "metric", params=query, **QUICK))

    def host_metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """*granularity* is one of the archive policy's; 0 takes the finest that all have.

        The names of host resources have both nova's name of the host and that of its
        hypervisor.
        """
        over_time = aggregate_of(aggregate)
        wanted = self._wanted(name, over_time, period, granularity)
        wanted = dataclasses.replace(wanted, resource_type="generic", key="original_resource_id")
        uuids = host_names.pairs(hosts)
        factor = _TENTHS.get(name, 1)
        found = {
            uuids[key]: factor * _over_time(over_time, points, [each.value for each in points])
            for key, points in self._points(wanted, list(uuids)).items()
        }
        host_names.report(self.name, [host for host in hosts if host.uuid not in found])
        return found

    def server_metric(
        self,
        name: str,
        servers: Sequence[Server],
        period: int,
        aggregate: str,
        granularity: int,
        end: datetime.datetime | None = None,
    ) -> Mapping[str, float]:
        """Over the time before *end* in naive UTC, or now.  *granularity* is one of the archive
        policy's; 0 takes the finest that all have."""
        over_time = aggregate_of(aggregate)
        is_cpu = name == "instance_cpu_usage"
        wanted = self._wanted(name, "rate:mean" if is_cpu else over_time, period, granularity)
        if end is not None:
            wanted = dataclasses.replace(wanted, now=end, past=True)
        vcpus = {server.uuid: server.vcpus or 1 for server in servers}
        return {
            uuid: _over_time(
                over_time,
                points,
                [_percent(each, vcpus[uuid]) if is_cpu else each.value for each in points],
            )
            for uuid, points in self._points(wanted, list(vcpus)).items()
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

    def window(self, now: datetime.datetime, period: int, granularity: int) -> Window:
        """Half a granule before the period.

        A measure covers the time since the one before it, and most clouds take one for each
        granule.  So the latest measure is up to a granule old.  A period shorter than a
        granule makes no difference.
        """
        end = now - datetime.timedelta(seconds=granularity / 2)
        return end - datetime.timedelta(seconds=max(int(period), int(granularity))), end

    def step(self, granularity: int) -> int:
        """A granule has one point; hosts decide when they send it."""
        return int(granularity)

    def _wanted(self, name: str, method: str, period: int, granularity: int) -> _Wanted:
        metric = own_name(self, name)
        return _Wanted(
            name,
            metric,
            method,
            "instance",
            "id",
            int(period),
            int(granularity),
            timeutils.utcnow(),
        )

    def _points(self, wanted: _Wanted, keys: Sequence[str]) -> Mapping[str, Points]:
        """The points of each resource that has some, by its key."""
        try:
            return self._of(wanted, wanted.key, keys)
        except Refused as refused:
            # This happens if a single resource has another archive policy than the rest.
            if not _UNFIT_POLICY.search(refused.detail):
                raise
        fit = self._fit(wanted)
        found = self._of(wanted, "id", sorted(fit & set(keys) if wanted.key == "id" else fit))
        return {key: found[key] for key in keys if key in found}

    def _of(self, wanted: _Wanted, attribute: str, values: Sequence[str]) -> dict[str, Points]:
        searches = [
            {"in": {attribute: values[start : start + CHUNK]}}
            for start in range(0, len(values), CHUNK)
        ]
        found: dict[str, Points] = {}
        for points in self.queries.together(functools.partial(self._aggregates, wanted), searches):
            found |= points
        return found

    def _aggregates(self, wanted: _Wanted, search: Mapping[str, Any]) -> dict[str, Points]:
        """The points of the resources that match *search*.  Refused if one of them has another
        archive policy."""
        body = {
            "operations": ["metric", wanted.metric, wanted.method],
            "resource_type": wanted.resource_type,
            "search": search,
        }
        read = functools.partial(_read, wanted=wanted)
        try:
            return self.queries.ask(
                wanted.about, read, "POST", "aggregates", params=wanted.query, json=body
            )
        except Refused as refused:
            if refused.status == 404 and _UNKNOWN_METRIC.search(refused.detail):
                return {}  # gnocchi's answer if none of them has the metric
            raise

    def _fit(self, wanted: _Wanted) -> set[str]:
        """Ids of the resources whose archive policy has the aggregate and granularity.
        MetricsUnavailable."""
        query: dict[str, Any] = {"name": wanted.metric, "limit": _PAGE}
        fit: set[str] = set()
        while page := self.queries.ask(wanted.about, list, "GET", "metric", params=query):
            fit |= {str(each["resource_id"]) for each in page if _is_fit(each, wanted)}
            query["marker"] = page[-1]["id"]
        what = f"{wanted.metric} with {wanted.method} of {wanted.granularity or 'any'} seconds"
        if not fit:
            raise self.queries.unavailable(wanted.about, f"no archive policy has {what}")
        LOG.warning("gnocchi: only %d resources have %s", len(fit), what)
        return fit


def _connect(tools: DatasourceTools) -> Send:
    options = tools.conf.gnocchi_client
    adapter = Adapter(
        session(tools.conf),
        service_type="metric",
        interface=options.endpoint_type,
        region_name=options.region_name,
    )

    def send(method: str, path: str, **request: Any) -> Any:
        path = f"/v{options.api_version}/{path}"
        return adapter.request(path, method, raise_exc=False, connect_retries=0, **request)

    return send


def _read(answer: Any, wanted: _Wanted) -> dict[str, Points]:
    keys = {each["id"]: each[wanted.key] for each in answer["references"]}
    found = {}
    for resource_id, metrics in answer["measures"].items():
        points = _finest(metrics[wanted.metric][wanted.method], wanted)
        if points:
            found[keys[resource_id]] = points
    return found


def _finest(measures: Sequence[tuple[str, float, float]], wanted: _Wanted) -> Points:
    """Coarser points are aggregates of the same measures, which would count twice."""
    finest = min((float(granularity) for _, granularity, _ in measures), default=0)
    points = [(when, number(value)) for when, each, value in measures if each == finest]
    return [
        Point(finest, value, _share(when, finest, wanted))
        for when, value in points
        if value is not None
    ]


def _share(when: str, granularity: float, wanted: _Wanted) -> float:
    """gnocchi gives whole granules: the first began before the period, the last goes on."""
    begun = datetime.datetime.fromisoformat(when)
    if begun.tzinfo is not None:
        begun = begun.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    age = (wanted.now - begun).total_seconds()
    covered = min(age, wanted.period) - max(age - granularity, 0)
    return min(1.0, max(0.0, covered / granularity))


def _over_time(aggregate: str, points: Points, values: Sequence[float]) -> float:
    """*values* of *points*; in a mean each is weighted by its share of the period."""
    if aggregate != "mean":
        return (min if aggregate == "min" else max)(values)
    whole = math.fsum(each.share for each in points)
    if not whole:  # the clocks differ by more than a granule
        return statistics.fmean(values)
    return math.fsum(each.share * value for each, value in zip(points, values, strict=True)) / whole


def _percent(point: Point, vcpus: int) -> float:
    """Per cent of the vCPUs, from the CPU time used within a granule.

    A counter that restarts gives a negative difference. If measures were missing for a
    while, the next difference covers all of that time.
    """
    return min(100.0, max(0.0, point.value) * 100 / (point.granularity * 1e9) / vcpus)


def _is_fit(metric: Mapping[str, Any], wanted: _Wanted) -> bool:
    policy = metric["archive_policy"]
    granularities = [seconds_of(each["granularity"]) for each in policy["definition"]]
    return wanted.method in policy["aggregation_methods"] and (
        not wanted.granularity or wanted.granularity in granularities
    )


def seconds_of(text: str) -> float:
    """The seconds of ``0:05:00`` or ``1 day, 0:00:00``. ValueError."""
    match = _LENGTH_OF_TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text} is no length of time")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
