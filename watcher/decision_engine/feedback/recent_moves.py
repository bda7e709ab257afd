# SPDX-License-Identifier: Apache-2.0
"""Present loads of hosts, from averages over a time in which servers moved.

A datasource gives the average load of a host over the last minutes.  It includes a server that left
or came during that time only in part.  A strategy that took this average for the present load would
move servers again for an overload that is corrected already.  But nova lists all moves, by Watcher
or others, and the load of a server is measured.  So each host gets the load that it would show if
the moves had been made before.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence

from oslo_log import log

from watcher.cloud.compute import Host, Migration, Server
from watcher.cloud.metrics import Metrics, Window
from watcher.common.errors import NotFound
from watcher.decision_engine.datasources.host_names import HostValues

LOG = log.getLogger(__name__)

Change = tuple[float, float]
"""A move: the share of the window before the move, and the change of load by the move."""


@dataclasses.dataclass(frozen=True)
class Part:
    """The part that a server has in a metric of its host."""

    metric: str
    """The metric of the server."""
    of_host: Callable[[float, Server, Host], float]
    """Computes the change of the host's metric from the value of *metric*."""


PARTS: Mapping[str, Part] = {
    "host_cpu_usage": Part(
        "instance_cpu_usage", lambda value, server, host: value * server.vcpus / host.cpus
    ),
    "host_ram_usage": Part("instance_ram_usage", lambda value, server, host: value * 1024),
}
"""The metrics of hosts whose change by a server can be computed.

The effect of a server on others, such as temperatures, is known only when they have been
measured again.
"""


class HostLoads:
    """The metrics of hosts for one run.

    Migrations are read when they are first needed, and again only for a longer window; the
    use of servers is read only if some have moved.  A datasource that gives present values has
    a window of no width: its values are not corrected.
    """

    def __init__(
        self,
        now: datetime.datetime,
        source: Callable[[], Metrics],
        migrations: Callable[[datetime.datetime], Sequence[Migration]],
        servers: Callable[[], Iterable[Server]],
    ) -> None:
        """*servers* returns all servers of the cloud, not only those of the scope."""
        self._now, self._source, self._servers = now, source, servers
        self._migrations = migrations
        self._since: datetime.datetime | None = None
        self._moves: Sequence[Migration] = ()
        self.unmatched: set[str] = set()
        """Names in the datasource that match none of the hosts of which a metric was read."""

    def metric(
        self, name: str, hosts: Sequence[Host], period: int, aggregate: str, granularity: int
    ) -> Mapping[str, float]:
        """The values of ``Metrics.host_metric``, as if all moves had been made before the window.

        Hosts for which this cannot be computed are left out, as if they had not been measured.
        """
        source = self._source()
        values = source.host_metric(name, hosts, period, aggregate, granularity)
        if isinstance(values, HostValues):
            self.unmatched.update(values.unmatched)
        begin, end = window_of(source, self._now, period, granularity)
        if not values or begin >= end:
            return values
        if name not in PARTS:
            begin = min(begin, end - datetime.timedelta(seconds=granularity))
        late = self._now - end  # the window may end anywhere between now - 2 * late and now
        measured = {host.hostname: host for host in hosts if host.uuid in values}
        moves = [
            move
            for move in self._moved_since(begin - late)
            if move.source in measured or move.destination in measured
        ]
        if not moves:
            return values
        wanted = {move.server for move in moves}
        touched = {host for move in moves for host in (move.source, move.destination)}
        there = self._servers_on(touched & measured.keys()) if late and name in PARTS else {}
        wanted.update(each.uuid for servers in there.values() for each in servers)
        use = self._uses(name, wanted, period, aggregate, granularity)
        ends = [
            changes_of(measured, moves, (begin + shift, end + shift), use)
            for shift in dict.fromkeys((0 * late, late, -late))
        ]
        likely = {
            hostname: _sum([use(each.uuid, measured[hostname]) for each in servers])
            for hostname, servers in there.items()
        }
        return _corrected(name, values, measured, ends, likely, aggregate)

    def _servers_on(self, hostnames: Collection[str]) -> Mapping[str, Sequence[Server]]:
        found: dict[str, list[Server]] = {hostname: [] for hostname in hostnames}
        for server in self._servers():
            if server.host in found:
                found[server.host].append(server)
        return found

    def _moved_since(self, begin: datetime.datetime) -> Sequence[Migration]:
        if self._since is None or begin < self._since:
            self._moves, self._since = self._migrations(begin), begin
        return [
            each for each in self._moves if each.succeeded and each.ended and each.ended > begin
        ]

    def _uses(
        self, name: str, wanted: Container[str], period: int, aggregate: str, granularity: int
    ) -> Callable[[str, Host], float | None]:
        """A server's part in a host's metric *name*; None if it is unknown."""
        part = PARTS.get(name)
        if part is None:
            return lambda uuid, host: None
        servers = {each.uuid: each for each in self._servers() if each.uuid in wanted}
        values: Mapping[str, float] = {}
        if servers:
            try:
                values = self._source().server_metric(
                    part.metric, list(servers.values()), period, aggregate, granularity
                )
            except NotFound:
                LOG.warning(
                    "%s has no %s of the servers that moved", self._source().name, part.metric
                )

        def use(uuid: str, host: Host) -> float | None:
            server = servers.get(uuid)
            if server is None:
                return None
            value = values.get(uuid, 0.0 if server.state == "stopped" else None)
            return None if value is None else part.of_host(value, server, host)

        return use


