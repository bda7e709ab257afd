# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a known cloud, and the scopes of audits."""

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import clusters
from benchmarks.report import Figure
from watcher.cloud.compute import Aggregate, Host, Server
from watcher.decision_engine import data_model
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.model import scope

TIMES = 15


def snapshot(size: str) -> Iterator[Figure]:
    """Figures of a cluster of that *size*, a key of ``clusters.SIZES``."""
    hosts, servers = _cloud(*clusters.SIZES[size])
    readings = ComputeReadings()
    readings.read_all(hosts, servers, ())
    yield Figure(f"{size}: first model", _milliseconds(readings.model, times=1), "ms")
    yield Figure(f"{size}: snapshot, nothing changed", _milliseconds(readings.model), "ms", 20)
    changes = iter(range(10**6))

    def change(count: int) -> None:
        moved = next(changes)
        changed = [
            dataclasses.replace(server, host=hosts[(moved + number) % len(hosts) // 2].hostname)
            for number, server in enumerate(servers[moved : moved + count])
        ]
        again = [dataclasses.replace(host) for host in hosts]  # equal, as a reading brings them
        assert readings.read_changes(again, changed, ())

    for count in (10, 1000):
        milliseconds = _milliseconds(readings.model, lambda count=count: change(count))
        target = 20 if count == 10 else None
        yield Figure(f"{size}: snapshot, {count} servers moved", milliseconds, "ms", target)
        both = _milliseconds(lambda count=count: (change(count), readings.model()))
        yield Figure(f"{size}: taking these in, and snapshot", both, "ms", target)
    yield from _scopes(size, readings, servers)


def _scopes(size: str, readings: ComputeReadings, servers: list[Server]) -> Iterator[Figure]:
    """Apply each scope to a new model, and then to the same one once more."""
    excluded = [{"uuid": server.uuid} for server in servers[: len(servers) // 20]]
    rules: dict[str, list[dict[str, Any]]] = {
        "zones, projects": [
            {"availability_zones": [{"name": "az1"}, {"name": "az2"}]},
            {"exclude": [{"projects": [{"uuid": "project-3"}, {"uuid": "project-4"}]}]},
        ],
        "aggregates, metadata": [
            {"host_aggregates": [{"id": number} for number in range(0, 40, 2)]},
            {"exclude": [{"instance_metadata": [{"tier": "gold"}, {"tier": "tin"}]}]},
        ],
        "all zones, 5 % of the servers": [
            {"availability_zones": [{"name": "*"}]},
            {"exclude": [{"instances": excluded}]},
        ],
    }
    flip = iter(range(10**6))

    def renew() -> None:
        state = "paused" if next(flip) % 2 else "active"
        changed = dataclasses.replace(servers[0], state=state)
        readings.read_changes(list(readings.model().hosts), [changed], ())
        readings.model()

    for name, parts in rules.items():
        wanted = [{"compute": parts}]
        milliseconds = _milliseconds(
            lambda wanted=wanted: scope.apply(readings.model(), wanted), renew
        )
        yield Figure(f"{size}: scope of {name}", milliseconds, "ms", 50)
    model = readings.model()
    yield Figure(
        f"{size}: rows of the data model",
        _milliseconds(lambda: data_model.rows(model, False)),
        "ms",
    )


def _cloud(hosts: int, servers: int) -> tuple[list[Host], list[Server]]:
    made = clusters.make(hosts, servers)
    groups = [
        Aggregate(number, f"aggregate-{number}", {"rack": str(number)}) for number in range(40)
    ]
    names = {field.name for field in dataclasses.fields(Server)}
    return (
        [
            Host(**host, aggregates=(groups[number % 40], groups[number % 7]))
            for number, host in enumerate(made["hosts"])
        ],
        [
            Server(
                **{name: value for name, value in server.items() if name in names},
                project_id=f"project-{number % 50}",
                metadata={"tier": ("gold", "silver", "tin")[number % 3], "owner": "somebody"},
            )
            for number, server in enumerate(made["servers"])
        ],
    )


def _milliseconds(
    work: Callable[[], Any], before: Callable[[], Any] = lambda: None, times: int = TIMES
) -> float:
    """The median of *times* calls, each after one of *before*."""
    taken = []
    gc.disable()
    for _ in range(times):
        before()
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    gc.enable()
    return statistics.median(taken) * 1000
