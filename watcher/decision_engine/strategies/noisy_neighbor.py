# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from watcher.cloud.compute import Server
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model.undone import hosts_stay

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

METRIC = "instance_l3_cache_usage"
FIGURE = "hosts with a noisy neighbor not relieved"

USUAL_PRIORITY = 5.0


class Occupancy(NamedTuple):
    """Bytes of the cache that a server holds, on average."""

    previous: float
    current: float

    def fell(self, share: float) -> bool:
        return self.current < (1 - share) * self.previous

    def rose(self, share: float) -> bool:
        return self.current > (1 + share) * self.previous


Pair = tuple[int, Sequence[int]]
"""A server that suffers, and the noisy servers that may cause it."""


class NoisyNeighbor(Strategy):
    """Moves servers away that take the L3 cache from servers of higher priority."""

    name = "noisy_neighbor"
    display_name = "Noisy Neighbor"
    goal = "noisy_neighbor"
    metrics = (METRIC,)
    schema = {
        "properties": {
            "cache_threshold": parameters.number(
                "Per cent of its share of the cache by which a server that suffers has lost, and "
                "a noisy one has gained.",
                35.0,
            ),
            "period": parameters.number(
                "Seconds of one of the two periods that are compared.", 100.0
            ),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        from watcher.decision_engine.algorithms.spreading import SourceHost, Spreading

        model = inputs.compute_model()
        pairs = dict(_pairs(inputs, model))
        hosts = [index for index, host in enumerate(model.hosts) if host.available]
        takers = [index for index in hosts if index not in pairs]
        spreading = Spreading(model, takers, inputs.bounds())
        solution, left = SolutionBuilder(), []
        for sufferer, noisy in sorted(
            pairs.values(), key=lambda pair: priority(model.servers[pair[0]])
        ):
            source = SourceHost(noisy, noisy)
            moves = spreading.relieve(source)
            left += [] if moves else [source]
            for move in moves:
                server = model.servers[move.server]
                solution.migrate(
                    server,
                    model.hosts[move.destination],
                    f"{server.name} takes cache from {model.servers[sufferer].name}, "
                    f"which comes before it, on {server.host}",
                )
        solution.improve(len(pairs), len(left))
        unmet = f"{hosts_stay(len(left), len(hosts))} with a noisy neighbor"
        solution.leave(unmet if left else "", spreading.undone(left))
        solution.figure(FIGURE, len(pairs), len(left))
        solution.promise(FIGURE, 2 * inputs.parameters["period"] + 300)
        return solution.build()


def _pairs(inputs: Inputs, model: ComputeModel) -> Iterator[tuple[int, Pair]]:
    """Host, and the server that suffers there and the noisy ones, where there are both."""
    occupancies = _occupancies(inputs, model)
    by_host: dict[int, list[int]] = defaultdict(list)
    for server in sorted(occupancies, key=lambda server: (priority(model.servers[server]), server)):
        by_host[int(model.placement[server])].append(server)
    share = inputs.parameters["cache_threshold"] / 100
    for host in sorted(by_host):
        sufferer, noisy = _pair(by_host[host], occupancies, share)
        if noisy:
            yield host, (sufferer, noisy)


def _pair(servers: Sequence[int], occupancies: Mapping[int, Occupancy], share: float) -> Pair:
    """The first of *servers* that suffers, and the noisy servers after it, the last one first."""
    for place, sufferer in enumerate(servers):
        if occupancies[sufferer].fell(share):
            after = reversed(servers[place + 1 :])
            return sufferer, [each for each in after if occupancies[each].rose(share)]
    return 0, []


def _occupancies(inputs: Inputs, model: ComputeModel) -> Mapping[int, Occupancy]:
    """By index, of the active servers on available hosts that were measured twice."""
    indices = [
        index
        for index in model.available[model.placement].nonzero()[0].tolist()
        if model.servers[index].state == "active"
    ]
    servers, period = [model.servers[index] for index in indices], int(inputs.parameters["period"])
    one, two = (
        inputs.server_metric(METRIC, servers, period=length, aggregate="mean", granularity=300)
        for length in (period, 2 * period)
    )
    found = {}
    for index, server in zip(indices, servers, strict=True):
        current = one.get(server.uuid, math.nan)
        occupancy = Occupancy(2 * two.get(server.uuid, math.nan) - current, current)
        if math.isfinite(sum(occupancy)):
            found[index] = occupancy
    return found


def priority(server: Server) -> float:
    """The priority of a server on its host: the lowest number comes first."""
    try:
        number = float(server.metadata.get("watcher-priority", USUAL_PRIORITY))
    except (TypeError, ValueError):
        return USUAL_PRIORITY
    return USUAL_PRIORITY if math.isnan(number) else number
