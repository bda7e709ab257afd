# SPDX-License-Identifier: Apache-2.0
"""Tasks of simulated processes that take turns in one thread, on virtual time.

A task runs until it blocks.  Then a random one of those that are ready goes on; when there is
none, time goes forward to the first one that waits for it.
"""

import contextlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent, greenlet


class Killed(BaseException):
    """The process is dead: its tasks must end, and no ``except Exception`` catches this."""


class Process:
    """One run of a service's process, from its start to its death."""

    def __init__(self, name: str, kind: str, clock: "Clock") -> None:
        self.name, self.kind, self.clock = name, kind, clock
        self.alive = True
        self.tasks: set[Task] = set()
        self.frozen: list[tuple[Task, int, bool]] | None = None
        """While the process stands still, its tasks that are ready; None if it does not."""
        self.steps_left: int | None = None
        """After so many steps (statements, commits, calls of the cloud) ``fault`` is called."""
        self.fault: Callable[[str], None] = _nothing
        """Makes the process fail; called with the kind of the step."""
        self.in_hand = 0
        """Runs and plans that it carries out."""
        self.service: Any = None

    def __str__(self) -> str:
        return self.name


class Clock:
    """The clock of a node, which is *ahead* seconds ahead of the true time."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead


class Task(greenlet):
    def __init__(
        self,
        run: Callable[[bool], Any],
        process: Process | None,
        labels: dict[str, Any],
        number: int,
    ) -> None:
        super().__init__(run)
        self.process, self.labels, self.number = process, labels, number
        self.turn = 0
        """Changes whenever the task goes on, so that older wake-ups do not count."""


class Schedule:
    def __init__(self, choice: random.Random) -> None:
        self.now = 0.0
        self.choice = choice
        self.turns = 0
        self._ready: list[tuple[Task, int, bool]] = []
        self._later: list[tuple[float, int, Task, int]] = []
        self._number = itertools.count()
        self._dying: list[Process] = []
        self._hub = getcurrent()
        self.crashed: Callable[[Task, Exception], None] = _crash
        """Called with an exception that a task has raised and not caught."""

    def task(self) -> Task | None:
        current = getcurrent()
        return current if isinstance(current, Task) else None

    @property
    def process(self) -> Process | None:
        task = self.task()
        return task and task.process

    def spawn(self, process: Process | None, work: Callable[[], Any]) -> Task:
        """Let a new task do *work*, with the labels of the calling task.

        It has none if that is of another process: a process that is started anew carries out no
        plan of the one before.
        """
        parent = self.task()
        labels = dict(parent.labels) if parent and parent.process is process else {}

        def run(_: bool) -> None:
            try:
                work()
            except Killed:
                pass
            except Exception as error:
                # Libraries may have turned Killed into another error.
                if process is None or process.alive:
                    self.crashed(task, error)
            finally:
                if process is not None:
                    process.tasks.discard(task)

        task = Task(run, process, labels, next(self._number))
        task.parent = self._hub
        if process is not None:
            process.tasks.add(task)
        self._ready.append((task, 0, True))
        return task

    def block(self, seconds: float | None = None) -> bool:
        """Wait for a wake-up, at most *seconds*.  Returns whether there was one."""
        task = self.task()
        if task is None:
            raise RuntimeError("Nobody can wake the schedule itself.")
        self.refuse_dead(task)
        if seconds is not None:
            at = self.now + max(0.0, seconds)
            heapq.heappush(self._later, (at, next(self._number), task, task.turn))
        woken: bool = self._hub.switch()
        self.refuse_dead(task)
        return woken

    def refuse_dead(self, task: Task) -> None:
        if task.process is not None and not task.process.alive:
            raise Killed

    def wake(self, task: Task) -> None:
        self._ready.append((task, task.turn, True))

    def freeze(self, process: Process) -> None:
        """Let no task of a process continue."""
        process.frozen = process.frozen or []

    def thaw(self, process: Process) -> None:
        self._ready += process.frozen or ()
        process.frozen = None

    def kill(self, process: Process) -> None:
        """If a task of the process calls this, the task ends, too."""
        process.alive = False
        self._dying.append(process)
        if self.process is process:
            raise Killed

    def run(self, until: float, over: Callable[[], bool] = lambda: False) -> None:
        """Let tasks take turns until a time, or until *over*, called now and then, returns true."""
        while not over():
            self._bury()
            if not self._ready and not self._advance(until):
                return
            ready = self._ready
            at = self.choice.randrange(len(ready)) if len(ready) > 1 else 0
            ready[at], ready[-1] = ready[-1], ready[at]
            task, turn, woken = ready.pop()
            if task.dead or task.turn != turn:
                continue
            process = task.process
            if process is not None and process.frozen is not None:
                process.frozen.append((task, turn, woken))
                continue
            task.turn += 1
            self.turns += 1
            task.switch(woken)
        self._bury()

    def end(self) -> None:
        """End all tasks."""
        self._bury()
        self._end_all([entry[0] for entry in self._ready] + [entry[2] for entry in self._later])
        self._ready, self._later = [], []

    def _advance(self, until: float) -> bool:
        while self._later:
            at, _, task, turn = self._later[0]
            if at > until:
                break
            heapq.heappop(self._later)
            if not task.dead and task.turn == turn:
                self.now = max(self.now, at)
                self._ready.append((task, turn, False))
                return True
        self.now = max(self.now, until)
        return False

    def _bury(self) -> None:
        while self._dying:
            process = self._dying.pop()
            self._end_all(sorted(process.tasks, key=lambda task: task.number))
            process.tasks.clear()

    @staticmethod
    def _end_all(tasks: Iterable[Task]) -> None:
        for task in tasks:
            if not task.dead:
                with contextlib.suppress(Killed):  # one that had not begun does not catch it
                    task.throw(Killed)


def _nothing(*_: Any) -> None:
    """Does nothing: the default."""


def _crash(task: Task, error: Exception) -> None:
    raise error
