# SPDX-License-Identifier: Apache-2.0
"""Threads, locks, queues, pools and time of a simulation, made of the tasks of a schedule.

``installed`` replaces the real ones in every module of Watcher.  It compares the values of names,
so that no module has to know of simulations.
"""

import collections
import concurrent.futures
import contextlib
import datetime
import gc
import queue
import random
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from oslo_utils import timeutils

from tools.simulate.schedule import Schedule, Task

EPOCH = datetime.datetime(2031, 5, 4, 3, 2, 1)
_schedule: Schedule


class Waiters:
    """Tasks that wait for the same thing, the first of them in front."""

    def __init__(self) -> None:
        self._tasks: collections.deque[Task] = collections.deque()

    def wait(self, seconds: float | None) -> bool:
        task = _schedule.task()
        assert task is not None
        self._tasks.append(task)
        try:
            return _schedule.block(seconds)
        finally:
            with contextlib.suppress(ValueError):
                self._tasks.remove(task)

    def wake(self, number: int = sys.maxsize) -> None:
        for _ in range(min(number, len(self._tasks))):
            _schedule.wake(self._tasks.popleft())


def _wait_for(waiters: Waiters, reached: Callable[[], Any], seconds: float | None) -> Any:
    end = None if seconds is None else _schedule.now + seconds
    while not (value := reached()):
        left = None if end is None else end - _schedule.now
        if left is not None and left <= 0:
            return value
        waiters.wait(left)
    return value


class Lock:
    def __init__(self) -> None:
        self._owner: Any = None
        self._depth = 0
        self._waiters = Waiters()

    _again = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = _schedule.task() or _schedule
        if self._again and self._owner is me:
            self._depth += 1
            return True
        if self._owner is not None:
            if not blocking:
                return False
            free = lambda: self._owner is None  # noqa: E731
            if not _wait_for(self._waiters, free, None if timeout < 0 else timeout):
                return False
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth <= 0:
            self._owner = None
            self._waiters.wake(1)

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class RLock(Lock):
    _again = True


class Condition:
    def __init__(self, lock: Any = None) -> None:
        self._lock = lock or RLock()
        self._waiters = Waiters()
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def wait(self, timeout: float | None = None) -> bool:
        self.release()
        woken = self._waiters.wait(timeout)
        self.acquire()
        return woken

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else _schedule.now + timeout
        while not (value := predicate()):
            left = None if end is None else end - _schedule.now
            if left is not None and left <= 0:
                return value
            self.wait(left)
        return value

    def notify(self, n: int = 1) -> None:
        self._waiters.wake(n)

    def notify_all(self) -> None:
        self._waiters.wake()

    def __enter__(self) -> "Condition":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    def __init__(self) -> None:
        self._set = False
        self._waiters = Waiters()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        return bool(_wait_for(self._waiters, self.is_set, timeout))


class Thread:
    def __init__(
        self,
        target: Callable[..., Any] = lambda: None,
        name: str = "",
        args: Any = (),
        kwargs: Any = None,
        daemon: bool = False,
    ) -> None:
        self.name, self.daemon = name, daemon
        self._work = lambda: target(*args, **(kwargs or {}))
        self._task: Task | None = None
        self._over = Event()

    def start(self) -> None:
        self._task = _schedule.spawn(_schedule.process, self._run)
        self._task.labels["thread"] = self.name

    def is_alive(self) -> bool:
        return self._task is not None and not self._over.is_set()

    def join(self, timeout: float | None = None) -> None:
        self._over.wait(timeout)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._over.set()


class Future(concurrent.futures.Future[Any]):
    def __init__(self) -> None:
        super().__init__()
        self._condition = Condition()


class ThreadPoolExecutor(concurrent.futures.Executor):
    def __init__(self, max_workers: int | None = None, *_: Any) -> None:
        self._left = max_workers or 4
        self._queue: collections.deque[Callable[[], None]] = collections.deque()
        self._idle = Condition()
        self._running = 0

    def submit(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        future = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        self._queue.append(run)
        if self._left:
            self._left -= 1
            self._running += 1
            _schedule.spawn(_schedule.process, self._drain)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._idle:
            self._idle.wait_for(lambda: not self._running)

    def _drain(self) -> None:
        while self._queue:
            self._queue.popleft()()
        self._left += 1
        self._running -= 1
        self._idle.notify_all()


class SimpleQueue:
    def __init__(self) -> None:
        self._items: collections.deque[Any] = collections.deque()
        self._waiters = Waiters()

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._waiters.wake(1)

    def get(self) -> Any:
        _wait_for(self._waiters, lambda: self._items, None)
        return self._items.popleft()


def sleep(seconds: float) -> None:
    if _schedule.task() is not None:
        _schedule.block(seconds)


def monotonic() -> float:
    return _schedule.now


def _nothing() -> None:
    """Does nothing."""


class _Module(types.ModuleType):
    """A module with some of its names replaced."""

    def __init__(self, real: types.ModuleType, **replaced: Any) -> None:
        super().__init__(real.__name__)
        self._real = real
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_STAND_INS: list[tuple[Any, Any]] = [
    (
        threading,
        _Module(
            threading,
            Thread=Thread,
            Event=Event,
            Lock=Lock,
            RLock=RLock,
            Condition=Condition,
        ),
    ),
    (time, _Module(time, monotonic=monotonic, sleep=sleep, perf_counter=monotonic)),
    (queue, _Module(queue, SimpleQueue=SimpleQueue)),
    # It would take a quarter of the time, and never free what is left of a seed.
    (gc, _Module(gc, collect=_nothing, freeze=_nothing, unfreeze=_nothing)),
    (concurrent.futures.ThreadPoolExecutor, ThreadPoolExecutor),
    (concurrent.futures.Future, Future),
    (time.monotonic, monotonic),
]


class _UtcNow:
    """A list of times for ``timeutils.utcnow``: the first is the time on the clock of the calling
    process."""

    def pop(self, _: int) -> datetime.datetime:
        task = _schedule.task()
        ahead = 0.0
        if task is not None:
            clock = task.labels.get("clock")
            if clock is not None:
                ahead = clock.ahead
            elif task.process is not None:
                ahead = task.process.clock.ahead
        return EPOCH + datetime.timedelta(seconds=round(_schedule.now + ahead, 6))


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let all loaded modules of Watcher use the threads of this module."""
    stand_ins = {id(real): stand_in for real, stand_in in _STAND_INS}
    undo: list[Callable[[], None]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        before = getattr(owner, name)
        setattr(owner, name, value)
        undo.append(lambda: setattr(owner, name, before))

    for module in _modules():
        for name, value in list(vars(module).items()):
            if id(value) in stand_ins:
                replace(module, name, stand_ins[id(value)])
            elif isinstance(value, type) and value.__module__ == module.__name__:
                for function in vars(value).values():
                    defaults = getattr(function, "__defaults__", None) or ()
                    if any(id(default) in stand_ins for default in defaults):
                        found = tuple(stand_ins.get(id(each), each) for each in defaults)
                        replace(function, "__defaults__", found)
    # Columns have it as their default, so a replaced name is not enough.
    replace(timeutils, "_override_time", _UtcNow())
    replace(uuid, "uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4))
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
        for each in reversed(undo):
            each()


def use(schedule: Schedule) -> None:
    """Use *schedule* for the threads from now on."""
    global _schedule
    _schedule = schedule


def _modules() -> list[types.ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("watcher.") and not name.startswith("watcher.tests")
    ]
