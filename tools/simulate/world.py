# SPDX-License-Identifier: Apache-2.0
"""The services of one seed, each in processes that may die, and their database and cloud."""

import contextlib
import functools
import random
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from tools.simulate import store, threads
from tools.simulate.cloud import Network, scenario
from tools.simulate.history import History
from tools.simulate.plugins import Shuffling
from tools.simulate.schedule import Clock, Killed, Process, Schedule, Task
from tools.simulate.stage import MAX_RUN, SLOTS, Stage
from tools.simulate.trouble import Trouble
from watcher.api.intake import Intake
from watcher.api.unrecorded import UnrecordedEvents
from watcher.applier.service import Applier
from watcher.common.errors import CloudUnavailable
from watcher.decision_engine.runner import Runner
from watcher.decision_engine.service import DecisionEngine
from watcher.notifications import Notifications
from watcher.simulation.cloud import SimulatedCloud

_RESTART = (1.0, 20.0)
"""Seconds until a process that has ended is started again."""

_BACK = 0.5
"""Probability that a process that stands still continues soon after another one has claimed its
work."""

_BEFORE_WRITES = 0.6
"""Probability that a process stands still just before it writes."""

_HEARTBEAT = 0.5
"""Probability that the heartbeat is the thread that hangs."""

LONGEST_REQUEST = 30.0
"""Seconds after which a client abandons a request."""

_AT_ONCE = 0.1
"""Seconds within which a thread that has waited for a lock must not wait for it again."""

_STOPPED = 120.0
"""Seconds after which a process that is asked to stop is killed."""


