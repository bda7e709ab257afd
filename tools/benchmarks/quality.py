# SPDX-License-Identifier: Apache-2.0
"""Compares plans with the best ones on small clusters: moves, hosts and MiB in addition.

The clusters are random, the same ones in each run.  The best plan of each is found by an exhaustive
search with bounds; clusters for which that takes too long are left out, and counted.  The best plan
is the best *end* within the capacities: no order of moves may lead there, so strategies are a
little better than the figures show.
"""

import argparse
import dataclasses
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.exact import fewest_hosts, fewest_moves
from watcher.cloud.compute import Host, Server
from watcher.decision_engine.algorithms.consolidation import orders, release
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.workload_stabilization import (
    CPU,
    MEMORY,
    WorkloadStabilization,
)
from watcher.model.compute import VCPU, ComputeModel
from watcher.model.whatif import WhatIf

MORE_MOVES, FEWER_HOSTS, MORE_CONSOLIDATING = 1.05, 0.99, 1.03
"""The factors by which plans may be worse than the best ones."""

FLAVORS = ((1, 2048, 20), (2, 4096, 40), (4, 8192, 80), (8, 16384, 160), (4, 16384, 40))


@dataclasses.dataclass(frozen=True)
class Cluster:
    model: ComputeModel
    values: dict[str, dict[str, float]]
    """Metric to uuid to value."""

    def read(self, name: str, resources: Sequence[Any], *_: Any, **__: Any) -> dict[str, float]:
        known = self.values.get(name, {})
        return {each.uuid: known[each.uuid] for each in resources if each.uuid in known}


@dataclasses.dataclass
class Score:
    """Sums over clusters."""

    clusters: int = 0
    undecided: int = 0
    ours: int = 0
    best: int = 0
    hosts: int = 0
    best_hosts: int = 0
    memory: float = 0.0
    best_memory: float = 0.0
    unmet: int = 0
    seconds: float = 0.0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench quality", description=__doc__)
    parser.add_argument("--clusters", type=int, default=60, help="of each kind")
    parser.add_argument("--only", default="", help="rows whose names contain this")
    arguments = parser.parse_args(argv)
    line = "{:44} {:>9} {:>9} {:>6} {:>7} {:>7} {:>6} {:>8}".format
    print(line("", "clusters", "undecided", "unmet", "moves", "memory", "hosts", "seconds"))
    good = True
    for name, measure, moves, hosts in _rows():
        if arguments.only not in name:
            continue
        score = Score()
        for seed in range(arguments.clusters):
            measure(random.Random(f"{name} {seed}"), score)
        more = score.ours / max(score.best, 1)
        freed = score.hosts / score.best_hosts if score.best_hosts else 1.0
        copied = f"{score.memory / score.best_memory:.3f}" if score.best_memory else ""
        print(
            line(
                name,
                score.clusters,
                score.undecided,
                score.unmet,
                f"{more:.3f}",
                copied,
                f"{freed:.3f}" if score.best_hosts else "",
                f"{score.seconds / max(score.clusters, 1):.3f}",
            ),
            flush=True,
        )
        good = good and more <= moves and freed >= hosts
    return 0 if good else 1


def _rows() -> Iterator[tuple[str, Callable[[random.Random, Score], None], float, float]]:
    for metrics in ([CPU], [CPU, MEMORY]):
        for threshold in (0.1, 0.05, 0.03):
            yield (
                f"workload_stabilization {threshold:g}, metrics: {len(metrics)}",
                _balancing(metrics, threshold),
                MORE_MOVES,
                0,
            )
    for by_use, name in ((False, "consolidation by flavors"), (True, "consolidation by use")):
        yield name, _consolidating(by_use=by_use), MORE_CONSOLIDATING, FEWER_HOSTS


