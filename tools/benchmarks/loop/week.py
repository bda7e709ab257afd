# SPDX-License-Identifier: Apache-2.0
"""Policies side by side, on the same cloud with the same demand."""

import dataclasses
import functools
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol

import numpy as np

from . import additions, inventory
from .audits import INTERVAL, Audit, Engine
from .demand import Week
from .oracle import Oracle
from .tally import Result
from .world import World


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a virtual cloud, and the days that it runs."""

    hosts: int
    servers: int
    days: int


WEEK, QUICK = Size(200, 4000, 7), Size(20, 400, 1)

NOTHING, CONTINUOUS, EVENT = "nothing", "CONTINUOUS", "EVENT"
REMEMBERING = "EVENT, remembers"
AT_ALARMS, ORACLE = "foresight at alarms", "foresight"

POLICIES = (NOTHING, CONTINUOUS, EVENT, REMEMBERING, AT_ALARMS, ORACLE)


@dataclasses.dataclass(frozen=True)
class Case:
    """One policy in one world."""

    policy: str
    seed: int
    size: Size
    source: str
    """The source of metrics: gnocchi or prometheus."""
    strategy: str


class Policy(Protocol):
    def act(self) -> None:
        """Do the work of the policy at the end of each minute."""


def world(case: Case) -> World:
    """The world, which is the same for each policy."""
    draw = np.random.default_rng(case.seed)
    size = case.size
    return World(
        inventory.make(size.hosts, size.servers, draw),
        Week(size.servers, size.days, draw),
        case.source,
        case.seed,
    )


def policy(name: str, there: World, strategy: str) -> Policy | None:
    """The policy of that name; None for the one that does nothing."""
    if name == NOTHING:
        return None
    if name in (AT_ALARMS, ORACLE):
        return Oracle(there, Engine.of("workload_balance"), at_alarms=name == AT_ALARMS)
    interval = INTERVAL if name == CONTINUOUS else None
    added = additions.remembering if name == REMEMBERING else None
    return Audit(there, Engine.of(strategy), interval, added)


def live(case: Case) -> Result:
    """Simulate all minutes of a world."""
    there = world(case)
    acts = policy(case.policy, there, case.strategy)
    while there.now < there.demand.minutes:
        there.step()
        if acts is not None:
            acts.act()
    return there.tally.result()


def compare(cases: Sequence[Case], processes: int) -> list[Result]:
    """The result of each case; those that take longest should come first."""
    if processes == 1:
        return [live(case) for case in cases]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(live, cases))


def mean(results: Sequence[Result]) -> Result:
    """The mean of the results of one policy with several seeds."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(Result):
        values = np.array([getattr(each, field.name) for each in results], dtype=np.float64)
        fields[field.name] = functools.reduce(np.add, values) / len(values)
        fields[field.name] = fields[field.name].tolist()
    return Result(**fields)
