# SPDX-License-Identifier: Apache-2.0
"""The faults of one seed, and their number."""

import dataclasses
import random
from collections.abc import Callable
from typing import Any


def _drawn(draw: Callable[[random.Random], Any]) -> Any:
    return dataclasses.field(metadata={"draw": draw})


def _one_of(*values: float) -> Any:
    return _drawn(lambda choice: choice.choice(values))


def _likely(probability: float) -> Any:
    return _drawn(lambda choice: choice.random() < probability)


@dataclasses.dataclass(frozen=True)
class Trouble:
    active: float = _drawn(lambda choice: choice.uniform(100, 400))
    """Seconds until the last fault."""
    ahead: float = _one_of(0.0, 0.02, 0.02, 2.0, 600.0)
    """Seconds that clocks are ahead of the true time or behind it, at most."""
    clock_changes: int = _one_of(0, 0, 0, 2)
    """Clocks that are set while they run."""
    set_back: bool = _likely(0.2)
    """Whether the clocks of all nodes are set back by an hour once."""
    serial: bool = _likely(0.3)
    """Whether transactions are as on SQLite, and not as on a server."""
    engines: int = _one_of(1, 2, 2, 3)
    alarms: int = _drawn(lambda choice: choice.randrange(1, 12))
    deaths: int = _one_of(0, 1, 3, 6)
    stops: int = _one_of(0, 0, 1, 2)
    freezes: int = _one_of(0, 1, 1, 3)
    """Processes that stand still for a while."""
    hangs: int = _one_of(0, 1, 3)
    """Single threads that stand still for a while."""
    outages: int = _one_of(0, 0, 1)
    """Outages of the database."""
    cloud_outages: int = _one_of(0, 0, 1)
    users: int = _one_of(0, 0, 2, 4)
    """The number of changes that users make to audits and plans."""
    change: float = _one_of(0.05, 0.3, 0.7)
    """Probability that other tasks run after a step."""
    longest_step: float = _one_of(3.0, 3.0, 10.0)
    """The most seconds for which they do."""
    deadlock: float = _one_of(0.0, 0.0, 0.02)
    lock_wait: float = _one_of(0.0, 0.0, 0.02)
    """Probability that a transaction waits too long for a lock when it begins to write."""
    lost_answer: float = _one_of(0.0, 0.0, 0.02)
    """Probability that a commit, or a call of the cloud, has its effect but seems to fail."""
    unavailable: float = _one_of(0.0, 0.0, 0.05)
    """Probability that a call of the cloud fails."""
    drop: float = _one_of(0.0, 0.3, 0.8)
    """Probability that a doorbell is lost."""
    twice: float = _one_of(0.0, 0.5, 1.0, 1.0)
    """Probability that two processes hear a doorbell."""
    rings: int = _one_of(0, 6)
    """Times at which all processes look for rows at once, as if a broker had come back."""
    poll: int = _one_of(60, 20, 5)
    """Seconds between two looks for runs or plans."""
    long_run: float = _one_of(0.0, 0.0, 0.1)
    """Probability that a run takes longer than it may."""
    slow: bool = _likely(0.4)
    """Whether runs and migrations may take longer than a claim holds without a heartbeat."""
    max_recorded: int = _one_of(2, 60)
    max_attempts: int = _one_of(1000, 1000, 1, 2)
    """Processes that may die over the same run or plan."""
    continuous: bool = _likely(0.3)
    """Whether there is a CONTINUOUS audit beside those for events."""
    rollback: bool = _likely(0.3)
    """Whether plans that fail are rolled back."""

    @classmethod
    def of(cls, choice: random.Random) -> "Trouble":
        fields = dataclasses.fields(cls)
        return cls(**{field.name: field.metadata["draw"](choice) for field in fields})
