# SPDX-License-Identifier: Apache-2.0
"""An adversary: loads that should make Watcher move servers without end.

Squares, sinusoids and storms of any period, for any part of the servers, while alarms are
raised for no reason.  Whatever they do, the bounds of ``[optimization]`` have to hold.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from . import inventory
from .additions import remembering
from .audits import PARAMETERS, Audit, Engine
from .demand import DAY, Given, Shares
from .world import Move, World

HOSTS, SERVERS = 4, 52
HOUR = 60

GIB_PER_HOUR = 25
"""Less than a tenth of the memory of all servers, so that the adversary reaches the limit."""

MOST_MOVES = 1
"""The most moves of a server within an hour: the default."""


class Wave(NamedTuple):
    """The load of some of the servers."""

    shape: str
    period: int
    """Minutes."""
    phase: float
    low: float
    high: float
    first: int
    """The index of the one of each *step* servers that takes part."""
    step: int


class Attack(NamedTuple):
    """All that the adversary decides."""

    strategy: str
    source: str
    seed: int
    alarms: int
    """Minutes from one alarm to the next, whatever the load is."""
    waves: Sequence[Wave]


SHAPES = ("square", "sinusoid", "storm")

waves = st.builds(
    Wave,
    shape=st.sampled_from(SHAPES),
    period=st.integers(2, 2 * DAY),
    phase=st.floats(0, 1),
    low=st.floats(0, 0.5),
    high=st.floats(0.5, 1),
    first=st.integers(0, 7),
    step=st.integers(1, 8),
)

attacks = st.builds(
    Attack,
    strategy=st.sampled_from(sorted(PARAMETERS)),
    source=st.sampled_from(("gnocchi", "prometheus")),
    seed=st.integers(0, 2**16),
    alarms=st.integers(1, 20),
    waves=st.lists(waves, min_size=1, max_size=6),
)


def withstand(days: int, number: int = 0, minutes: int = DAY) -> int:
    """Simulate *days* of *minutes* each.  Returns the number of moves that were made.

    Another *number* gives other days.

    AssertionError with the attack that broke a bound.
    """
    moves = 0

    @seed(number)
    @settings(
        max_examples=days,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(attacks)
    def attacked(attack: Attack) -> None:
        nonlocal moves
        made = _live(attack, minutes)
        found = list(broken(made))
        assert not found, "; ".join(found)
        moves += len(made.history)

    attacked()
    return moves


def broken(world: World) -> Iterator[str]:
    """The bounds that did not hold, in words."""
    made = [move for move in world.history if move.by_watcher]
    for server, moves in _by_server(made).items():
        ends = [move.ended for move in moves]
        if any(later - end < HOUR for end, later in zip(ends, ends[MOST_MOVES:], strict=False)):
            yield f"server {server} was moved more than {MOST_MOVES} times within an hour: {ends}"
    memory = world.inventory.demand[:, 1] / 1024
    for number, move in enumerate(made):
        within = [each for each in made[number:] if each.ended - move.ended < HOUR]
        copied = sum(memory[each.server] for each in within)
        if copied > GIB_PER_HOUR:
            yield f"{copied:g} GiB were copied in the hour from {move.ended:g} on"
    if world.tally.result().back:
        yield "a server came back within an hour"


def _by_server(moves: Sequence[Move]) -> dict[int, list[Move]]:
    found: dict[int, list[Move]] = defaultdict(list)
    for move in moves:
        if move.succeeded:
            found[move.server].append(move)
    return found


def _live(attack: Attack, minutes: int) -> World:
    draw = np.random.default_rng(attack.seed)
    there = inventory.make(HOSTS, SERVERS, draw)
    world = World(there, Given(_demand(attack, minutes)), attack.source, attack.seed)
    engine = Engine.of(attack.strategy, max_gib_per_hour=GIB_PER_HOUR, max_moves_per_server=1)
    audit = Audit(world, engine, None, remembering, alarm=lambda it: it.now % attack.alarms == 0)
    while world.now < minutes:
        world.step()
        audit.act()
    return world


def _demand(attack: Attack, minutes: int) -> Shares:
    """float32 [minutes, V]: the waves, one over the other."""
    moments = np.arange(minutes)
    shares = np.full((minutes, SERVERS), 0.2, dtype=np.float32)
    for number, wave in enumerate(attack.waves):
        part = (moments / wave.period + wave.phase) % 1
        if wave.shape == "sinusoid":
            height = (1 + np.sin(2 * np.pi * part)) / 2
        elif wave.shape == "square":
            height = np.where(part < 0.5, 1.0, 0.0)
        else:  # at random in some periods
            draw = np.random.default_rng((attack.seed, number))
            height = draw.random(minutes // wave.period + 2)[
                (moments / wave.period + wave.phase).astype(np.int64)
            ].round()
        column = (wave.low + (wave.high - wave.low) * height).astype(np.float32)
        shares[:, wave.first :: wave.step] = column[:, None]
    return shares