class World:
    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.choice = choice = random.Random(seed)
        random.seed(seed)
        self.trouble = Trouble.of(choice)
        self.schedule = Schedule(random.Random(choice.random()))
        self.schedule.crashed = self._crashed
        threads.use(self.schedule)
        self.history = History()
        self.quiet = False
        self.away_until = self.cloud_away_until = 0.0
        self.processes: dict[str, Process] = {}
        self.set_back = 0.0
        """Seconds by which the clocks of all services were set back."""
        self.clocks = {slot: Clock(self.skew()) for slot in (*SLOTS, "cloud")}
        self._chance = random.Random(choice.random())
        left_out = [f"engine{number}" for number in (2, 3) if number > self.trouble.engines]
        self.slots = [slot for slot in SLOTS if slot not in left_out]
        self._lives = dict.fromkeys(self.slots, 0)
        self.bells = {kind: Bell(self, kind) for kind in ("engine", "applier")}
        self.store = stage.store
        self.store.begin(self.trouble.serial, self._see_row, self._step)
        inner = SimulatedCloud(scenario(choice, self.trouble.slow), clock=lambda: self.schedule.now)
        self.network = Network(self.schedule, self.clocks["cloud"], inner, self._step, self.see)
        for conf in stage.confs.values():
            most, rollback = self.trouble.max_recorded, self.trouble.rollback
            attempts = self.trouble.max_attempts
            conf.set_override("max_recorded_per_minute", most, group="webhooks")
            conf.set_override("rollback_when_actionplan_failed", rollback, group="watcher_applier")
            for group in ("watcher_applier", "watcher_decision_engine"):
                conf.set_override("poll_interval", self.trouble.poll, group=group)
                conf.set_override("max_attempts", attempts, group=group)

    def see(self, what: str, *facts: Any) -> None:
        process = self.schedule.process
        self.history.add(self.schedule.now, process.name if process else "", what, *facts)

    def _see_row(self, table: str, key: int, old: Any, new: Any) -> None:
        self.see(table, key, old, new)
        holders = [row and row.get("engine") for row in (old, new)]
        if all(holders) and holders[0] != holders[1]:
            former = self.processes[holders[0].partition(":")[0]]
            if former.frozen is not None and self.choice.random() < _BACK:
                self.thaw(former, self.choice.choice((0.0, self.choice.uniform(0.0, 3.0))))

    def skew(self) -> float:
        return self.choice.uniform(-self.trouble.ahead, self.trouble.ahead) - self.set_back

    def spawn(self, work: Callable[[], Any]) -> Task:
        """Let a task do *work* outside of the service processes."""
        return self.schedule.spawn(None, work)

    # Faults at a step

    def _step(self, where: str) -> None:
        process = self.schedule.process
        if process is None:
            return
        if not process.alive:
            raise Killed
        if process.steps_left is not None:
            process.steps_left -= 1
            if process.steps_left < 0:
                process.fault(where)
        if where in ("statement", "begin", "commit") and self.schedule.now < self.away_until:
            raise store.away()
        if where == "call" and self.schedule.now < self.cloud_away_until:
            raise CloudUnavailable("The cloud does not answer.")
        if not self.quiet:
            self._fail(where)
        if where not in ("locked", "commit") and self._chance.random() < self.trouble.change:
            self.schedule.block(self._delay(where))

    def _fail(self, where: str) -> None:
        trouble, chance = self.trouble, self._chance.random
        if where == "locked" and not trouble.serial and chance() < trouble.deadlock:
            raise store.deadlock()
        if where == "begin":
            self._wait_for_lock()
        if where in ("commit", "committed") and chance() < trouble.lost_answer:
            self.see("lost answer", where)
            raise store.away()
        if where == "call" and chance() < trouble.unavailable:
            raise CloudUnavailable("The cloud does not answer.")
        if where == "called" and chance() < trouble.lost_answer:
            self.see("lost answer", where)
            raise CloudUnavailable("The answer of the cloud is lost.")

    def _wait_for_lock(self) -> None:
        """Wait for a lock, perhaps until the time limit."""
        task, (statement, parameters) = self.schedule.task(), self.store.statement
        assert task is not None
        at, *before = task.labels.get("waited", (-1.0,))
        again = self.schedule.now < at + _AT_ONCE and before == [statement, parameters]
        # A dispatcher may just be woken, and look again.
        if again and task.labels.get("thread") != "dispatcher":
            self.see("waits again", statement)
        if self._chance.random() < self.trouble.lock_wait:
            task.labels["waited"] = self.schedule.now, statement, parameters
            raise store.lock_wait()

    def _delay(self, where: str) -> float:
        """Seconds until the step; often long before a transaction that depends on what was read."""
        longest = self.trouble.longest_step
        few = (0.0, 0.0, 0.01, 0.01, 0.3) if where != "begin" else (0.0, 0.3)
        most = 0.01 if self.quiet else self._chance.choice((*few, longest))
        return self._chance.random() * most

    def doom(self, process: Process, steps: int) -> None:
        """Let a process die after a number of steps."""
        process.steps_left, process.fault = steps, lambda where: self.die(process, where)

    def stun(self, process: Process, steps: int, seconds: float, alone: bool) -> None:
        """Let a process stand still after a number of steps, or a thread of it *alone*, perhaps its
        heartbeat: rather between a look and the transaction that writes what follows from it,
        and never in one, because all would wait for it."""
        beats = alone and process.kind != "api" and self.choice.random() < _HEARTBEAT
        passed: tuple[str, ...] = ("locked", "commit")
        if self.choice.random() < _BEFORE_WRITES:
            passed += ("statement", "committed", "call", "called")

        def freeze(where: str) -> None:
            task = self.schedule.task()
            if where in passed or (beats and task and task.labels.get("thread") != "heartbeat"):
                return
            process.steps_left = None
            if alone:
                self.see("hangs", process.name)
                self.schedule.block(min(seconds, self.trouble.active - self.schedule.now))
                self.see("goes on", process.name)
            else:
                self.see("freezes", process.name)
                self.schedule.freeze(process)
                self.thaw(process, seconds)
                self.schedule.block(0.0)

        process.steps_left, process.fault = steps, freeze

    def thaw(self, process: Process, seconds: float) -> None:
        """Let a process continue after a time, if it still stands still then."""

        def work() -> None:
            self.schedule.block(seconds)
            if process.frozen is not None:
                self.see("thaws", process.name)
                self.schedule.thaw(process)

        self.spawn(work)

    def die(self, process: Process, where: str) -> None:
        self.see("dies", process.name, where)
        self.spawn(lambda: self._restart(process.name.partition(".")[0]))
        self.schedule.kill(process)

    def _crashed(self, task: Task, error: Exception) -> None:
        self.see("crash", type(error).__name__, error)

    # Processes

    def start(self, slot: str) -> None:
        """Start the process of a node, and start it again whenever it has ended."""
        self._lives[slot] += 1
        process = Process(f"{slot}.{self._lives[slot]}", slot.rstrip("123"), self.clocks[slot])
        self.processes[slot] = process
        self.see("starts", process.name)
        self.schedule.spawn(process, lambda: self._boot(slot, process))

    def _restart(self, slot: str) -> None:
        self.schedule.block(self.choice.uniform(*_RESTART))
        self.start(slot)

    def _boot(self, slot: str, process: Process) -> None:
        database = self.stage.databases[slot]
        database.wait(threads.Event())  # type: ignore[arg-type]
        process.service = self._make(slot, process)
        try:
            if process.kind != "api":
                process.service.start()
        except Exception as error:
            self.die(process, f"start: {error!r}")

    def _make(self, slot: str, process: Process) -> Any:
        conf, database = self.stage.confs[slot], self.stage.databases[slot]
        if process.kind == "api":
            return Intake(conf, database, UnrecordedEvents(database))
        notifications, cloud = Notifications(conf, database), self.network.cloud
        if process.kind == "applier":
            return Applier(conf, database, cloud, self.bells["engine"], notifications)
        bell, restart = self.bells["applier"], lambda: self.die(process, "restart")
        return DecisionEngine(conf, database, cloud, bell, notifications, restart=restart)

    def stop(self, process: Process) -> None:
        """Ask a process to end, as SIGTERM does."""
        self.see("stops", process.name)

        def work() -> None:
            process.service.stop()
            self.die(process, "stopped")

        if process.service is None or process.kind == "api":
            self.doom(process, 0)
            return
        self.schedule.spawn(process, work)
        self.schedule.block(_STOPPED)
        if process.alive:
            self.die(process, "does not stop")

    def ready(self, kind: str) -> list[Process]:
        """The processes of a kind that are ready to work."""
        return [
            process
            for process in self.processes.values()
            if process.kind == kind and process.alive and process.service
        ]

    def some(self, kind: str) -> Process | None:
        """One of the processes of a kind that are ready."""
        ready = self.ready(kind)
        return self.choice.choice(ready) if ready else None

    def in_process(self, process: Process, work: Callable[[], Any]) -> Any:
        """Let a task of a process do *work*, and wait for the result.

        TimeoutError if that takes too long, or if the process dies.
        """
        answer = threads.Future()

        def run() -> None:
            try:
                answer.set_result(work())
            except Exception as error:
                if process.alive:
                    answer.set_exception(error)

        self.schedule.spawn(process, run)
        return answer.result(LONGEST_REQUEST)


