# SPDX-License-Identifier: Apache-2.0
"""The promise of a plan, and how much of it was kept.

A plan that moves load between hosts is judged by its hosts: whether their measured loads
have changed as expected from the moves of its servers.  Any other plan is judged by a
figure of its summary, which its strategy computes again.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from watcher.cloud.compute import Host, Server

if TYPE_CHECKING:  # it imports NumPy
    from watcher.decision_engine.algorithms.loads import Loads

UNMOVED_HOSTS: Final = 20
"""How many hosts without a move are compared with those that have one."""
SMALLEST: Final = 2.0
"""Percent of a host: smaller changes (root of the sum of squares) give no result."""
LARGEST_ERROR: Final = 0.25
"""If the standard error of the kept share is larger, there is no result."""
FIGURE_WINDOW: Final = 300
"""The window of a figure that is no load, in seconds: in this time others, the scheduler above all,
may undo the effect of the plan."""
FULL: Final = 99.0
"""Percent: a host above this is so full that its load does not show that servers have left it."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a metric of hosts or of servers is read."""

    name: str
    period: int
    """Seconds, as is *granularity*."""
    granularity: int
    aggregate: str = "mean"

    @property
    def window(self) -> int:
        """Seconds after which no value includes the time before."""
        return int(self.period + self.granularity)

    def ask(
        self, metric: Callable[..., Mapping[str, float]], resources: Sequence[Any]
    ) -> Mapping[str, float]:
        """The values of *metric*, of a datasource or of a run's inputs, for *resources*, by
        uuid."""
        return metric(
            self.name,
            resources,
            period=self.period,
            aggregate=self.aggregate,
            granularity=self.granularity,
        )


@dataclasses.dataclass(frozen=True)
class LoadMove:
    """The expected effect of the move of one server, in percent of the two hosts."""

    server: str
    """Uuid, as are the two hosts."""
    source: str
    destination: str
    given: float
    """The load that leaves the source."""
    taken: float
    """The load that the destination gets."""
    use: float
    """The use of the server, in the unit of its metric."""


