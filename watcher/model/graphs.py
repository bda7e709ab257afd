# SPDX-License-Identifier: Apache-2.0
"""Graph algorithms for the checker of plans."""

import graphlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise


def ancestors(parents: Mapping[str, Sequence[str]]) -> list[int]:
    """For each node of a graph, in the order of *parents*, its ancestors as bits.

    Parents that are no nodes are ignored.  graphlib.CycleError.
    """
    number = {node: index for index, node in enumerate(parents)}
    known = {node: [each for each in parents[node] if each in number] for node in parents}
    before = [0] * len(number)
    for node in graphlib.TopologicalSorter(known).static_order():
        for parent in known[node]:
            before[number[node]] |= before[number[parent]] | 1 << number[parent]
    return before


def maximum_flow(
    supplies: Sequence[int], room: Sequence[int], edges: Sequence[Collection[int]]
) -> tuple[int, set[int]]:
    """The maximum flow from the origins, each with a supply, to the ends, each with some
    room; by shortest augmenting paths (Edmonds and Karp).

    *edges* are, for each origin, the ends that it leads to, with no limit of their own.  The
    second result is the origins' side of the minimum cut: those from which no end with room
    is left in reach.
    """
    left, free = list(supplies), list(room)
    sent: list[Counter[int]] = [Counter() for _ in room]
    stuck: set[int] = set()
    for start in range(len(left)):
        while left[start] and (path := _path(start, edges, free, sent, stuck)):
            backs = [(end, origin) for (_, end), (origin, _) in pairwise(path)]
            last = path[-1][1]
            amount = min(left[start], free[last], *(sent[end][origin] for end, origin in backs))
            for origin, end in path:
                sent[end][origin] += amount
            for end, origin in backs:
                sent[end][origin] -= amount
            left[start] -= amount
            free[last] -= amount
    return sum(supplies) - sum(left), stuck


def _path(
    start: int,
    edges: Sequence[Collection[int]],
    free: Sequence[int],
    sent: Sequence[Counter[int]],
    stuck: set[int],
) -> list[tuple[int, int]]:
    """The edges of a shortest augmenting path to an end with room.

    Empty if there is none; then all origins on the way are added to *stuck*.
    """
    reached_from: dict[int, int] = {}
    came_by = {start: -1}
    queue = [start]
    for origin in queue:
        for end in edges[origin]:
            if end in reached_from:
                continue
            reached_from[end] = origin
            if free[end]:
                path = [(origin, end)]
                while (end := came_by[path[0][0]]) >= 0:
                    path.insert(0, (reached_from[end], end))
                return path
            for other, amount in sent[end].items():
                if amount and other not in came_by and other not in stuck:
                    came_by[other] = end
                    queue.append(other)
    stuck.update(queue)
    return []
