# SPDX-License-Identifier: Apache-2.0
"""The cloud of the benchmark of reactions: nova, placement and prometheus, in a process of
their own, which records the times of their requests."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from benchmarks import clusters
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.nova import Nova
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer

HOT = 1 / 20
"""The share of hosts that need to be relieved, of one server each."""
BUSY, IDLE = 90.0, 30.0
"""Per cent of its vCPUs that a server uses."""
CHANGES = 10
"""Servers that change between two alarms beside those that Watcher moves."""
DEADLINE = 60


class Asked(NamedTuple):
    """A request and its answer, on the clock that all processes of a machine share."""

    began: float
    ended: float
    what: str
    """Method and path."""

    @property
    def migrates(self) -> bool:
        return self.what.startswith("POST") and self.what.endswith("/action")


class Cloud:
    """The process of the cloud, as the measuring process uses it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.identity, self.prometheus = self._answer()

    def heat(self, number: int) -> None:
        """Put all servers back, and make the hosts of round *number* hot."""
        self._say(f"heat {number}")

    def change(self) -> None:
        """Let some servers change."""
        self._say("change")

    def first_migration(self) -> list[Asked]:
        """Wait for the first migration.  Returns the requests since servers changed."""
        return [Asked(*each) for each in self._say("wait")]

    def _say(self, command: str) -> Any:
        assert self._process.stdin
        print(command, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def served(size: str) -> Iterator[Cloud]:
    command = [sys.executable, sys.argv[0], "reaction", "--serve", "--size", size]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Cloud(process)
        finally:
            assert process.stdin
            process.stdin.close()


def serve(size: str) -> int:
    """Carry out commands of the standard input until its end."""
    emulated, metrics, log = EmulatedCloud(), Prometheus({}), _Log()
    paths = {"/compute": emulated.nova, "/placement": emulated.placement}
    everything = DispatcherMiddleware(emulated.keystone, paths)
    emulated.server = EmulatedServer(log.of(everything), keeps=True)
    with emulated, EmulatedServer(log.of(metrics), keeps=True) as prometheus:
        emulated.fill(*clusters.SIZES[size])
        _say([emulated.server.url, prometheus.url])
        state = _State(emulated.nova, metrics)
        for line in sys.stdin:
            command, *arguments = line.split()
            if command == "wait":
                if not log.migrating.wait(DEADLINE):
                    raise RuntimeError(f"No server was migrated within {DEADLINE} seconds")
                _say(log.asked)
            elif command == "change":
                state.change()
                log.asked = []
                log.migrating.clear()
                _say(None)
            else:
                state.heat(int(arguments[0]))
                _say(None)
    return 0


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


class _Log:
    """The requests to the applications, and whether one was a migration."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.migrating = threading.Event()

    def of(self, application: Any) -> Any:
        def logged(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            began = time.monotonic()
            what = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            answer = [b"".join(application(environ, start_response))]
            asked = Asked(began, time.monotonic(), what)
            self.asked.append(asked)
            if asked.migrates:
                self.migrating.set()
            return answer

        return logged


class _State:
    """The hosts of servers, and how much they use."""

    def __init__(self, nova: Nova, metrics: Prometheus) -> None:
        self._nova, self._metrics = nova, metrics
        self._homes = {uuid: row["OS-EXT-SRV-ATTR:host"] for uuid, row in nova.all.items()}
        self._hosts = sorted(nova.uuids)

    def heat(self, number: int) -> None:
        nova, count = self._nova, int(HOT * len(self._hosts))
        first = number * count % len(self._hosts)
        hot = set(self._hosts[first : first + count])
        for uuid, home in self._homes.items():
            if nova.all[uuid]["OS-EXT-SRV-ATTR:host"] != home:
                nova.touch(uuid, **{"OS-EXT-SRV-ATTR:host": home})
        used = {host: BUSY if host in hot else IDLE for host in self._hosts}
        self._metrics.show_cpu_use(nova.all, used)

    def change(self) -> None:
        for uuid in list(self._homes)[-CHANGES:]:
            self._nova.touch(uuid, metadata={"changed": "yes"})
