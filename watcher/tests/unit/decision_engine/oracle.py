# SPDX-License-Identifier: Apache-2.0
"""Every end that live migrations can bring a small cluster to: what plans are held against.

Slow and plain: it tries each move after each other one, and asks ``checker`` about it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

from watcher.cloud.compute import Server
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.model.compute import ComputeModel
from watcher.tests.unit.decision_engine import checker

Place = Mapping[str, str]
"""Server name to hostname."""


def ends(
    model: ComputeModel,
    movers: Collection[str],
    fits: Callable[[Place, str], bool] = lambda place, host: True,
) -> Iterator[tuple[int, Place]]:
    """(number of moves, where all servers are then), beginning with none.

    *movers* are the names of servers that may go from one available host to another one.
    A move is not made unless *fits* likes what comes of it on the destination.
    """
    home = {server.name: server.host for server in model.servers}
    available = {host.hostname for host in model.hosts if host.available}
    servers = [
        server for server in model.servers if server.name in movers and server.host in available
    ]
    level: dict[frozenset[tuple[str, str]], tuple[tuple[Server, str], ...]] = {frozenset(): ()}
    count = 0
    while level:
        longer: dict[frozenset[tuple[str, str]], tuple[tuple[Server, str], ...]] = {}
        for moves in level.values():
            place = home | {server.name: host for server, host in moves}
            yield count, place
            for server in servers:
                for host in available - {server.host}:
                    after = (*moves, (server, host))
                    end = frozenset((one.name, where) for one, where in after)
                    if (
                        end not in longer
                        and server not in [one for one, _ in moves]
                        and fits({**place, server.name: host}, host)
                        and not checker.faults(_solution(model, after), model)
                    ):
                        longer[end] = after
        level, count = longer, count + 1


def _solution(model: ComputeModel, moves: tuple[tuple[Server, str], ...]) -> Solution:
    hosts = {host.hostname: host for host in model.hosts}
    builder = SolutionBuilder()
    for server, host in moves:
        builder.migrate(server, hosts[host], "to see what happens")
    return builder.build()
