# SPDX-License-Identifier: Apache-2.0
"""An alarm that repeats while the average that it looks at is still of the time before."""

import dataclasses
import datetime
import itertools
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watcher.cloud.compute import Host, Migration, Server
from watcher.cloud.metrics import Window
from watcher.decision_engine.feedback.recent_moves import HostLoads
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid

BEGIN = datetime.datetime(2026, 1, 1)
PERIOD, STEP = 600, 10


class World:
    """Hosts that do what their servers do, each of them always the same.

    Metrics are means over ten minutes, as a datasource gives them.
    """

    name = "world"

    def __init__(self, hosts: int, servers: int) -> None:
        random.seed(7)
        self.now = BEGIN
        self.hosts = [host(f"h{number}", vcpus=16, vcpu_ratio=2.0) for number in range(hosts)]
        self.servers: dict[str, Server] = {}
        self.cpu: dict[str, float] = {}
        for number in range(servers):
            each = server(f"s{number}", f"h{number % 3}", vcpus=random.choice((1, 2, 4)))
            self.servers[each.uuid] = each
            self.cpu[each.uuid] = random.uniform(5, 60)
        self.moves: list[Migration] = []
        self.samples = [self.present()] * (PERIOD // STEP)

    def present(self) -> dict[str, float]:
        """Host uuid to percent."""
        used = {each.hostname: 0.0 for each in self.hosts}
        for each in self.servers.values():
            used[each.host] += each.vcpus * self.cpu[each.uuid]
        return {each.uuid: used[each.hostname] / each.vcpus for each in self.hosts}

    @property
    def deviation(self) -> float:
        return statistics.pstdev(self.present().values()) / 100

    def wait(self, seconds: int) -> None:
        for _ in range(seconds // STEP):
            self.samples.append(self.present())
            self.now += datetime.timedelta(seconds=STEP)

    def move(self, name: str, destination: str) -> None:
        moved = self.servers[uid(name)]
        self.servers[uid(name)] = dataclasses.replace(moved, host=destination)
        self.moves.append(Migration(moved.uuid, moved.host, destination, self.now, True))

    def host_metric(self, name: str, hosts: Sequence[Host], *how: Any, **named: Any) -> Any:
        window = self.samples[-PERIOD // STEP :]
        return {each.uuid: statistics.fmean(then[each.uuid] for then in window) for each in hosts}

    def server_metric(self, name: str, servers: Sequence[Server], *how: Any, **named: Any) -> Any:
        return {each.uuid: self.cpu[each.uuid] for each in servers}

    def window(self, now: datetime.datetime, period: int, granularity: int) -> Window:
        return now - datetime.timedelta(seconds=period), now

    def migrations(self, since: datetime.datetime) -> Sequence[Migration]:
        return [each for each in self.moves if each.ended and each.ended > since]

    def corrected(self) -> Callable[..., Mapping[str, float]]:
        return HostLoads(
            self.now,
            lambda: self,  # type: ignore[arg-type, return-value]
            self.migrations,
            lambda: self.servers.values(),
        ).metric

    def run(self, host_metric: Callable[..., Mapping[str, float]]) -> int:
        """One run of the strategy, and its plan; how many servers moved."""
        inputs = dataclasses.replace(
            clusters.inputs(
                WorkloadStabilization, ComputeModel.build(self.hosts, list(self.servers.values()))
            ),
            host_metric=host_metric,
            server_metric=self.server_metric,
        )
        moves = clusters.moves(WorkloadStabilization().execute(inputs))
        for name, _, destination in moves:
            self.move(name, destination)
        return len(moves)


class RepeatedAlarmTest(TestCase):
    def moves(self, metric: Callable[[World], Callable[..., Any]]) -> tuple[World, list[int]]:
        """What an alarm each minute comes to, in half an hour."""
        world, counts = World(hosts=8, servers=60), []
        for _ in range(30):
            counts.append(world.run(metric(world)))
            world.wait(60)
        return world, counts

    def test_one_plan_and_then_quiet(self) -> None:
        world, counts = self.moves(lambda world: world.corrected())
        self.assertLess(0, counts[0])
        self.assertEqual([0] * 29, counts[1:])
        self.assertLess(world.deviation, 0.1)

    def test_without_the_correction_servers_go_in_circles(self) -> None:
        """So that the test above is known to be one."""
        world, counts = self.moves(lambda world: world.host_metric)
        self.assertLess(5, sum(count > 0 for count in counts))
        pairs = itertools.combinations(world.moves, 2)
        self.assertTrue(any(one.server == other.server for one, other in pairs))

    def test_a_move_by_others_counts_as_well(self) -> None:
        world = World(hosts=8, servers=60)
        world.run(world.corrected())
        world.wait(PERIOD)
        for each in [each for each in world.servers.values() if each.host == "h4"]:
            world.move(each.name, "h5")
        self.assertEqual(0, world.run(world.host_metric), "they look as they did")
        self.assertLess(0, world.run(world.corrected()))
        self.assertLess(world.deviation, 0.1)
