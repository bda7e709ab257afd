# SPDX-License-Identifier: Apache-2.0
"""A cloud in virtual time: servers get the CPU that they demand, as far as their hosts have it.

Time goes in minutes.  Migrations begin and end at any moment in between, and count from
the next minute on.
"""

import dataclasses
import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from watcher.model.compute import MEMORY

from .averages import KINDS
from .demand import Demand
from .inventory import Bools, Floats, Ints, Inventory, roomiest
from .tally import Tally

THRESHOLD = 0.8
"""A host with more CPU use than this is overloaded."""

GIB_PER_MINUTE = 60 * 10e9 / 8 / 2**30 / 2
"""Half of a host's link of 10 Gbit/s, because a host may have two migrations at once."""

TOUCHED = 0.6
"""The share of a server's memory that is in use; only that is copied."""

COPIED_AGAIN = 0.8
"""The share of it that is copied again if the server uses all its vCPUs, because pages change while
they are copied."""

HANDLING = 0.2
"""Minutes that a migration takes beside copying."""

FAILING, STUBBORN = 0.02, 0.005
"""The shares of migrations that fail by chance, and of servers that can never be migrated."""

FAILURES_PER_DAY = 1 / 60
"""Failures of a host."""

EVACUATED_AFTER = 3
"""Minutes after which the servers of a failed host are started elsewhere."""


class Migration(NamedTuple):
    """A migration that is under way; sorted by the time of its end."""

    end: float
    server: int
    source: int
    destination: int
    gib: float
    name: str
    """The name of the action that waits for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A migration that is over."""

    server: int
    source: int
    destination: int
    ended: float
    """Minutes."""
    succeeded: bool
    gib: float
    """GiB that were copied."""
    by_watcher: bool
    name: str = ""


