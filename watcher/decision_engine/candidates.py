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
    from watcher.model.whatif import WhatIf

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
        refused, cloud = [], functools.cache(functools.partial(self._carried_out, solution))
        for action in solution.actions:
            if action.action_type != "migrate":
                continue
            position = model.position(action.input_parameters["resource_id"])
            if position is None or not model.servers[position].needs.unjudged:
                continue
            host = action.input_parameters.get("destination_node")
            uuid = model.servers[position].uuid
            hosts = (host,) if host else _possible_hosts(uuid, cloud())
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

    def _carried_out(self, solution: Solution) -> WhatIf:
        """The whole cloud with the moves of a plan to named hosts made, and without the hosts that
        the plan disables."""
        from watcher.model.whatif import WhatIf

        cloud = WhatIf(self._inputs.cloud().free_to_leave_zones)
        actions = [action.input_parameters for action in solution.actions]
        switched = {(each.get("resource_name"), each.get("state")) for each in actions}
        for host, state in enumerate(cloud.model.hosts):
            opened = state.status == "enabled" or (state.hostname, "enabled") in switched
            closed = (state.hostname, "disabled") in switched
            cloud.takers[host] = state.state == "up" and opened and not closed
        for each in actions:
            server = cloud.model.server_index.get(each.get("resource_id", ""))
            to = cloud.model.host_index.get(each.get("destination_node") or "")
            if server is not None and to is not None:
                cloud.move(server, to)
        cloud.leavers[:] = True
        return cloud


def _possible_hosts(uuid: str, cloud: WhatIf) -> tuple[str, ...]:
    """The hosts that nova may pick for a server."""
    fits = cloud.possible_hosts(cloud.model.server_index[uuid]).tolist()
    return tuple(host.hostname for host, fit in zip(cloud.model.hosts, fits, strict=True) if fit)
