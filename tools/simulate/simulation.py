# SPDX-License-Identifier: Apache-2.0
"""Simulates one seed, and checks the result."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tools.simulate import checker
from tools.simulate.history import History
from tools.simulate.people import AUDITS, Sender, User, create_audits
from tools.simulate.schedule import Process
from tools.simulate.stage import LEASE, MAX_RUN, Stage
from tools.simulate.trouble import Trouble
from tools.simulate.world import World, watched

QUIET = 3000.0
"""Seconds within which all work has to end after the last fault."""

_LOOK = 10.0
"""Seconds between two checks whether it has ended."""

_MOST_STEPS = 60
"""The most steps between the decision that a process dies or stands still, and that event."""

_STANDSTILLS = ((1.0, 20.0), (LEASE, 1.5 * LEASE), (2.0 * LEASE, 3.0 * LEASE))
"""Seconds that a standstill takes: less than a lease, about as long, or longer."""

_TO_BUSY = 0.8
"""Probability that a fault is given to a process that works on a run or plan, if there is one."""


@dataclasses.dataclass(frozen=True)
class Found:
    """The result of a seed."""

    seed: int
    trouble: Trouble
    seconds: float
    """Seconds of virtual time."""
    history: History
    violations: list[str]


def simulate(stage: Stage, seed: int) -> Found:
    world = World(stage, seed)
    with watched(world):
        audits = create_audits(world)
        for slot in world.slots:
            world.start(slot)
        for at, work in _agenda(world, audits):
            world.schedule.spawn(None, _later(world, at, work))
        world.schedule.run(world.trouble.active)
        _calm(world)
        user = User(world, audits)
        for audit in audits[:AUDITS]:
            world.spawn(functools.partial(user.resume, audit))
        for audit in audits[AUDITS:]:
            world.spawn(functools.partial(user.end, audit))
        end = world.schedule.now + QUIET
        while world.schedule.now < end and not _rests(world):
            world.schedule.run(world.schedule.now + _LOOK)
        for process in world.processes.values():
            world.schedule.kill(process)
        world.schedule.end()
    rows, trouble = checker.Rows.read(world.store.rows), world.trouble
    # A thread that stood still continues with the time that it had read before.
    unknown = trouble.set_back or trouble.freezes or trouble.hangs
    apart = math.inf if unknown else 2 * trouble.ahead
    rules = checker.Rules(
        LEASE,
        MAX_RUN,
        apart,
        2 * trouble.ahead,
        trouble.rollback,
        trouble.max_recorded,
        trouble.max_attempts,
    )
    violations = checker.check(world.history.all, rows, _hosts(world), rules)
    return Found(seed, trouble, world.schedule.now, world.history, violations)


def _later(world: World, at: float, work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        world.schedule.block(at)
        work()

    return run


def _agenda(world: World, audits: list[str]) -> Iterator[tuple[float, Callable[[], Any]]]:
    """The time and the function of each fault, and of each action of users."""
    trouble, choice = world.trouble, world.choice

    def times(number: int) -> Iterator[float]:
        for _ in range(number):
            yield choice.uniform(0, trouble.active)

    at = 0.0
    for anywhen in times(trouble.alarms):
        at = choice.choice((anywhen, at + choice.uniform(0, 10)))  # alone, or in a burst
        yield at, Sender(world, choice.choice(audits[:AUDITS])).post
    for at in times(trouble.users):
        yield at, User(world, audits).act
    for number, work in (
        (trouble.deaths, _doom),
        (trouble.stops, _stop),
        (trouble.freezes, functools.partial(_freeze, alone=False)),
        (trouble.hangs, functools.partial(_freeze, alone=True)),
        (trouble.clock_changes, _set_clock),
        (trouble.set_back, _set_back),
        (trouble.outages, _lose_database),
        (trouble.cloud_outages, _lose_cloud),
    ):
        for at in times(number):
            yield at, functools.partial(work, world)
    for at in times(trouble.rings):
        # Also after the last fault, when claims lapse.
        yield choice.choice((at, at + LEASE)), functools.partial(_ring, world)


def _victim(world: World, slots: Sequence[str]) -> Process:
    """A process for a fault, preferably one that works on a run or plan."""
    processes = [world.processes[slot] for slot in slots]
    busy = [process for process in processes if process.alive and process.in_hand]
    return world.choice.choice(busy if busy and world.choice.random() < _TO_BUSY else processes)


def _doom(world: World) -> None:
    world.doom(_victim(world, world.slots), world.choice.randrange(_MOST_STEPS))


def _stop(world: World) -> None:
    world.stop(_victim(world, world.slots[2:]))


def _freeze(world: World, alone: bool) -> None:
    choice = world.choice
    seconds = choice.uniform(*choice.choice(_STANDSTILLS))
    steps = choice.randrange(choice.choice((3, _MOST_STEPS)))
    world.stun(_victim(world, world.slots), steps, seconds, alone)


def _ring(world: World) -> None:
    for kind in world.bells:
        for process in world.ready(kind):
            world.schedule.spawn(process, process.service.dispatcher.wake)


def _set_clock(world: World) -> None:
    slot = world.choice.choice(world.slots)
    world.clocks[slot].ahead = world.skew()
    world.see("clock", slot, f"{world.clocks[slot].ahead:+.3f}")


def _set_back(world: World) -> None:
    world.set_back += 3600.0
    for slot in world.slots:
        world.clocks[slot].ahead -= 3600.0
    world.see("clock", "all", "an hour back")


def _lose_database(world: World) -> None:
    world.away_until = world.schedule.now + world.choice.uniform(1, 60)
    world.see("no database", world.away_until)


def _lose_cloud(world: World) -> None:
    world.cloud_away_until = world.schedule.now + world.choice.uniform(1, 100)
    world.see("no cloud", world.cloud_away_until)


def _calm(world: World) -> None:
    """End the faults; their consequences stay."""
    world.quiet = True
    world.away_until = world.cloud_away_until = 0.0
    for process in world.processes.values():
        process.steps_left = None
        if process.frozen is not None:
            world.thaw(process, 0.0)
    world.see("quiet")


def _rests(world: World) -> bool:
    if world.history.open_posts():
        return False
    rows = checker.Rows.read(world.store.rows)
    return not checker.waits(rows) and not checker.left_disabled(rows, _hosts(world))


def _hosts(world: World) -> list[checker.Host]:
    servers = [server.host for server in world.network.inner.servers()]
    return [
        checker.Host(host.hostname, host.disabled_reason, servers.count(host.hostname))
        for host in world.network.inner.hosts()
    ]