def window_of(source: Metrics, now: datetime.datetime, period: int, granularity: int) -> Window:
    """The time that a mean of *source* covers; a plug-in need not have this method."""
    own = getattr(source, "window", None)
    if own is None:
        return now - datetime.timedelta(seconds=period), now
    begin, end = own(now, period, granularity)
    return begin, end


def changes_of(
    hosts: Mapping[str, Host],
    moves: Iterable[Migration],
    window: Window,
    use: Callable[[str, Host], float | None],
) -> dict[str, list[Change] | None]:
    """Hostname, of *hosts*, to the changes by *moves* there; None if that is not known.

    A move after the window counts as one at its end.
    """
    begin, end = window
    changes: dict[str, list[Change] | None] = {}
    for move in moves:
        if move.ended is None or move.ended <= begin:
            continue
        share = min(1.0, (move.ended - begin) / (end - begin))
        for hostname, sign in ((move.source, -1), (move.destination, 1)):
            if hostname not in hosts:
                continue
            amount, known = use(move.server, hosts[hostname]), changes.setdefault(hostname, [])
            if amount is None or known is None:
                changes[hostname] = None
            else:
                known.append((share, sign * amount))
    return changes


def correction(changes: Collection[Change], aggregate: str) -> float:
    """What to add to the *aggregate* of a load over a window to get the present load.

    *aggregate* is ``mean``, an aggregate that a datasource treats as mean, ``min`` or ``max``.
    """
    ordered = sorted(changes)
    # Going back in time, each change is undone.
    level = -sum(amount for _, amount in ordered)
    start, levels = 0.0, []
    for share, amount in [*ordered, (1.0, 0.0)]:
        if share > start:
            levels.append((share - start, level))
            start = share
        level += amount
    if aggregate in ("min", "max"):
        found = (each for _, each in levels)
        return -(min(found) if aggregate == "min" else max(found))
    return -sum(length * each for length, each in levels)


def _sum(uses: Sequence[float | None]) -> float | None:
    """None if one is unknown."""
    known = [each for each in uses if each is not None]
    return sum(known) if len(known) == len(uses) else None


def _corrected(
    name: str,
    values: Mapping[str, float],
    hosts: Mapping[str, Host],
    ends: Sequence[Mapping[str, Collection[Change] | None]],
    likely: Mapping[str, float | None],
    aggregate: str,
) -> dict[str, float]:
    """*values* with their differences, for each end that the window may have.

    The load is between the values of these *ends*.  If the sum of what the servers of the host use
    (*likely*) is between them as well, the load is that sum.  Otherwise the host has a load of its
    own, and the first end is as good as any.
    """
    found = dict(values)
    unknown = []
    for hostname in dict.fromkeys(itertools.chain(*ends)):
        known = [each.get(hostname, ()) for each in ends]
        uuid = hosts[hostname].uuid
        if None in known:
            del found[uuid]
            unknown.append(hostname)
            continue
        first, *others = (
            max(0.0, values[uuid] + correction(each or (), aggregate)) for each in known
        )
        guess = likely.get(hostname)
        if guess is not None and min((first, *others)) <= guess <= max((first, *others)):
            found[uuid] = guess
        else:
            found[uuid] = first
    if unknown:
        LOG.info(
            "The present %s of %s is not known, because servers moved there",
            name,
            ", ".join(sorted(unknown)),
        )
    return found
