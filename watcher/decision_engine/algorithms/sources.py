# SPDX-License-Identifier: Apache-2.0
"""The servers that a step examines if there are too many to examine all of them."""

import numpy as np

from watcher.decision_engine.algorithms.loads import Loads
from watcher.model.types import Bools, Floats, Ints

ALL = 4_000
"""Up to this number of servers, a step examines all."""

LOOKED_AT = 32
"""The number of hosts whose servers are examined otherwise."""


class LikelySources:
    """The hosts from which a move is likely to gain most, and the servers on them.

    A move of load s from a host at a to one at b lowers the squares of the loads by about 2
    s (a - b), so hosts are compared by their load times the largest share that can leave
    them.
    """

    def __init__(self, loads: Loads) -> None:
        whatif = loads.whatif
        self._loads = loads
        self._all = np.flatnonzero(whatif.leavers)
        self._small = len(self._all) <= ALL
        if self._small:
            return
        on = whatif.placement[self._all]
        self._largest: Floats = np.zeros(loads.load.shape)
        np.maximum.at(self._largest.T, on, loads.share[:, self._all].T)
        kinds = whatif.kinds_for(0).shape[0]
        self._kinds: Bools = np.zeros((kinds, len(whatif.takers)), dtype=np.bool_)
        self._kinds[whatif.kind[self._all], on] = True
        self._left: dict[int, Ints] = {}
        """The servers that may leave a host, of those that were looked at."""

    def looked_at(self, taker: int, slope: Floats) -> Ints:
        """Indices of servers whose move to *taker* may gain most; *slope* is how much a move
        off each host is worth."""
        if self._small:
            return self._all
        whatif = self._loads.whatif
        worth = (slope - slope[taker]) * self._largest.sum(axis=0)
        worth[~self._kinds[whatif.kinds_for(taker)].any(axis=0)] = -np.inf
        hosts = np.argpartition(-worth, min(LOOKED_AT, len(worth) - 1))[:LOOKED_AT]
        return np.concatenate([self._on(host) for host in np.sort(hosts).tolist()])

    def update(self, host: int) -> None:
        """Update the shares after a server has left *host*."""
        if not self._small:
            self._left.pop(host, None)
            left = self._loads.share[:, self._on(host)]
            self._largest[:, host] = left.max(axis=1, initial=0.0)

    def _on(self, host: int) -> Ints:
        if host not in self._left:
            self._left[host] = self._loads.whatif.leavers_on(host)
        return self._left[host]
