# SPDX-License-Identifier: Apache-2.0
"""Whether a plan breaks a rule of the cloud in any order of actions that its graph allows.

It shares no code with what makes plans, and assumes that all actions succeed.  An action begins
when its parents have ended; nothing else limits the order.  The worst of all orders is computed.

Example: A moves 4 GiB from host 1 to host 2; B, a child of A, moves 2 GiB from host 2 to host 3; C
moves 3 GiB to host 2.  The events (begin or end of an action) that have happened at some moment are
a set that contains all predecessors of its members.  For host 2 the begins of A and C weigh 4 and
3, and the end of B weighs -2.  The sets without the end of B weigh most: host 2 needs 7 GiB.

To find the set of the greatest weight is the project selection problem, a maximum flow.  The most
moves that are under way at once are the width of their order, by Dilworth's theorem a maximum
matching.  Moves that must not overlap have to be a chain.
"""

import dataclasses
import graphlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from watcher.cloud.compute import Host, Server, ServerGroup
from watcher.cloud.places import UNITS, why_not_placed
from watcher.db.action_plans import PlannedAction
from watcher.model.graphs import ancestors, maximum_flow

SERVER, CLOUD, GRAPH = "server", "cloud", "graph"
"""Kinds of faults: a server cannot be moved as it is; it is not where the plan expects it, or
its destination cannot take it; actions may run together that must not, in any cloud."""

REMOVALS: Final = ("delete", "shelve")
_PARAMETERS: Final = ("resource_id", "source_node", "destination_node", "migration_type")
_STATES: Final = {"live": ("active", "paused"), "cold": ("active", "stopped")}


