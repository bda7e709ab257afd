# SPDX-License-Identifier: Apache-2.0
"""Which process is killed, when and how, and when it is started again: all from a seed."""

import dataclasses
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

from tools.drill.processes import Process


@dataclasses.dataclass(frozen=True, order=True)
class Strike:
    """*At* so many seconds, and back *after* so many more; None: SIGKILL for the worker alone."""

    at: float
    target: int
    after: float | None


def plan(draw: random.Random, targets: int, seconds: float) -> list[Strike]:
    """A strike every two to five seconds, never at a process that is down already.

    Each fourth is at the last of the *targets*, the proxy of the database.
    """
    strikes: list[Strike] = []
    back = [0.0] * targets
    at = draw.uniform(2, 5)
    while at < seconds:
        route = targets - 1
        target = draw.choice([number for number in range(route) if back[number] < at])
        after = draw.choice([None, draw.uniform(0, 8)])
        if len(strikes) % 4 == 3 and back[route] < at:
            target, after = route, draw.uniform(2, 8)
        strikes.append(Strike(at, target, after))
        back[target] = at + (after or 0) + 3  # and some time to start
        at += draw.uniform(2, 5)
    return strikes


class Carrier:
    """Carries the strikes out, in a thread of its own."""

    def __init__(self, processes: Sequence[Process], strikes: Sequence[Strike]) -> None:
        self._processes = processes
        self._moments = sorted(
            [(strike.at, strike, False) for strike in strikes]
            + [
                (strike.at + strike.after, strike, True)
                for strike in strikes
                if strike.after is not None
            ]
        )
        self.killed: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="strikes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the strikes, and start all processes again."""
        self._stop.set()
        self._thread.join()
        for process in self._processes:
            if not process.alive:
                process.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        for at, strike, back in self._moments:
            if self._stop.wait(max(0.0, began + at - time.monotonic())):
                return
            process = self._processes[strike.target]
            if back:
                process.start()
            elif strike.after is not None or not process.kill_worker():
                process.strike()
                if strike.after is None:
                    process.start()
                self._count(process)
            else:
                self._count(process)

    def _count(self, process: Process) -> None:
        self.killed[process.name.split("-")[0]] += 1
