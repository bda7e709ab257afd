# SPDX-License-Identifier: Apache-2.0
"""The faults of one seed, and their number."""

import dataclasses
import random


@dataclasses.dataclass(frozen=True)
class Trouble:
    active: float
    """Seconds until the last fault."""
    ahead: float
    """Seconds that clocks are ahead of the true time or behind it, at most."""
    clock_changes: int
    """Clocks that are set while they run."""
    serial: bool
    """Whether transactions are as on SQLite, and not as on a server."""
    engines: int
    alarms: int
    deaths: int
    stops: int
    freezes: int
    """Processes that stand still for a while."""
    outages: int
    """Of the database."""
    cloud_outages: int
    users: int
    """The number of changes that users make to audits and plans."""
    change: float
    """Probability that a step lets others go on."""
    longest_step: float
    """Seconds for which it does so, at most."""
    deadlock: float
    lost_answer: float
    """Probability that a commit, or a call of the cloud, has its effect but seems to fail."""
    unavailable: float
    """Probability that a call of the cloud fails."""
    drop: float
    """Probability that a doorbell is lost."""
    twice: float
    """Probability that two processes hear a doorbell."""
    poll: int
    """Seconds between two looks of an applier for plans."""
    long_run: float
    """Probability that a run takes longer than it may."""
    slow: bool
    """Whether runs and migrations may take longer than a claim holds without a heartbeat."""
    max_recorded: int
    continuous: bool
    """Whether there is a CONTINUOUS audit beside those for events."""
    rollback: bool
    """Whether plans that fail are rolled back."""

    @classmethod
    def of(cls, choice: random.Random) -> "Trouble":
        return cls(
            active=choice.uniform(100, 400),
            ahead=choice.choice((0.0, 0.02, 0.02, 2.0, 600.0)),
            clock_changes=choice.choice((0, 0, 0, 2)),
            serial=choice.random() < 0.3,
            engines=choice.choice((2, 2, 3)),
            alarms=choice.randrange(1, 12),
            deaths=choice.choice((0, 1, 3, 6)),
            stops=choice.choice((0, 0, 1, 2)),
            freezes=choice.choice((0, 1, 1, 3)),
            outages=choice.choice((0, 0, 1)),
            cloud_outages=choice.choice((0, 0, 1)),
            users=choice.choice((0, 0, 2, 4)),
            change=choice.choice((0.05, 0.3, 0.7)),
            longest_step=choice.choice((3.0, 3.0, 10.0)),
            deadlock=choice.choice((0.0, 0.0, 0.02)),
            lost_answer=choice.choice((0.0, 0.0, 0.02)),
            unavailable=choice.choice((0.0, 0.0, 0.05)),
            drop=choice.choice((0.0, 0.3, 0.8)),
            twice=choice.choice((0.0, 0.5, 1.0, 1.0)),
            poll=choice.choice((60, 20)),
            long_run=choice.choice((0.0, 0.0, 0.1)),
            slow=choice.random() < 0.4,
            max_recorded=choice.choice((2, 60)),
            continuous=choice.random() < 0.3,
            rollback=choice.random() < 0.3,
        )
