# SPDX-License-Identifier: Apache-2.0
"""Evening out the load of hosts by moving servers: arithmetic on arrays.

Shapes: M metrics, R resources, N hosts that take part, C servers that may move.
The metric or resource comes first, so that what is summed over lies together.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Bools, Floats, Ints

MARGIN = 0.99
"""Balancing goes on to this share of a threshold, or else the next small change of load
would put the cluster over it again."""

LEAST_GAIN = 1e-7
"""A move must lower the weighted deviation by more than this: far above the rounding
errors of the sums, far below what a useful move gains."""

Values = Sequence[Sequence[float | None]]


@dataclasses.dataclass(frozen=True)
class Move:
    """Server and destination, as indices in the model."""

    server: int
    destination: int


@dataclasses.dataclass(frozen=True)
class _Crowd:
    """The servers that may move, those of one host in a row."""

    servers: Ints
    """[C] indices in the model"""
    use: Floats
    """[M, C] in the unit of the hosts' sizes"""
    demand: Floats
    """[R, C]"""
    source: Ints
    """[C] index of the host among those that take part"""
    share: Floats
    """[M, C] the server's part of its host's load"""
    around: Floats
    """[M, C] the load of its host"""
    waiting: Bools
    """[C] not moved yet"""


class Balance:
    """The loads of a cluster's hosts, and the moves that even them out.

    For each metric *use* and *size* of every host of *model* are given, in one unit
    ([M, H], None where unknown), the *threshold* of the standard deviation of
    load = use / size, and the *weight* of it in the sum that is minimised.

    Hosts that are not available, or that lack a value, take no part.
    """

    def __init__(
        self,
        model: ComputeModel,
        use: Values,
        size: Values,
        thresholds: Sequence[float],
        weights: Sequence[float],
    ) -> None:
        self._model = model
        with np.errstate(divide="ignore", invalid="ignore"):
            load = _array(use) / _array(size)
        (self.hosts,) = np.nonzero(model.available & np.isfinite(load).all(axis=0))
        """int [N]: indices in the model"""
        self._load, self._size = load[:, self.hosts], _array(size)[:, self.hosts]
        self._free = (model.capacity - model.used())[self.hosts].T.copy()
        self._thresholds, self._weights = _array(thresholds), _array(weights)

    def deviations(self) -> Floats:
        """float [M]: the population standard deviation of the hosts' loads."""
        return self._load.std(axis=1) if len(self.hosts) else np.zeros(len(self._load))

    def exceeded(self) -> Bools:
        """bool [M]: the metrics that deviate by more than their threshold."""
        return self.deviations() > self._thresholds

    def candidates(self) -> Ints:
        """int [C]: indices of the servers that may move, host by host."""
        model = self._model
        fit = np.array([server.migratable for server in model.servers], dtype=np.bool_)
        (servers,) = np.nonzero(fit & model.movable & np.isin(model.placement, self.hosts))
        return servers[np.argsort(model.placement[servers], kind="stable")]

    def run(self, candidates: Ints, use: Values) -> list[Move]:
        """Move *candidates* until no deviation is over its threshold, or no move is a gain.

        *use* [M, C] is what each of them takes of its host.  A server moves once at
        most, to a host that has room for it at that point of the list, and every
        move lowers the weighted deviation.  Afterwards ``deviations`` are the new ones.
        """
        crowd = self._crowd(candidates, _array(use))
        takers = np.ones(len(self.hosts), dtype=np.bool_)
        moves: list[Move] = []
        while takers.any() and (self.deviations() > MARGIN * self._thresholds).any():
            coldest = self._coldest(takers)
            server = self._best_server(crowd, coldest)
            if server is None:
                takers[coldest] = False
                continue
            host = self._best_host(crowd, server)
            takers[crowd.source[server]] = True  # it has more room now
            self._make(crowd, server, host)
            moves.append(Move(int(crowd.servers[server]), int(self.hosts[host])))
        return moves

    def _crowd(self, candidates: Ints, use: Floats) -> _Crowd:
        known = np.isfinite(use).all(axis=0)
        servers, use = candidates[known], use[:, known]
        source = np.searchsorted(self.hosts, self._model.placement[servers])
        return _Crowd(
            servers=servers,
            use=use,
            demand=self._model.demand[servers].T.copy(),
            source=source,
            share=use / self._size[:, source],
            around=self._load[:, source],
            waiting=np.ones(len(servers), dtype=np.bool_),
        )

    def _coldest(self, takers: Bools) -> int:
        """The one of *takers* on which a little more load helps the most."""
        deviations = self.deviations()[:, None]
        above = self._load - self._load.mean(axis=1, keepdims=True)
        slope = np.divide(above, deviations, out=np.zeros_like(above), where=deviations > 0)
        return int(np.argmin(np.where(takers, self._weights @ slope, np.inf)))

    def _best_server(self, crowd: _Crowd, host: int) -> int | None:
        """The server that gains most by a move to *host*; None if none gains."""
        after = self._after(
            crowd.share,
            crowd.around,
            crowd.use / self._size[:, host, None],
            self._load[:, host, None],
        )
        fits = np.logical_and.reduce(crowd.demand <= self._free[:, host, None])
        after[~(fits & crowd.waiting & (crowd.source != host))] = np.inf
        best = int(np.argmin(after)) if len(after) else None
        if best is None or after[best] > self._weights @ self.deviations() - LEAST_GAIN:
            return None
        return best

    def _best_host(self, crowd: _Crowd, server: int) -> int:
        """The host to which a move of *server* gains most."""
        after = self._after(
            crowd.share[:, server, None],
            crowd.around[:, server, None],
            crowd.use[:, server, None] / self._size,
            self._load,
        )
        fits = np.logical_and.reduce(crowd.demand[:, server, None] <= self._free)
        fits[crowd.source[server]] = False
        after[~fits] = np.inf
        return int(np.argmin(after))

    def _after(self, share: Floats, around: Floats, new: Floats, there: Floats) -> Floats:
        """float [n]: the weighted deviation after each of n moves.

        All are [M, n] or broadcast to it: a server's *share* of a host of load
        *around* goes, and becomes *new* on a host of load *there*.
        """
        n = len(self.hosts)
        total = self._load.sum(axis=1, keepdims=True) - share + new
        squares = (self._load**2).sum(axis=1, keepdims=True)
        squares = squares + share * (share - 2 * around) + new * (new + 2 * there)
        variance = squares / n - (total / n) ** 2
        deviation: Floats = self._weights @ np.sqrt(np.maximum(variance, 0))
        return deviation

    def _make(self, crowd: _Crowd, server: int, host: int) -> None:
        source = crowd.source[server]
        self._load[:, source] -= crowd.share[:, server]
        self._load[:, host] += crowd.use[:, server] / self._size[:, host]
        self._free[:, source] += crowd.demand[:, server]
        self._free[:, host] -= crowd.demand[:, server]
        crowd.waiting[server] = False
        for changed in (source, host):
            first, last = np.searchsorted(crowd.source, (changed, changed + 1))
            crowd.around[:, first:last] = self._load[:, changed, None]


def _array(values: Values | Sequence[float] | Floats) -> Floats:
    """None becomes NaN."""
    return np.array(values, dtype=np.float64)
