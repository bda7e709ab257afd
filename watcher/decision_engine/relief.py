# SPDX-License-Identifier: Apache-2.0
"""Bringing hosts below a limit of their load by moving servers off them."""

import itertools
from collections.abc import Iterator

import numpy as np

from watcher.decision_engine.loads import Loads
from watcher.decision_engine.model.types import Floats
from watcher.decision_engine.search import Dice, plan
from watcher.decision_engine.whatif import Move

AT_THE_LIMIT = 1e-6
"""What a host that is exactly at the limit counts as: it has to be relieved, too."""


def relieve(loads: Loads) -> list[Move]:
    """Move servers until no host's load, of one metric, is at the limit or beyond.

    Exact on a small cluster.  On others the host with the most load is relieved first,
    with one server if one is enough: the one whose departure brings it nearest to the
    average of all hosts; otherwise with the largest that some host can take.  A server
    goes to the host with the least load of those that can take it.  That relieves what
    can be relieved only as a rule: whether it can is a question as hard as packing.
    """
    return plan(loads, lambda: _distance(loads), lambda dice: _descend(loads, dice))


def _descend(loads: Loads, dice: Dice) -> None:
    made = -1
    while made < len(loads.whatif.moves):  # a host that was relieved may take servers
        made = len(loads.whatif.moves)
        _relieve_each(loads, dice)


def _relieve_each(loads: Loads, dice: Dice) -> None:
    hopeless: set[int] = set()
    while (hot := _hottest(loads, hopeless)) is not None:
        steps = list(itertools.islice(_steps(loads, hot), dice.sides))
        if steps:
            loads.move(*steps[dice.pick(len(steps))])
        else:
            hopeless.add(hot)


def _distance(loads: Loads) -> tuple[float, float]:
    """By how much hosts are over the limit, in all; then how uneven the loads are."""
    load = loads.load[0, loads.hosts]
    over = load[load >= loads.limit] - loads.limit
    return float((over + AT_THE_LIMIT).sum()), float((load**2).sum())


def _hottest(loads: Loads, hopeless: set[int]) -> int | None:
    """The host that is most over the limit."""
    load = np.where(loads.hosts, loads.load[0], -np.inf)
    load[list(hopeless)] = -np.inf
    host = int(load.argmax()) if len(load) else None
    return None if host is None or load[host] < loads.limit else host


def _steps(loads: Loads, hot: int) -> Iterator[tuple[int, int]]:
    """(server, destination) of moves that relieve *hot*, the preferred one first."""
    whatif, load = loads.whatif, loads.load[0]
    servers = np.flatnonzero(whatif.leavers & (whatif.placement == hot) & (loads.share[0] > 0))
    after: Floats = load[hot] - loads.share[0, servers]
    off_average = np.abs(after - load[loads.hosts].mean())
    enough = after < loads.limit
    for number in np.lexsort((np.where(enough, off_average, after), ~enough)):
        server = int(servers[number])
        fits = loads.hosts_for(server)
        if fits.any():
            yield server, int(np.where(fits, load, np.inf).argmin())
