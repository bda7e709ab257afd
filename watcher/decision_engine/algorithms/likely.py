# SPDX-License-Identifier: Apache-2.0
"""The hosts and servers that a step examines if there are too many to examine all of them."""

from collections.abc import Callable, Hashable

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.model.types import Bools, Floats, Ints

ALL = 4_000
"""Up to this number of servers, a step examines all."""

LOOKED_AT = 32
"""The number of hosts whose servers are examined otherwise."""

HOSTS, STEPS = 256, 64
"""The number of source hosts, and of destinations; the number of steps until both are chosen
again."""


class LikelyMoves:
    """The hosts between which a move is likely to gain most, and the servers on them.

    A move of load s from a host at a to one at b lowers the squares of the loads by about 2
    s (a - b), so hosts are compared by their load times the largest share that can leave
    them.  A few steps change little of that, so not every step compares all hosts.
    """

    def __init__(self, loads: Loads) -> None:
        whatif = loads.whatif
        self._loads, self._rules = loads, whatif.model.rules
        self._all = np.flatnonzero(whatif.leavers)
        self._small = len(self._all) <= ALL
        if self._small:
            return
        on = whatif.placement[self._all]
        largest = np.zeros(loads.load.shape)
        np.maximum.at(largest.T, on, loads.share[:, self._all].T)
        self._largest: Floats = largest.sum(axis=0)
        self._kinds: Bools = np.zeros(self._rules.allowed.shape, dtype=np.bool_)
        self._kinds[self._rules.kind[self._all], on] = True
        self._chosen: dict[Hashable, tuple[int, Ints]] = {}
        """The chosen hosts, and for how many more steps they are."""
        self._left: dict[int, Ints] = {}
        """The servers that may leave a host, of those that were looked at."""

    def servers(self, taker: int, slope: Floats) -> Ints:
        """Indices of servers whose move to *taker* may gain most; *slope* [H] is how much a move
        off each host is worth."""
        if self._small:
            return self._all

        def worth(hosts: Ints) -> Floats:
            return (slope[hosts] - slope[taker]) * self._largest[hosts]

        kinds = self._rules.allowed[:, taker]
        hosts = self._likely(
            kinds.tobytes(), lambda: self._kinds[kinds].max(axis=0, initial=False), worth
        )
        chosen = _best(hosts, worth, LOOKED_AT).tolist()
        return np.concatenate([self._all[:0], *map(self._on, chosen)])

    def hosts(self, server: int, taker: int, slope: Floats) -> Ints:
        """Indices of hosts to which a move of *server* may gain most, *taker* among them; all if
        the wish of its group may need another."""
        whatif = self._loads.whatif
        if self._small or whatif.has_wish(server):
            return np.arange(len(slope))
        kind = int(self._rules.kind[server])
        hosts = self._likely(
            kind, lambda: whatif.takers & self._rules.allowed[kind], lambda hosts: -slope[hosts]
        )
        return np.append(hosts, taker)

    def server_left(self, host: int) -> None:
        """Update the shares after a server has left *host*."""
        if not self._small:
            self._left.pop(host, None)
            left = self._loads.share[:, self._on(host)]
            self._largest[host] = left.max(axis=1, initial=0.0).sum()

    def _likely(
        self, key: Hashable, possible: Callable[[], Bools], worth: Callable[[Ints], Floats]
    ) -> Ints:
        """The best of the *possible* hosts, now or a few steps ago."""
        steps, hosts = self._chosen.get(key, (0, self._all))
        if not steps:
            steps, hosts = STEPS, _best(np.flatnonzero(possible()), worth, HOSTS)
        self._chosen[key] = steps - 1, hosts
        return hosts

    def _on(self, host: int) -> Ints:
        if host not in self._left:
            self._left[host] = self._loads.whatif.leavers_on(host)
        return self._left[host]


def _best(hosts: Ints, worth: Callable[[Ints], Floats], count: int) -> Ints:
    """The *count* hosts with most worth, in order."""
    if len(hosts) <= count:
        return hosts
    return np.sort(hosts[np.argpartition(-worth(hosts), count)[:count]])
