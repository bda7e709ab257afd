# SPDX-License-Identifier: Apache-2.0
"""The best plans for small clusters, found by going through all of them with bounds."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from watcher.model.compute import MEMORY, ComputeModel
from watcher.model.types import Bools, Floats, Ints

STATES = 400_000
"""The most partial plans that are kept for one length and one number of decided servers."""

STEPS = 60_000
"""The most placements of a server on a host that are tried to find out whether all fit."""


class Moves(NamedTuple):
    moves: int
    memory_mb: float
    """The least that so many moves copy."""


class Hosts(NamedTuple):
    hosts: int
    moves: int


def fewest_moves(model: ComputeModel, share: Floats, threshold: float) -> Moves | None:
    """To bring the standard deviations of the loads of hosts of one size to *threshold*.

    *share* [M, V] is what each server adds to the load of a host.  None if it takes too long.
    """
    order = np.argsort(-share[0], kind="stable")
    for count in range(len(order) + 1):
        ends = _ends(model, share, threshold, order, count)
        if ends is None or len(ends):
            return ends if ends is None else Moves(count, float(_memory(model, ends).min()))
    return None


def _memory(model: ComputeModel, ends: Ints) -> Floats:
    total: Floats = ((ends != model.placement) * model.demand[:, MEMORY]).sum(axis=1)
    return total


def _ends(
    model: ComputeModel, share: Floats, threshold: float, order: Ints, count: int
) -> Ints | None:
    """int [N, V]: all placements within the capacities that at most *count* moves lead to.

    Decides server by server, the busiest first.  Drops a placement if the remaining moves could not
    reach the threshold even with divisible servers.
    """
    hosts = len(model.hosts)
    load = np.zeros((1, len(share), hosts))
    np.add.at(load[0].T, model.placement, share.T)
    place, left = model.placement[None].copy(), np.array([count])
    for position, server in enumerate(order):
        home = int(model.placement[server])
        places, loads, lefts = [place], [load], [left]
        able = left > 0
        for host in range(hosts):
            if host != home and able.any():
                moved, shifted = place[able].copy(), load[able].copy()
                moved[:, server] = host
                shifted[:, :, home] -= share[:, server]
                shifted[:, :, host] += share[:, server]
                places.append(moved)
                loads.append(shifted)
                lefts.append(left[able] - 1)
        place, load, left = (np.concatenate(each) for each in (places, loads, lefts))
        rest = share[:, order[position + 1 :]]
        kept = _reachable(load, left, rest, hosts * (threshold + 1e-9) ** 2)
        place, load, left = place[kept], load[kept], left[kept]
        if len(place) > STATES:
            return None
    return place[_within_capacity(model, place)]


def _reachable(load: Floats, left: Ints, rest: Floats, most: float) -> Bools:
    """bool [N]: whether the sums of squares can become *most* by moving that much."""
    kept = np.ones(len(load), dtype=np.bool_)
    for metric, shares in enumerate(rest):
        volumes = np.concatenate(([0.0], np.cumsum(np.sort(shares)[::-1])))
        volume = volumes[np.minimum(left, len(shares))]
        kept &= _levelled(load[:, metric], volume) <= most
    return kept


def _levelled(load: Floats, volume: Floats) -> Floats:
    """float [N]: the least sum of squared distances from the mean when *volume* moves."""
    mean = load.mean(axis=1, keepdims=True)
    total: Floats = np.zeros(len(load))
    for off in (load - mean, mean - load):
        high = -np.sort(-off, axis=1)
        number = np.arange(1, high.shape[1] + 1)
        level = np.maximum((np.cumsum(high, axis=1) - volume[:, None]) / number, 0)
        # The highest of these levels is the one to which the volume brings the highest.
        top = level.max(axis=1, keepdims=True)
        total += (np.minimum(np.maximum(off, 0), top) ** 2).sum(axis=1)
    return total


def _within_capacity(model: ComputeModel, placements: Ints) -> Bools:
    kept = np.ones(len(placements), dtype=np.bool_)
    for host in range(len(model.hosts)):
        used = (placements == host).astype(np.float64) @ model.demand
        kept &= (used <= model.capacity[host]).all(axis=1)
    return kept


def fewest_hosts(model: ComputeModel, use: Floats, room: Floats) -> Hosts | None:
    """The most hosts that can be emptied, all servers of each, by the fewest moves.

    *use* [V, 1] and *room* [H, 1] of a measured resource limit that, too.  None if it takes too
    long.
    """
    demand, capacity = np.hstack((model.demand, use)), model.capacity
    free = np.hstack((np.maximum(model.free(), 0), np.maximum(room, 0)))
    occupied = np.bincount(model.placement, minlength=len(capacity))
    candidates = np.flatnonzero(occupied).tolist()
    for count in range(len(candidates), 0, -1):
        chosen = sorted(
            itertools.combinations(candidates, count), key=lambda each: occupied[list(each)].sum()
        )
        for hosts in chosen:
            steps = itertools.repeat(None, STEPS)
            kept = np.setdiff1d(np.arange(len(capacity)), hosts)
            servers = np.flatnonzero(np.isin(model.placement, hosts))
            if (demand[servers].sum(axis=0) > free[kept].sum(axis=0)).any():
                continue
            sizes = (demand[servers] / np.maximum(demand.max(axis=0), 1)).max(axis=1)
            items = demand[servers[np.argsort(-sizes)]]
            fits = _fit(items, free[kept], steps)
            if fits is None:
                return None
            if fits:
                return Hosts(count, len(servers))
    return Hosts(0, 0)


def _fit(items: Floats, free: Floats, steps: Iterator[None]) -> bool | None:
    """Whether all *items* fit into what is *free*; None if that takes too many *steps*."""
    if not len(items):
        return True
    if (items.sum(axis=0) > free.sum(axis=0)).any():
        return False
    tried: set[tuple[float, ...]] = set()
    for host in np.flatnonzero((items[0] <= free).all(axis=1)).tolist():
        if tuple(free[host]) in tried:
            continue
        tried.add(tuple(free[host]))
        if next(steps, 0) == 0:
            return None
        after = free.copy()
        after[host] -= items[0]
        found = _fit(items[1:], after, steps)
        if found is not False:
            return found
    return False