class Bell:
    """The broker: a doorbell that one of the other side's processes hears, or none, or two."""

    def __init__(self, world: World, kind: str) -> None:
        self._world, self._kind = world, kind

    def ring(self, uuid: str) -> None:
        world = self._world
        chance, trouble = world.choice.random, world.trouble
        number = 0 if chance() < trouble.drop else 2 if chance() < trouble.twice else 1

        def deliver() -> None:
            world.schedule.block(chance() * 0.1)
            ready = world.ready(self._kind)
            for process in world.choice.sample(ready, min(number, len(ready))):
                world.schedule.spawn(process, process.service.dispatcher.wake)

        world.spawn(deliver)


@contextlib.contextmanager
def watched(world: World) -> Iterator[None]:
    """Let the world see runs and plans begin and end."""
    run, execute_plan = Runner.run, Applier.execute_plan

    @contextlib.contextmanager
    def seen(what: str, *facts: Any) -> Iterator[Task]:
        task = world.schedule.task()
        assert task is not None and task.process is not None
        world.see(f"{what} begins", *facts)
        task.process.in_hand += 1
        try:
            yield task
        finally:
            task.process.in_hand -= 1
            world.see(f"{what} ends", *facts)

    def seen_run(self: Any, run_row: Any) -> None:
        with seen("run", run_row.id, run_row.audit_id):
            run(self, run_row)

    def seen_plan(self: Any, plan_id: int, interrupts: Any) -> None:
        with seen("plan", plan_id) as task:
            task.labels["plan"] = plan_id
            try:
                execute_plan(self, plan_id, interrupts)
            finally:
                del task.labels["plan"]

    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (Runner, "run", seen_run),
            (Applier, "execute_plan", seen_plan),
            (Shuffling, "seen", staticmethod(world.see)),
            (Shuffling, "think", staticmethod(functools.partial(_think, world))),
        ):
            stack.enter_context(mock.patch.object(owner, name, value, create=True))
        yield


def _think(world: World) -> None:
    """Let a strategy take some time, perhaps more than a run may."""
    too_long = not world.quiet and world.choice.random() < world.trouble.long_run
    slow = world.trouble.slow and not world.quiet and world.choice.random() < 0.5
    most = 0.9 * MAX_RUN if slow else 10.0
    threads.sleep(MAX_RUN * 1.5 if too_long else world.choice.random() * most)