class Fault(NamedTuple):
    """A rule that an action breaks in at least one order."""

    uuid: str
    """Uuid of the action; if several break a rule together, of the last one in the list."""
    kind: str
    sentence: str


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The cloud: hosts by hostname, servers by uuid, and their groups."""

    hosts: Mapping[str, Host]
    servers: Mapping[str, Server]
    groups: Sequence[ServerGroup] = ()
    excluded: Collection[str] = ()
    """Uuids of servers that the plan must not move."""


class _Move(NamedTuple):
    number: int
    uuid: str
    kind: str
    server: Server
    source: str
    destination: str  # empty: the scheduler chooses it


def faults(
    actions: Sequence[PlannedAction], cluster: Cluster, per_host: int | None = None
) -> list[Fault]:
    """The faults of a plan, in the order of its actions; empty if it is safe.

    At most *per_host* moves may be under way from and to one host.  ``delete`` and ``shelve``
    free room when they end, as nova does by default.  Only these, ``migrate`` and
    ``change_nova_service_state`` have an effect beside the order.
    """
    try:
        check = _Check(actions, cluster)
    except graphlib.CycleError as error:
        return [Fault(error.args[1][0], GRAPH, "It waits for itself.")]
    check.hosts()
    check.groups()
    check.room()
    if per_host is not None:
        check.concurrency(per_host)
    return [fault for _, fault in sorted(check.found)]


class _Check:
    """One plan on one cluster."""

    def __init__(self, actions: Sequence[PlannedAction], cluster: Cluster) -> None:
        self.found: list[tuple[int, Fault]] = []
        self._actions, self._cluster = actions, cluster
        self._before = ancestors({action.uuid: action.parents for action in actions})
        self._from, self._to, self._moves = (defaultdict[str, list[_Move]](list) for _ in range(3))
        for move in self._all_moves():
            self._moves[move.server.uuid].append(move)
        for uuid, moves in self._moves.items():
            self._moves[uuid] = [*self._moves_of_server(moves)]
            for move in self._moves[uuid]:
                self._from[move.source].append(move)
                self._to[move.destination].append(move)
        self._to.pop("", None)
        self._removals = {each.server.uuid: each for each in self._all_removals()}.values()

    def hosts(self) -> None:
        """Check that destinations are up and enabled, and are where their servers may be."""
        switches, hosts = self._switches(), self._cluster.hosts
        keys = {key for host in hosts.values() for each in host.aggregates for key in each.metadata}
        for name, moves in self._to.items():
            host = hosts.get(name)
            for move in moves:
                if host is None or host.state != "up":
                    self._report(move, CLOUD, f"Host {name} {'is down' if host else 'is unknown'}.")
                elif not self._is_enabled(host, move.number, switches[name]):
                    self._report(move, CLOUD, f"Host {name} is or may be disabled then.")
                elif why := why_not_placed(move.server, host, keys):
                    self._report(move, CLOUD, f"Host {name} {why}.")

    def groups(self) -> None:
        """Check that members of a group move one after the other, and that the policy holds."""
        for group in self._cluster.groups if self._moves else ():
            if group.policy in ("affinity", "anti-affinity"):
                moves = [move for uuid in group.members for move in self._moves.get(uuid, ())]
                self._check_group(group, self._chain(moves, "another server of its group"))

    def room(self) -> None:
        """Check that no host is overfilled; a moving server counts on both of its hosts."""
        used = {name: [0] * len(UNITS) for name in self._to if name in self._cluster.hosts}
        for server in self._cluster.servers.values():
            if server.host in used:
                for unit, amount in enumerate(server.amounts):
                    used[server.host][unit] += amount
        for name, amounts in used.items():
            for unit, has in enumerate(self._cluster.hosts[name].inventories):
                # Placement also counts allocations that belong to none of the servers.
                self._check_room(name, unit, max(amounts[unit], has.used), has.capacity)

    def concurrency(self, most: int) -> None:
        """Check that at most *most* moves from and to one host run at once."""
        for name in {**self._from, **self._to}:
            moves = [*self._from.get(name, ()), *self._to.get(name, ())]
            ones = [1] * len(moves)
            width = len(moves) - maximum_flow(ones, ones, self._ended_before(moves, moves))[0]
            if width > most:
                what = f"{width} moves from or to host {name} may run at once, of {most} at most."
                self._report(max(moves), GRAPH, what)

    def _all_moves(self) -> Iterator[_Move]:
        for number, action in enumerate(self._actions):
            if action.action_type == "migrate":
                values = (str(action.input_parameters.get(name) or "") for name in _PARAMETERS)
                ident, source, destination, kind = values
                if server := self._cluster.servers.get(ident):
                    yield _Move(number, action.uuid, kind, server, source, destination)
                else:
                    what = f"Server {ident} was not found."
                    self.found.append((number, Fault(action.uuid, CLOUD, what)))

    def _all_removals(self) -> Iterator[_Move]:
        """Removals of servers, each from the host where the server is then in every order."""
        for number, action in enumerate(self._actions):
            server = self._cluster.servers.get(str(action.input_parameters.get("resource_id")))
            if action.action_type in REMOVALS and server is not None:
                moves = self._moves.get(server.uuid, ())
                early = [move for move in moves if not self._before[number] >> move.number & 1]
                for move in early:
                    self._report(move, GRAPH, "Its server may be removed before it has moved.")
                if not early:
                    where = moves[-1].destination if moves else server.host
                    yield _Move(number, action.uuid, "", server, where, "")

    def _moves_of_server(self, moves: Sequence[_Move]) -> Iterator[_Move]:
        """The moves of one server, each from where the server is then; others are reported."""
        where = moves[0].server.host
        for move in self._chain(moves, "the same server"):
            source = self._cluster.hosts.get(move.source)
            if where and move.source != where:
                what = f"is expected on host {move.source} but is on {where}"
                self._report(move, CLOUD, f"Server {move.server.uuid} {what}.")
            elif move.destination == move.source:
                self._report(move, CLOUD, f"The server is on host {move.source} already.")
            elif source is not None and source.state != "up":
                self._report(move, CLOUD, f"Host {move.source}, which it leaves, is down.")
            elif why := self._obstacle(move.server, move.kind):
                self._report(move, SERVER, why)
            else:
                where = move.destination
                yield move

    def _obstacle(self, server: Server, kind: str) -> str | None:
        if server.uuid in self._cluster.excluded:
            return "The audit's scope excludes the server."
        if server.locked or server.task_state is not None:
            return f"The server is {server.task_state or 'locked'}."
        if server.state not in _STATES.get(kind, (server.state,)):
            return f"The server is {server.state}, in which it does not migrate {kind}."
        if server.needs.is_fixed or (kind == "live" and not server.live):
            return f"Nova does not migrate the server {kind}."
        return None

    def _switches(self) -> Mapping[str, list[tuple[int, str]]]:
        """Hostname to the actions that enable or disable it."""
        names = {host.uuid: name for name, host in self._cluster.hosts.items()}
        switches: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, action in enumerate(self._actions):
            if action.action_type == "change_nova_service_state":
                what = action.input_parameters
                ident = str(what.get("resource_name") or what.get("resource_id"))
                switches[names.get(ident, ident)].append((number, str(what.get("state"))))
        return switches

    def _is_enabled(self, host: Host, at: int, switches: Sequence[tuple[int, str]]) -> bool:
        """Whether the host is enabled, in every order, when action *at* begins."""
        enables = [n for n, state in switches if state == "enabled" and self._before[at] >> n & 1]
        return (host.status == "enabled" or bool(enables)) and all(
            self._before[n] >> at & 1 or any(self._before[each] >> n & 1 for each in enables)
            for n, state in switches
            if state == "disabled"
        )

    def _check_group(self, group: ServerGroup, chain: Sequence[_Move]) -> None:
        known = self._cluster.servers
        # Nova's scheduler may still count a member on a host that it has left.
        where = {uuid: [known[uuid].host if uuid in known else ""] for uuid in group.members}
        for move in chain:
            end = move.destination
            others = [hosts for uuid, hosts in where.items() if uuid != move.server.uuid]
            there = sum(end in hosts for hosts in others)
            apart = group.policy == "anti-affinity"
            if group.policy == "affinity" and end and any(each[-1] != end for each in others):
                self._report(move, CLOUD, "The server would leave others of its group.")
            elif apart and end and there + group.unlisted.count(end) >= group.max_server_per_host:
                what = f"Host {end} would have one server too many of group {group.uuid}."
                self._report(move, CLOUD, what)
            where[move.server.uuid].append(end)

    def _check_room(self, name: str, unit: int, used: int, size: float) -> None:
        arrivals = [move for move in self._to[name] if move.server.amounts[unit]]
        takes = [move.server.amounts[unit] for move in arrivals]
        if used + sum(takes) <= size:
            return
        removals = (each for each in self._removals if each.source == name)
        departures = [*self._from.get(name, ()), *removals]
        gives = [move.server.amounts[unit] for move in departures]
        needs = self._ended_before(departures, arrivals)
        most, together = 0, set[int]()
        # A host that is too full already has to be relieved before the first server arrives.
        for gone in [set[int]()] if used <= size else needs:
            flow, reached = maximum_flow(takes, gives, [each - gone for each in needs])
            held = used - sum(gives[each] for each in gone) + sum(takes) - flow
            if held > most:
                most, together = held, reached
        what, excess = f"would hold {most} {UNITS[unit]}, and can hold {size:g}", most - size
        for move, amount in sorted(((arrivals[n], takes[n]) for n in together), reverse=True):
            if excess > 0:
                self._report(move, CLOUD, f"Host {name} {what}.")
            excess -= amount

    def _ended_before(self, ones: Sequence[_Move], others: Sequence[_Move]) -> list[set[int]]:
        """For each of *others*, which of *ones*, by index, end before it begins."""
        masks = [self._before[other.number] for other in others]
        return [{n for n, one in enumerate(ones) if mask >> one.number & 1} for mask in masks]

    def _chain(self, moves: Sequence[_Move], what: str) -> list[_Move]:
        """*moves* in their only order; those that may run together with another are reported."""
        chain: list[_Move] = []
        for move in sorted(moves, key=lambda each: (self._before[each.number].bit_count(), each)):
            if chain and not self._before[move.number] >> chain[-1].number & 1:
                self._report(move, GRAPH, f"It may run at the same time as the move of {what}.")
            else:
                chain.append(move)
        return chain

    def _report(self, move: _Move, kind: str, sentence: str) -> None:
        self.found.append((move.number, Fault(move.uuid, kind, sentence)))
