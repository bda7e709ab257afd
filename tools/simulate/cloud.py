# SPDX-License-Identifier: Apache-2.0
"""The cloud of a simulation: Watcher's simulated cloud behind a network."""

import random
from collections.abc import Callable
from typing import Any

from tools.simulate import threads
from tools.simulate.schedule import Clock, Schedule
from watcher.cloud import Cloud
from watcher.cloud.compute import Compute
from watcher.common.errors import WatcherError
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario

_CHANGES = ("live_migrate", "abort_live_migration", "enable", "disable")


def scenario(choice: random.Random, slow: bool, hosts: int = 4, servers: int = 5) -> Scenario:
    longest = (10.0, 150.0) if slow else (10.0,)
    return Scenario.from_dict(
        {
            "hosts": [
                {"hostname": f"h{at}", "vcpus": 64, "memory_mb": 262144, "disk_gb": 2000}
                for at in range(hosts)
            ],
            "servers": [
                {
                    "name": f"s{at}",
                    "host": f"h{at % hosts}",
                    "vcpus": 1,
                    "memory_mb": 1024,
                    "disk_gb": 1,
                    "migration_seconds": choice.uniform(1, choice.choice(longest)),
                    "migration_fails": choice.random() < 0.1,
                }
                for at in range(servers)
            ],
        }
    )


class Network:
    """A ``Compute`` between the services and a simulated cloud.

    *step* is called before and after each call, and may raise an error for the caller.  *report*
    gets the requests that change something, and the migrations that begin and end.
    """

    def __init__(
        self,
        schedule: Schedule,
        clock: Clock,
        inner: SimulatedCloud,
        step: Callable[[str], None],
        report: Callable[..., None],
    ) -> None:
        self._schedule, self._clock, self.inner = schedule, clock, inner
        self._step, self._report = step, report
        self._under_way: dict[str, str] = {}
        for name in vars(Compute):
            if not name.startswith("_"):
                setattr(self, name, self._call(name, getattr(inner, name)))
        self.cloud = Cloud(compute_service=self)  # type: ignore[arg-type]

    def _call(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self._step("call")
            task = self._schedule.task()
            assert task is not None
            task.labels["clock"] = self._clock
            try:
                self._watch()
                if name not in _CHANGES:
                    result = do(*arguments, **options)
                else:
                    result = self._change(task.labels.get("plan"), name, do, arguments)
                    self._watch()
            finally:
                del task.labels["clock"]
            self._step("called")
            return result

        return call

    def _change(
        self, plan: Any, name: str, do: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        busy = name == "live_migrate" and self.inner.server(arguments[0]).task_state is not None
        try:
            result = do(*arguments)
        except WatcherError as error:
            self._report("refused", plan, name, arguments, busy, str(error))
            raise
        self._report("request", plan, name, arguments, busy)
        return result

    def _watch(self) -> None:
        under_way = {
            each.server: each.destination
            for each in self.inner.migrations(threads.EPOCH)
            if each.ended is None
        }
        for server, destination in self._under_way.items():
            if server not in under_way:
                arrived = self.inner.server(server).host == destination
                self._report("moved", server, destination, "arrives" if arrived else "fails")
        for server, destination in under_way.items():
            if server not in self._under_way:
                self._report("moves", server, destination)
        self._under_way = under_way