def _cluster(draw: random.Random, hosts: int, most: int, busy: float) -> Cluster:
    """Hosts of one size, each with its part of *most* servers, which are so *busy* there."""
    pulls = (0.3, 0.6, 1.0)
    vcpus, memory_mb = draw.choice(((16, 65536), (24, 98304), (32, 131072)))
    rows = [
        Host(_uuid(draw), f"h{number}", vcpus, memory_mb, 4000, vcpu_ratio=2.0)
        for number in range(hosts)
    ]
    servers, values = [], {CPU: {}, MEMORY: {}, "host_cpu_usage": {}, "host_ram_usage": {}}
    for host in rows:
        pull, free = draw.choice(pulls), np.array([2.0 * vcpus, memory_mb, 4000])
        cpu = ram = 0.0
        for _ in range(round(most * pull)):
            flavor = draw.choice(FLAVORS)
            if (np.array(flavor) > free).any():
                continue
            free -= flavor
            server = Server(_uuid(draw), f"s{len(servers)}", host.hostname, *flavor)
            servers.append(server)
            values[CPU][server.uuid] = used = draw.uniform(0.2, 1) * busy * pull
            cpu += used * flavor[0] / 100
            values[MEMORY][server.uuid] = used = flavor[1] * draw.uniform(0.3, 0.95)
            ram += used
        values["host_cpu_usage"][host.uuid] = 100 * cpu / vcpus
        values["host_ram_usage"][host.uuid] = ram * 1024
    return Cluster(ComputeModel.build(rows, servers), values)


def _solve(strategy: Any, cluster: Cluster, score: Score, **parameters: Any) -> Any:
    inputs = dataclasses.replace(
        trial.inputs(strategy, cluster.model, **parameters),
        host_metric=cluster.read,
        server_metric=cluster.read,
    )
    began = time.process_time()
    solution = strategy().execute(inputs)
    score.seconds += time.process_time() - began
    return solution


def _balancing(metrics: Sequence[str], threshold: float) -> Callable[[random.Random, Score], None]:
    def measure(draw: random.Random, score: Score) -> None:
        cluster = _cluster(draw, draw.choice((4, 5)), 7, 100)
        model = cluster.model
        size = {CPU: model.hosts[0].vcpus, MEMORY: model.hosts[0].memory_mb}
        share = np.array(
            [
                [
                    cluster.values[metric][one.uuid]
                    * (one.vcpus / 100 if metric == CPU else 1)
                    / size[metric]
                    for one in model.servers
                ]
                for metric in metrics
            ]
        )
        best = fewest_moves(model, share, threshold)
        solution = _solve(
            WorkloadStabilization,
            cluster,
            score,
            metrics=list(metrics),
            thresholds=dict.fromkeys(metrics, threshold),
        )
        if best is None:
            score.undecided += 1
            return
        score.clusters += 1
        if solution.unmet:
            score.unmet += 1
            return
        moved = {each.input_parameters["resource_id"] for each in solution.actions}
        score.ours += len(moved)
        score.best += best.moves
        if len(moved) == best.moves:
            score.memory += sum(one.memory_mb for one in model.servers if one.uuid in moved)
            score.best_memory += best.memory_mb

    return measure


def _consolidating(*, by_use: bool) -> Callable[[random.Random, Score], None]:
    """Compare consolidations by flavors, or also by CPU use; without the headroom for new servers,
    which is a wish and no rule."""

    def measure(draw: random.Random, score: Score) -> None:
        cluster = _cluster(draw, draw.choice((6, 8)), 6, 50)
        model = cluster.model
        use = np.zeros((len(model.servers), 1))
        room = np.full((len(model.hosts), 1), 1e9)
        if by_use:
            cpu = [cluster.values[CPU][one.uuid] / 100 * one.vcpus for one in model.servers]
            use[:, 0] = cpu
            room[:, 0] = [host.vcpus for host in model.hosts]
            np.subtract.at(room[:, 0], model.placement, use[:, 0])
        what_if = WhatIf(model, use, room)
        loads = np.bincount(model.placement, model.demand[:, VCPU], minlength=len(model.hosts))
        began = time.process_time()
        ours = release(what_if, orders(what_if, loads, model.demand[:, VCPU]))
        score.seconds += time.process_time() - began
        best = fewest_hosts(model, use, room)
        if best is None:
            score.undecided += 1
            return
        score.clusters += 1
        score.hosts += len(ours.hosts)
        score.best_hosts += best.hosts
        if len(ours.hosts) == best.hosts:
            score.ours += len(what_if.moves)
            score.best += best.moves

    return measure


def _uuid(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))
