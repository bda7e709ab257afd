# SPDX-License-Identifier: Apache-2.0
"""Each strategy on clusters that grow: seconds, memory, moves and gain.

Seconds of strategies and planners are those of the processor, the best of three runs, so that other
work on the machine counts little.  A strategy computes in one thread, so on a free core it takes
that time.  Seconds of writing are those of the clock.  The garbage collector passes over the
cluster, as in the engine.
"""

import argparse
import collections
import dataclasses
import functools
import gc
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import clusters
from benchmarks.core import add_audit, write_plan
from benchmarks.stack import database_of
from watcher import conf as watcher_conf
from watcher.db.action_plans import PlannedAction
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.compute import ComputeModel
from watcher.simulation.cloud import SimulatedCloud

SECONDS, MEBIBYTES = 5, 500
"""The most that a strategy may take on the largest cluster."""

LARGEST = {"5000x100000": (5000, 100000)}
"""Clusters on which only strategies are measured."""


def _maintenance(model: ComputeModel) -> dict[str, Any]:
    """The host with most servers."""
    servers = collections.Counter(server.host for server in model.servers)
    return {"maintenance_node": min(servers, key=lambda host: (-servers[host], host))}


def _zone(model: ComputeModel) -> dict[str, Any]:
    """A tenth of the hosts, all at once."""
    hosts = sorted(host.hostname for host in model.hosts)[: max(1, len(model.hosts) // 10)]
    everything = len(model.servers)
    return {
        "compute_nodes": [{"src_node": host} for host in hosts],
        "parallel_total": everything,
        "parallel_per_node": everything,
    }


STRATEGIES: dict[str, Callable[[ComputeModel], Mapping[str, Any]]] = {
    "basic": lambda model: {},
    "vm_workload_consolidation": lambda model: {},
    "node_resource_consolidation": lambda model: {"host_choice": "specify"},
    "host_maintenance": _maintenance,
    "zone_migration": _zone,
    "allocation_balance": lambda model: {},
    "workload_stabilization": lambda model: {},
    "workload_balance": lambda model: {"threshold": 60},
    "outlet_temperature": lambda model: {},
    "uniform_airflow": lambda model: {},
    "noisy_neighbor": lambda model: {},
    "storage_capacity_balance": lambda model: {},
    "saving_energy": lambda model: {"free_used_percent": 1},
}
"""The strategies that are measured, and the parameters for a cluster."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench strategies", description=__doc__)
    parser.add_argument("--only", help="strategies whose names contain this")
    parser.add_argument("--clusters", type=Path, help="directory of cluster files to use instead")
    parser.add_argument("--database", help="also write the plans to this (empty) database")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        print(json.dumps(_measure(*arguments.child, arguments.database)))
        return 0
    names = [name for name in STRATEGIES if (arguments.only or "") in name]
    with tempfile.TemporaryDirectory() as directory:
        files = _files(arguments.clusters or _generated(Path(directory)))
        rows = [row for name in names for row in _rows(name, files, arguments.database)]
    _show(rows)
    return 0 if all(row["seconds"] < SECONDS and row["MiB"] < MEBIBYTES for row in rows) else 1


def _generated(directory: Path) -> Path:
    for name, size in (clusters.SIZES | LARGEST).items():
        clusters.write(directory / f"{name}.json", *size)
    return directory


def _files(directory: Path) -> Sequence[Path]:
    """The files of clusters, the smallest first."""
    return sorted(directory.glob("*.json"), key=lambda path: path.stat().st_size)


def _rows(name: str, files: Sequence[Path], database: str | None) -> Iterator[dict[str, Any]]:
    for file in files:
        command = [sys.executable, sys.argv[0], "strategies", "--child", name, str(file)]
        if database:
            command += ["--database", database]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        yield {"strategy": name, **json.loads(found.stdout)}


def _measure(name: str, file: str, database: str | None) -> dict[str, Any]:
    """Measure one strategy on one cluster, in a process of its own, so that its memory can be
    measured."""
    cloud = SimulatedCloud.from_file(file).cloud
    compute, metrics = cloud.compute, cloud.own_metrics
    conf = watcher_conf.load([], [])
    catalog = Catalog(conf)
    strategy = catalog.strategies[name]
    model = ComputeModel.build(compute.hosts(), compute.servers(), compute.server_groups())
    parameters = STRATEGIES[name](model)
    inputs = dataclasses.replace(
        trial.inputs(strategy, model, **parameters),
        storage_model=functools.cache(lambda: clusters.storage(compute.hosts(), compute.servers())),
        baremetal_model=lambda: clusters.machines(compute.hosts()),
        host_metric=metrics.host_metric,
        server_metric=metrics.server_metric,
    )
    gc.collect()
    gc.freeze()
    # Preparing the database is not what is measured.
    write = _prepared(database) if database else None
    seconds, solution = min(
        (_timed(strategy(), inputs) for _ in range(3)), key=lambda each: each[0]
    )
    began = time.process_time()
    plan = catalog.planner(strategy.planner).plan(solution)
    planned, began = time.process_time() - began, time.perf_counter()
    if write:
        write(plan)
    return {
        "cluster": f"{len(model.hosts)}x{len(model.servers)}",
        "size": len(model.hosts) + len(model.servers),
        "seconds": seconds,
        "planned": planned,
        "written": time.perf_counter() - began if write else None,
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "actions": len(solution.actions),
        "moves": sum(action.action_type.endswith("migrate") for action in solution.actions),
        "summary": solution.summary,
    }


def _timed(strategy: Strategy, inputs: Inputs) -> tuple[float, Solution]:
    """Seconds from inputs to solution, and the solution; placement rules are computed anew."""
    model = dataclasses.replace(inputs.compute_model())
    began = time.process_time()
    solution = strategy.execute(
        dataclasses.replace(inputs, compute_model=lambda: model, cloud=lambda: model)
    )
    return time.process_time() - began, solution


def _prepared(url: str) -> Callable[[Sequence[PlannedAction]], object]:
    """Writes a plan to the database."""
    with tempfile.TemporaryDirectory() as directory:
        database = database_of(Path(directory), url)
    with database.writer() as session:
        audit, strategy = add_audit(session, f"strategies-{uuid.uuid4().hex}")
    return lambda plan: write_plan(database, audit, strategy, plan)


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table; growth is by how much more the seconds grow than n log n, n hosts and servers."""
    columns = ("strategy", "cluster", "seconds", "planner", "writing", "growth", "MiB", "actions")
    line = "{:30} {:>10} {:>8} {:>8} {:>8} {:>7} {:>6} {:>8} {:>6}".format
    print(line(*columns, "moves"))
    before: Mapping[str, Any] = {}
    for row in rows:
        growth = ""
        if before.get("strategy") == row["strategy"]:
            log = math.log(row["size"]) / math.log(before["size"])
            more = row["size"] / before["size"] * log
            growth = f"{row['seconds'] / before['seconds'] / more:.2f}"
        written = "" if row["written"] is None else f"{row['written']:.3f}"
        print(
            line(
                row["strategy"],
                row["cluster"],
                f"{row['seconds']:.3f}",
                f"{row['planned']:.3f}",
                written,
                growth,
                f"{row['MiB']:.0f}",
                row["actions"],
                row["moves"],
            )
        )
        for name, value in row["summary"].items():
            print(f"    {name}: {value['before']:g} -> {value['after']:g}")
        before = row
