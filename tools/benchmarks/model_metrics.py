# SPDX-License-Identifier: Apache-2.0
"""How long it takes to read a metric of all hosts and of all servers.

The datasource is emulated in a process of its own.  The time that it needs for its answer counts,
too; a real one reads from its disks in that time.
"""

import contextlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

import requests
from oslo_config import cfg

from benchmarks import clusters
from benchmarks.report import Figure
from watcher import conf as watcher_conf
from watcher.cloud.compute import Host, Server
from watcher.decision_engine.datasources.gnocchi import Gnocchi
from watcher.decision_engine.datasources.prometheus import Prometheus
from watcher.decision_engine.datasources.source import Datasource, DatasourceTools
from watcher.tests.emulated import gnocchi, keystone, prometheus
from watcher.tests.emulated.server import EmulatedServer

TIMES = 5
PERIOD, GRANULARITY = 7200, 300
HOW = (PERIOD, "mean", GRANULARITY)

TODAY_REQUESTS = {"gnocchi": (2, 1), "prometheus": (1, 1)}
"""Requests that the former service makes for one host, and for one server."""


def metrics(size: str) -> Iterator[Figure]:
    """Figures of a cluster of that *size*, a key of ``clusters.SIZES``."""
    cluster = clusters.make(*clusters.SIZES[size])
    hosts = [
        Host(each["uuid"], each["hostname"], each["vcpus"], each["memory_mb"], each["disk_gb"])
        for each in cluster["hosts"]
    ]
    servers = [
        Server(each["uuid"], each["name"], each["host"], each["vcpus"], 1, 1)
        for each in cluster["servers"]
    ]
    conf = watcher_conf.load([], [])
    for name, make in (("prometheus", _prometheus), ("gnocchi", _gnocchi)):
        with _served(make(hosts, servers)) as url, EmulatedServer(_catalog(url)) as identity:
            source = _source(name, conf, url, identity)
            source.check()  # the catalog and the token are known from here on
            yield from _fetches(f"{size}: {name}", source, hosts, servers)


def _fetches(
    name: str, source: Datasource, hosts: list[Host], servers: list[Server]
) -> Iterator[Figure]:
    of_host, of_server = TODAY_REQUESTS[source.name]
    for what, count, fetch in (
        (
            f"{len(hosts)} hosts",
            len(hosts),
            lambda: source.host_metric("host_cpu_usage", hosts, *HOW),
        ),
        (
            f"{len(servers)} servers",
            len(servers),
            lambda: source.server_metric("instance_cpu_usage", servers, *HOW),
        ),
    ):
        with _counted() as asked:
            seconds = _seconds(fetch, count)
        today = count * (of_host if "hosts" in what else of_server)
        yield Figure(f"{name}, cpu of {what}", seconds * 1000, "ms")
        yield Figure(f"{name}, cpu of {what}, requests", len(asked) / TIMES, "", None, today)


def _seconds(fetch: Callable[[], Mapping[str, float]], count: int) -> float:
    """The median time of *fetch*, which has to return *count* values."""
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = fetch()
        times.append(time.perf_counter() - began)
        assert len(found) == count
    return statistics.median(times)


@contextlib.contextmanager
def _counted() -> Iterator[list[str]]:
    """The requests that are sent during the ``with`` block."""
    asked: list[str] = []
    request = requests.Session.request

    def counted(self: requests.Session, method: str, url: str, **kwargs: Any) -> Any:
        asked.append(url)
        return request(self, method, url, **kwargs)

    requests.Session.request = counted
    try:
        yield asked
    finally:
        requests.Session.request = request


@contextlib.contextmanager
def _served(app: Any) -> Iterator[str]:
    """The URL of *app* in another process."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")  # the child gets a copy of the measures
    process = context.Process(target=_serve, args=(app, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        process.join()


def _serve(app: Any, caller: Connection) -> None:
    with EmulatedServer(app) as server:
        caller.send(server.url)
        caller.recv()


def _prometheus(hosts: list[Host], servers: list[Server]) -> prometheus.Prometheus:
    return prometheus.Prometheus(
        {
            "node_cpu_seconds_total": {host.hostname: 41.25 for host in hosts},
            "ceilometer_cpu": {server.uuid: 37.5 for server in servers},
        }
    )


def _gnocchi(hosts: list[Host], servers: list[Server]) -> gnocchi.Gnocchi:
    points = [(age, GRANULARITY, 6.5e10) for age in range(0, PERIOD, GRANULARITY)]
    metric = gnocchi.Metric(points)
    return gnocchi.Gnocchi(
        [
            gnocchi.Resource(
                host.uuid,
                {"compute.node.cpu.percent": metric},
                "nova_compute",
                f"{host.hostname}_{host.hostname}",
            )
            for host in hosts
        ]
        + [gnocchi.Resource(server.uuid, {"cpu": metric}) for server in servers]
    )


def _catalog(url: str) -> keystone.Keystone:
    return keystone.Keystone({"metric": url})


def _source(name: str, conf: cfg.ConfigOpts, url: str, identity: EmulatedServer) -> Datasource:
    tools = DatasourceTools(conf, {}, threading.Event().wait)
    if name == "gnocchi":
        keystone.configure(conf, identity.url)
        return Gnocchi(tools)
    conf.set_override("host", "127.0.0.1", group="prometheus_client")
    conf.set_override("port", int(url.rpartition(":")[2]), group="prometheus_client")
    return Prometheus(tools)
