# SPDX-License-Identifier: Apache-2.0
"""The checker of plans: against every execution of many small plans, and on a large one.

Half of the small plans are mutated: a parent, a place or an action is replaced or removed. Seconds
are those of the processor, the best of three.
"""

import argparse
import random
import time
from collections.abc import Iterator

import numpy as np

from benchmarks import clusters
from benchmarks.report import Figure, show
from watcher import conf as watcher_conf
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import plan_checker
from watcher.model.compute import ComputeModel
from watcher.model.plan_checker import Cluster
from watcher.model.whatif import WhatIf
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests.unit.model.test_plan_checker import disagreements

PLANNERS = ("weight", "workload_stabilization", "node_resource_consolidation")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench checker", description=__doc__)
    parser.add_argument(
        "--plans", type=int, default=20_000, help="small ones, half of them mutated"
    )
    parser.add_argument("--actions", type=int, default=5_000, help="of the large plan")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args(argv)
    wrong = sum(1 for _ in disagreements(arguments.seed, arguments.plans))
    what = f"of {arguments.plans:,} plans of up to 8 actions, judged wrongly"
    figures = [Figure(what, wrong, "plans", 0), *large(arguments.actions, arguments.seed)]
    show(figures)
    return 1 if any(figure.met == "NO" for figure in figures) else 0


def large(actions: int, seed: int) -> Iterator[Figure]:
    """Random moves, each of which has room, on 1,000 hosts with 20,000 servers."""
    cloud = SimulatedCloud(Scenario.from_dict(clusters.make(1_000, 20_000)))
    model = ComputeModel.build(cloud.hosts(), cloud.servers())
    what_if, solution = WhatIf(model), SolutionBuilder()
    chance = random.Random(seed)
    for server in chance.sample(range(len(model.servers)), len(model.servers)):
        hosts = np.flatnonzero(what_if.hosts_for(server))
        if len(hosts) and len(what_if.moves) < actions:
            to = int(chance.choice(hosts))
            solution.migrate(model.servers[server], model.hosts[to])
            what_if.move(server, to)
    catalog = Catalog(watcher_conf.load([], []))
    for name in PLANNERS:
        planned = catalog.planner(name).plan(solution.build())
        seconds = []
        for _ in range(3):
            begin = time.process_time()
            cluster = Cluster(
                {host.hostname: host for host in model.hosts},
                {server.uuid: server for server in model.servers},
            )
            assert not plan_checker.faults(planned, cluster, 2)
            seconds.append(time.process_time() - begin)
        yield Figure(f"{len(planned):,} actions of the planner {name}", min(seconds), "s", 1)