class World:
    """H hosts and V servers.

    ``placement``  int [V]
    ``up``         bool [H]
    ``free``       float [H, 3], without what migrations under way have claimed
    ``history``    migrations that are over, the oldest first

    In a world that *lies* the load of a host stays the same when a server leaves it.
    """

    def __init__(
        self, inventory: Inventory, demand: Demand, source: str, seed: int, lies: bool = False
    ) -> None:
        self.inventory, self.demand, self.source = inventory, demand, source
        self._seed, self._lies = seed, lies
        self.placement: Ints = inventory.placement.copy()
        hosts, servers = len(inventory.hosts), len(inventory.servers)
        self.up: Bools = np.ones(hosts, dtype=np.bool_)
        self.free: Floats = inventory.capacity.copy()
        np.subtract.at(self.free, self.placement, inventory.demand)
        self.host_use = KINDS[source](hosts)
        self.server_use = KINDS[source](servers)
        self.tally = Tally(servers, demand.minutes)
        self.history: list[Move] = []
        self.now = 0
        """The minute that begins: what came before it is known."""
        self._under_way: list[Migration] = []
        self._attempts = np.zeros(servers, dtype=np.int64)
        draw = np.random.default_rng((seed, 1))
        self.stubborn = draw.random(servers) < STUBBORN
        self.outages = _outages(hosts, demand.minutes, draw)

    @property
    def vcpus(self) -> Floats:
        """float [V], of the servers."""
        vcpus: Floats = self.inventory.demand[:, 0]
        return vcpus

    def step(self) -> None:
        """Simulate a minute."""
        self._fail_and_return()
        wanted: Floats = np.asarray(self.demand.at(self.now), np.float64) * self.up[self.placement]
        host_share, server_share, wants = self._shared_out(wanted)
        self.host_use.record(self.now, host_share)
        self.server_use.record(self.now, server_share)
        self.tally.minute(
            self.now,
            overloaded=int((host_share > THRESHOLD).sum()),
            starved=(wants > 1)[self.placement] & self.up[self.placement],
            use=host_share[self.up],
        )
        self.now += 1

    def _shared_out(self, wanted: Floats) -> tuple[Floats, Floats, Floats]:
        """What hosts [H] and servers [V] use, and what is demanded of hosts [H], as shares."""
        place = self.inventory.placement if self._lies else self.placement
        busy = np.bincount(place, wanted * self.vcpus, len(self.up)) * self.up
        asked = busy / self.inventory.vcpus
        use = np.minimum(asked, 1.0)
        if self._lies:  # the servers on a host share the load of the host
            there = np.bincount(self.placement, self.vcpus, len(self.up))
            each = use * self.inventory.vcpus / np.maximum(there, 1)
            return use, np.minimum(each[self.placement], 1.0), asked
        given = np.divide(use, asked, out=np.zeros_like(use), where=asked > 0)
        return use, wanted * given[self.placement], asked

    def migrate(self, server: int, destination: int, begin: float, name: str = "") -> bool:
        """Begin a live migration, as nova does; False if it refuses."""
        source, claim = int(self.placement[server]), self.inventory.demand[server]
        if not (self.up[source] and self.up[destination]) or source == destination:
            return False
        if (self.free[destination] < claim).any():
            return False
        self.free[destination] -= claim
        gib = self._to_copy(server)
        end = begin + HANDLING + gib / GIB_PER_MINUTE
        heapq.heappush(self._under_way, Migration(end, server, source, destination, gib, name))
        return True

    def refused(self, server: int, destination: int, now: float) -> None:
        """Record a migration that nova did not begin."""
        source = int(self.placement[server])
        self._remember(Move(server, source, destination, now, False, 0.0, by_watcher=True))

    def next_end(self, before: float) -> Move | None:
        """The end of the migration that ends next, if that is *before* a moment."""
        if not self._under_way or self._under_way[0].end > before:
            return None
        migration = heapq.heappop(self._under_way)
        succeeded = self._succeeds(migration)
        self.free[migration.source if succeeded else migration.destination] += (
            self.inventory.demand[migration.server]
        )
        if succeeded:
            self.placement[migration.server] = migration.destination
        move = Move(
            migration.server,
            migration.source,
            migration.destination,
            migration.end,
            succeeded,
            migration.gib,
            by_watcher=True,
            name=migration.name,
        )
        self._remember(move)
        return move

    def move_at_once(self, server: int, destination: int) -> float:
        """Make a move that takes no time.  Returns the GiB that a migration would have copied."""
        source, claim = int(self.placement[server]), self.inventory.demand[server]
        self.free[source] += claim
        self.free[destination] -= claim
        self.placement[server] = destination
        gib = self._to_copy(server)
        self._remember(Move(server, source, destination, self.now, True, gib, by_watcher=True))
        return gib

    def _to_copy(self, server: int) -> float:
        memory = self.inventory.demand[server, MEMORY] / 1024 * TOUCHED
        use = float(self.demand.at(max(self.now - 1, 0))[server])
        return float(memory * (1 + COPIED_AGAIN * use))

    def _succeeds(self, migration: Migration) -> bool:
        if self.placement[migration.server] != migration.source:
            return False  # it was evacuated
        if not (self.up[migration.source] and self.up[migration.destination]):
            return False
        self._attempts[migration.server] += 1
        attempt = int(self._attempts[migration.server])
        chance = np.random.default_rng((self._seed, 2, migration.server, attempt)).random()
        return bool(chance >= FAILING and not self.stubborn[migration.server])

    def _remember(self, move: Move) -> None:
        self.history.append(move)
        self.tally.moved(move)

    def _fail_and_return(self) -> None:
        for begin, end, host in self.outages:
            if self.now == begin:
                self.up[host] = False
            elif self.now == min(begin + EVACUATED_AFTER, end - 1):
                self._evacuate(host)
            elif self.now == end:
                self.up[host] = True

    def _evacuate(self, host: int) -> None:
        """Start its servers on the hosts with most free memory, as the scheduler does."""
        candidates = np.flatnonzero(self.up)
        for server in np.flatnonzero(self.placement == host).tolist():
            claim = self.inventory.demand[server]
            destination = roomiest(candidates, self.free, claim)
            if destination is not None:
                self.free[host] += claim
                self.free[destination] -= claim
                self.placement[server] = destination
                self._remember(
                    Move(server, host, destination, self.now, True, 0.0, by_watcher=False)
                )


def _outages(hosts: int, minutes: int, draw: np.random.Generator) -> Sequence[tuple[int, int, int]]:
    """(begin, end, host): one to eight hours each, and never two at once of a host."""
    found = []
    for host in range(hosts):
        begin = draw.exponential(1440 / FAILURES_PER_DAY)
        while begin < minutes:
            end = begin + draw.uniform(60, 480)
            found.append((int(begin), int(end), host))
            begin = end + draw.exponential(1440 / FAILURES_PER_DAY)
    return found