@dataclasses.dataclass(frozen=True)
class PromisedLoads:
    """The loads of hosts before a plan, and the expected effect of each of its moves."""

    of_hosts: Reading
    of_servers: Reading
    memory: bool
    """True: KiB in use are measured; false: percent of the CPU."""
    hosts: Mapping[str, float]
    """Host uuid to percent of the host, for hosts with a move and for some others."""
    moves: Sequence[LoadMove]
    use: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The use of the servers that stay on these hosts: uuid to a value of their metric."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """The figure of the summary that a plan improves, and the host loads if it moves load."""

    figure: str
    before: float
    after: float
    window: int
    """Seconds from the end of the plan until measured values cover the time after it only."""
    loads: PromisedLoads | None = None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def from_json(stored: Mapping[str, Any]) -> Promise:
    """The promise from its JSON *stored*."""
    loads = stored.get("loads")
    return Promise(**{**stored, "loads": loads and _loads_from_json(loads)})


def _loads_from_json(stored: Mapping[str, Any]) -> PromisedLoads:
    return PromisedLoads(
        **{
            **stored,
            "of_hosts": Reading(**stored["of_hosts"]),
            "of_servers": Reading(**stored["of_servers"]),
            "moves": [LoadMove(**move) for move in stored["moves"]],
        }
    )


def percents(
    hosts: Sequence[Host], measured: Mapping[str, float], memory: bool
) -> dict[str, float]:
    """Host uuid to percent of the host, from values *measured* in the unit of
    ``PromisedLoads.memory``."""
    return {
        host.uuid: measured[host.uuid] / 1024 / host.memory_mb * 100
        if memory
        else measured[host.uuid]
        for host in hosts
        if math.isfinite(measured.get(host.uuid, math.nan)) and (host.memory_mb or not memory)
    }


def of_loads(
    loads: Loads, metric: int, whole: float, of_hosts: Reading, of_servers: Reading, memory: bool
) -> PromisedLoads:
    """The promise of *loads*, with all moves made, for their *metric*; *whole* is the value
    of a full host."""
    import numpy as np

    model, unit, used = loads.whatif.model, 100 / whole, loads.use[metric]

    def value(server: int, use: float) -> float:
        return use if memory else 100 * use / (model.servers[server].vcpus or 1)

    changed: dict[int, float] = collections.defaultdict(float)
    moves, stays = [], used != 0
    for server, source, destination in loads.whatif.moves:
        given = unit * float(loads.share[metric, server])
        taken = unit * float(loads.use[metric, server] / loads.size[metric, destination])
        changed[source] -= given
        changed[destination] += taken
        stays[server] = False
        pair = model.hosts[source].uuid, model.hosts[destination].uuid
        use = value(server, float(used[server]))
        moves.append(LoadMove(model.servers[server].uuid, *pair, given, taken, use))
    others = [index for index in loads.hosts.nonzero()[0].tolist() if index not in changed]
    compared = sorted({*changed, *others[:UNMOVED_HOSTS]})
    stays &= np.isin(model.placement, compared)
    return PromisedLoads(
        of_hosts,
        of_servers,
        memory,
        {
            model.hosts[index].uuid: unit * float(loads.load[metric, index]) - changed[index]
            for index in compared
        },
        moves,
        {
            model.servers[server].uuid: value(server, use)
            for server, use in zip(stays.nonzero()[0].tolist(), used[stays].tolist(), strict=True)
        },
    )


def expected(
    moves: Sequence[LoadMove], made: Collection[str], use: Mapping[str, float]
) -> dict[str, float]:
    """Host uuid to its change in percent that is expected from the *moves*.

    Only the moves of servers in *made* count.  A destination gets the present *use* of a server, in
    the unit of its metric, if it is known: a load that has ended by itself breaks no promise.
    """
    changes: dict[str, float] = collections.defaultdict(float)
    for move in moves:
        if move.server in made:
            now = use.get(move.server, move.use)
            changes[move.source] -= move.given
            changes[move.destination] += move.taken * (now / move.use if move.use else 1.0)
    return dict(changes)


def share_of(server: Server, host: Host, use: float, memory: bool) -> float:
    """How many percent of a host a server takes; *use* is in the unit of its metric."""
    if memory:
        return 100 * use / (host.memory_mb or 1)
    return use * server.vcpus / (host.cpus or 1)


def changes_without_moves(
    loads: PromisedLoads,
    servers: Mapping[str, Server],
    hosts: Mapping[str, Host],
    use: Mapping[str, float],
) -> dict[str, float]:
    """Host uuid to the change in percent that is caused by servers that have not moved.

    *servers* are those that are still there, by uuid, *hosts* those that are compared, by
    hostname, and *use* is what servers use now.  A server that has stopped uses nothing.
    """
    shares = []
    for uuid, before in loads.use.items():
        server = servers.get(uuid)
        if server is not None and server.host in hosts:
            now = use.get(uuid, before if server.state == "active" else 0.0)
            host = hosts[server.host]
            then, by_now = (share_of(server, host, each, loads.memory) for each in (before, now))
            shares.append((host.uuid, then, by_now))
    return without_daily_course(shares)


def without_daily_course(shares: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    """Host uuid to the sum of what its servers take now, less what they took then.

    *shares* are (host uuid, then, now), in percent.  The factor by which all of them
    together have changed is the daily course of load, and is left out.
    """
    total = sum(then for _, then, _ in shares)
    factor = sum(now for _, _, now in shares) / total if total else 1.0
    changes: dict[str, float] = collections.defaultdict(float)
    for host, then, now in shares:
        changes[host] += now - factor * then
    return dict(changes)


@dataclasses.dataclass(frozen=True)
class Kept:
    """The kept share of a promise, 1 for all of it; None, with the reason, if it is not known."""

    share: float | None
    reason: str = ""


def kept_by_hosts(
    promised: Mapping[str, float], before: Mapping[str, float], now: Mapping[str, float]
) -> Kept:
    """How the changes of the hosts' loads, in percent, follow the *promised* ones.

    It is the slope of the least squares line through both, in which hosts without an
    expected change are points as well.  The daily course of load, which the hosts have in
    common, is taken away first: the factor by which their total load differs from what is
    promised, and then the line's intercept.
    """
    hosts = sorted(before.keys() & now.keys())
    if len(hosts) < 2:
        return Kept(None, "fewer than two of the hosts can be compared")
    total = sum(now[host] for host in hosts)
    factor = sum(before[host] + promised.get(host, 0.0) for host in hosts) / total if total else 1
    pairs = [(promised.get(host, 0.0), factor * now[host] - before[host]) for host in hosts]
    mean = sum(x for x, _ in pairs) / len(pairs)
    level = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - mean) ** 2 for x, _ in pairs)
    if spread < SMALLEST**2:
        return Kept(None, "the promised change of the hosts' loads is too small to be measured")
    share = sum((x - mean) * (y - level) for x, y in pairs) / spread
    rest = sum((y - level - share * (x - mean)) ** 2 for x, y in pairs)
    if len(pairs) > 3 and math.sqrt(rest / (len(pairs) - 2) / spread) > LARGEST_ERROR:
        return Kept(None, "the loads of the hosts changed too much by themselves")
    return Kept(share)


def kept_by_figure(promise: Promise, realised: float) -> Kept:
    """The share of the way from the value before to the promised value that the figure has gone."""
    return Kept((promise.before - realised) / (promise.before - promise.after))
