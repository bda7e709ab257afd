# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

from watcher.plugins import Inputs, Solution, SolutionBuilder, Strategy

if TYPE_CHECKING:
    import numpy as np

    from watcher.plugins import WhatIf


class MemoryHeadroom(Strategy):
    """Keeps a share of every host's memory free.

    The host that is shortest of memory comes first.  Of its servers the smallest that
    closes the gap moves, or the largest if none does, to the host with most memory to
    spare; and so on until the gap is closed or nobody takes another server.  No host
    falls short by what it takes.  Costs one pass over the servers for each move.
    """

    name = "memory_headroom"
    display_name = "Memory headroom"
    goal = "memory_headroom"
    schema = {
        "properties": {
            "headroom": {
                "description": "Per cent of a host's memory that is to stay free.",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 20,
            }
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        # NumPy comes with it: only engines that run such audits pay for that.
        from watcher.plugins import MEMORY, WhatIf

        model, percent = inputs.compute_model(), inputs.parameters["headroom"]
        whatif, solution = WhatIf(model), SolutionBuilder()
        wanted = model.capacity[:, MEMORY] * percent / 100
        short = [
            int(host)
            for host in (whatif.free[:, MEMORY] - wanted).argsort(kind="stable")
            if whatif.free[host, MEMORY] < wanted[host]
        ]
        for host in short:
            while whatif.free[host, MEMORY] < wanted[host]:
                move = _next_move(whatif, host, wanted)
                if move is None:
                    break
                server, destination = (model.servers[move[0]], model.hosts[move[1]])
                free = 100 * whatif.free[host, MEMORY] / model.capacity[host, MEMORY]
                solution.migrate(
                    server,
                    destination,
                    f"{server.host} has {free:.0f} % of its memory free, {percent:g} % are wanted.",
                )
                whatif.move(*move)
        left = sum(bool(whatif.free[host, MEMORY] < wanted[host]) for host in short)
        solution.summary["hosts short of memory"] = {"before": len(short), "after": left}
        return solution.build(short_hosts_count=len(short), relieved_hosts_count=len(short) - left)


def _next_move(whatif: WhatIf, host: int, wanted: np.ndarray) -> tuple[int, int] | None:
    """The server that leaves *host*, and where it goes; None if nothing can be done."""
    from watcher.plugins import MEMORY

    gap = wanted[host] - whatif.free[host, MEMORY]
    memory = whatif.model.demand[:, MEMORY]
    candidates = (whatif.leavers & (whatif.placement == host)).nonzero()[0].tolist()
    for server in sorted(candidates, key=lambda each: _preference(memory[each], gap)):
        spare = whatif.free[:, MEMORY] - wanted - memory[server]
        spare[~whatif.hosts_for(server)] = -1
        if spare.max() >= 0:
            return server, int(spare.argmax())
    return None


def _preference(memory: float, gap: float) -> tuple[bool, float]:
    """Sorts those that close the gap first, the smallest of them; then the largest."""
    closes = memory >= gap
    return not closes, memory if closes else -memory
