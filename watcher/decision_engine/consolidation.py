# SPDX-License-Identifier: Apache-2.0
"""Emptying hosts by moving their servers to others: arithmetic on arrays."""

from collections.abc import Iterator, Sequence

import numpy as np

from watcher.decision_engine.model.compute import ComputeModel
from watcher.decision_engine.model.types import Floats, Ints

Moves = Sequence[tuple[int, int]]
"""(server, destination), as indices in the model."""


def releases(
    model: ComputeModel,
    host_loads: Sequence[float],
    server_loads: Sequence[float],
    movable: Sequence[bool],
) -> Iterator[tuple[int, Moves]]:
    """Each occupied host that is up, the idlest first, with the moves that empty it.

    *host_loads* [H] and *server_loads* [V] are what is sorted by; *movable* [V] says
    which servers may leave.  The moves are all that the host needs, or none when it
    cannot be emptied: a host that keeps one server is no gain.  Servers go, the
    busiest first, to the busiest available host with room.  A host that took servers
    stays, so no server moves twice; a host that was emptied takes none.
    """
    servers: list[list[int]] = [[] for _ in model.hosts]
    for server in _ascending(server_loads)[::-1]:
        servers[model.placement[server]].append(server)
    occupied = [host for host in _ascending(host_loads) if servers[host]]
    room = _Room(model, [host for host in occupied[::-1] if model.hosts[host].available])
    took: set[int] = set()
    for host in occupied:
        if model.hosts[host].state != "up":
            continue
        moves: Moves = ()
        if host not in took and all(movable[server] for server in servers[host]):
            moves = room.place(host, servers[host])
            took.update(destination for _, destination in moves)
        yield host, moves


class _Room:
    """What is free on the hosts that take servers, the preferred one first."""

    def __init__(self, model: ComputeModel, takers: Sequence[int]) -> None:
        self._demand = model.demand
        self._takers: Ints = np.array(takers, dtype=np.int64)
        self._free: Floats = (model.capacity - model.used())[self._takers].T.copy()

    def place(self, host: int, servers: Sequence[int]) -> Moves:
        """Move all *servers* off *host*, which is closed then, or none of them."""
        free, moves = self._free.copy(), []
        free[:, self._takers == host] = -np.inf
        for server in servers:
            demand = self._demand[server]
            fits = np.logical_and.reduce(free >= demand[:, None])
            if not fits.any():
                return ()
            taker = int(fits.argmax())
            free[:, taker] -= demand
            moves.append((server, int(self._takers[taker])))
        self._free = free
        return moves


def _ascending(values: Sequence[float]) -> list[int]:
    """Indices of *values*, the least first."""
    order: list[int] = np.argsort(values, kind="stable").tolist()
    return order
