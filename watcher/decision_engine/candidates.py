# SPDX-License-Identifier: Apache-2.0
"""Asks placement about moves of servers that the model cannot judge, and plans again without those
that it refuses."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from watcher.cloud.compute import Server
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

MOST = 100
"""The most moves of one run that placement is asked about."""
SECONDS = 10.0
"""Seconds after which placement is not asked any more, counted from before the first plan."""
ROUNDS = 3
"""The most plans of one run.  In the last one, servers that the model cannot judge stay."""

HasCandidate = Callable[[Server, Sequence[str]], bool]
"""Whether placement offers one of some hosts for a server."""


def solve(strategy: type[Strategy], inputs: Inputs, has_candidate: HasCandidate) -> Solution:
    """The solution of a strategy.  In it, a server that the model cannot judge moves to a named
    host only if placement offers that host for it, and to one that nova picks only if placement
    offers one on which the server may be.

    If placement refuses, the server stays and the strategy makes another plan, because other moves
    may need the room that the server would have left.
    """
    asking, staying = _Asking(has_candidate, inputs), dict[str, str]()
    for left in reversed(range(ROUNDS)):
        model = functools.cache(functools.partial(_with_staying, inputs, dict(staying)))
        solution = strategy().execute(dataclasses.replace(inputs, compute_model=model))
        if not model.cache_info().currsize:
            return solution  # it read no model
        refused = asking.refused(solution, model())
        if not refused:
            return solution
        if left == 1:
            refused = [each.uuid for each in model().servers if each.needs.unjudged]
        staying |= dict.fromkeys(refused, undone.UNJUDGED)
    return solution


def _with_staying(inputs: Inputs, staying: Mapping[str, str]) -> ComputeModel:
    model = inputs.compute_model()
    return dataclasses.replace(model, staying={**staying, **model.staying}) if staying else model


class _Asking:
    """Asks placement about each move once, and about at most ``MOST`` moves."""

    def __init__(self, has_candidate: HasCandidate, inputs: Inputs) -> None:
        self._has_candidate, self._inputs = has_candidate, inputs
        self._known = dict[tuple[str, tuple[str, ...]], bool]()
        self._end = time.monotonic() + SECONDS

    def refused(self, solution: Solution, model: ComputeModel) -> list[str]:
        """Uuids of the servers that the model cannot judge, and that would move to a host that
        placement does not offer."""
        refused = []
        for action in solution.actions:
            if action.action_type != "migrate":
                continue
            position = model.position(action.input_parameters["resource_id"])
            if position is None or not model.servers[position].needs.unjudged:
                continue
            host = action.input_parameters.get("destination_node")
            uuid = model.servers[position].uuid
            hosts = (host,) if host else self._possible_hosts(uuid, solution)
            if not self._ask(model.servers[position], hosts):
                refused.append(uuid)
        return refused

    def _ask(self, server: Server, hosts: tuple[str, ...]) -> bool:
        key = server.uuid, hosts
        if key not in self._known:
            if len(self._known) >= MOST or time.monotonic() > self._end:
                return False
            self._known[key] = self._has_candidate(server, hosts)
        return self._known[key]

    def _possible_hosts(self, uuid: str, solution: Solution) -> tuple[str, ...]:
        """The hosts of the whole cloud that nova may pick for a server, apart from their present
        room."""
        cloud = self._anywhere
        server = cloud.server_index[uuid]
        allowed = cloud.rules.allowed[cloud.rules.kind[server]].tolist()
        full = _filled(cloud, server, solution)
        switched = {
            (action.input_parameters.get("resource_name"), action.input_parameters.get("state"))
            for action in solution.actions
        }
        return tuple(
            host.hostname
            for host, may_be in zip(cloud.hosts, allowed, strict=True)
            if may_be
            and host.state == "up"
            and (host.status == "enabled" or (host.hostname, "enabled") in switched)
            and (host.hostname, "disabled") not in switched
            and host.hostname not in (cloud.servers[server].host, *full)
        )

    @functools.cached_property
    def _anywhere(self) -> ComputeModel:
        return self._inputs.cloud().free_to_leave_zones()


def _filled(cloud: ComputeModel, server: int, solution: Solution) -> set[str]:
    """The names of the hosts that have no room for a server once others have come to them."""
    free, demand, destinations = cloud.free(), cloud.demand[server], dict[str, int]()
    for action in solution.actions:
        name = action.input_parameters.get("destination_node")
        come = cloud.server_index.get(action.input_parameters.get("resource_id", ""))
        if action.action_type == "migrate" and come is not None and name in cloud.host_index:
            destinations[name] = cloud.host_index[name]
            free[destinations[name]] -= cloud.demand[come]
    return {
        name for name, host in destinations.items() if ((demand > free[host]) & (demand > 0)).any()
    }
