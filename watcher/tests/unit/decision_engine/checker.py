# SPDX-License-Identifier: Apache-2.0
"""What no plan may do, checked step by step, and clusters made by chance to check it on.

Written for plain reading, and on purpose without any of the arrays and rules that the
strategies use: it looks at hosts, servers and groups alone, as the cloud shows them.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from watcher.cloud.compute import Aggregate, Host, Server, ServerGroup, Units
from watcher.cloud.needs import NOTHING, Needs
from watcher.decision_engine.solution import ProposedAction, Solution
from watcher.model.compute import ComputeModel
from watcher.tests.unit.decision_engine import clusters

SPEC = "aggregate_instance_extra_specs:"
TENANTS = "filter_tenant_id"
SPECS = [
    {f"{SPEC}disk": "ssd"},
    {f"{SPEC}disk": "<or> ssd <or> hdd"},
    {"disk": "hdd", "hw:cpu_policy": "shared"},
]


UNITS = [
    {"vcpus": Units(most=2)},
    {"memory_mb": Units(step=1000), "disk_gb": Units(least=2)},
]
NEEDS = [
    Needs(pcpus=1),
    Needs(required=frozenset({"FAST"})),
    Needs(forbidden=frozenset({"OLD"})),
    Needs(unjudged=("hw:mem_page_size",)),
    Needs(properties=(("os_distro", "debian"),)),
]


def faults(solution: Solution, model: ComputeModel) -> list[str]:
    """What is wrong with the steps of *solution*, one sentence each; empty if nothing is."""
    walk = _Walk(model, solution)
    for action in solution.actions:
        walk.step(action)
    return walk.found


def half_emptied(solution: Solution, model: ComputeModel) -> list[str]:
    """Names of the hosts that servers leave and that do not end up empty."""
    where = {server.uuid: server.host for server in model.servers}
    left = set()
    for action in solution.actions:
        if action.action_type == "migrate":
            left.add(action.input_parameters["source_node"])
            where[action.input_parameters["resource_id"]] = action.input_parameters.get(
                "destination_node"
            )
    return sorted(left & set(where.values()))


class _Walk:
    """A cluster on which a plan is carried out, one action after the other."""

    def __init__(self, model: ComputeModel, solution: Solution) -> None:
        self.found: list[str] = []
        self.hosts = {host.hostname: host for host in model.hosts}
        self.servers = {server.uuid: server for server in model.servers}
        self.groups = model.groups
        self.excluded = {
            server.uuid
            for server, movable in zip(model.servers, model.movable, strict=True)
            if not movable
        }
        self.moved: set[str] = set()
        self.judged: set[str] = set()
        """Hosts that took a server that only nova can judge."""
        self.others = {host.hostname: _others(host, model.servers) for host in model.hosts}
        # Planners may put all changes of a service before all migrations.
        self.disabled = {
            action.input_parameters["resource_name"]
            for action in solution.actions
            if action.action_type == "change_nova_service_state"
            and action.input_parameters["state"] == "disabled"
        }

    def step(self, action: ProposedAction) -> None:
        if not action.reason:
            self.found.append(f"{action.action_type} has no reason")
        if action.action_type == "migrate":
            self._migrate(**action.input_parameters)
        elif action.action_type == "change_nova_service_state":
            self._change(**action.input_parameters)
        elif action.action_type == "stop":
            self._stop(**action.input_parameters)

    def _change(
        self, resource_id, resource_name, state, disabled_reason=None, only_if_empty=False
    ) -> None:
        host = self.hosts.get(resource_name)
        if only_if_empty and any(s.host == resource_name for s in self.servers.values()):
            self.found.append(f"{resource_name} is not empty when it is to be disabled")
        if host is None or host.uuid != resource_id:
            self.found.append(f"{resource_name} is out of scope")
        elif (host.status, host.disabled_reason) == (state, disabled_reason):
            self.found.append(f"{resource_name} is {state} already")
        else:
            self.hosts[resource_name] = dataclasses.replace(
                host, status=state, disabled_reason=disabled_reason
            )

    def _stop(self, resource_id) -> None:
        server = self._touch(resource_id)
        if server and server.state != "active":
            self.found.append(f"{server.name} is {server.state} and cannot be stopped")

    def _migrate(
        self, resource_id, resource_name, source_node, migration_type, destination_node=None
    ) -> None:
        server = self._touch(resource_id)
        if server is None:
            return
        states = {"live": ("active", "paused"), "cold": ("active", "stopped")}[migration_type]
        if server.state not in states:
            self.found.append(f"{server.name} is {server.state}: no {migration_type} migration")
        for group in self.groups:
            if (
                group.policy == "affinity"
                and len(group.members) > 1
                and resource_id in group.members
            ):
                self.found.append(f"{server.name} leaves its group behind")
        if server.host != source_node or server.name != resource_name:
            self.found.append(f"{server.name} is not on {source_node}")
        if source_node in self.hosts and self.hosts[source_node].state != "up":
            self.found.append(f"{server.name} leaves {source_node}, which is down")
        if destination_node is None:
            self.servers[server.uuid] = dataclasses.replace(server, host="")
        elif self._enter(server, destination_node):
            self.servers[server.uuid] = dataclasses.replace(server, host=destination_node)

    def _touch(self, uuid: str) -> Server | None:
        server = self.servers.get(uuid)
        if server is None:
            self.found.append(f"{uuid} is out of scope")
            return None
        if server.locked or server.task_state or uuid in self.excluded:
            self.found.append(f"{server.name} must stay")
        if uuid in self.moved:
            self.found.append(f"{server.name} moves twice")
        self.moved.add(uuid)
        return server

    def _enter(self, server: Server, hostname: str) -> bool:
        host = self.hosts.get(hostname)
        if host is None:
            self.found.append(f"{server.name} goes to {hostname}, which is out of scope")
            return False
        if hostname == server.host:
            self.found.append(f"{server.name} is on {hostname} already")
        if host.state != "up" or host.status != "enabled" or hostname in self.disabled:
            self.found.append(f"{hostname} takes no servers")
        self._check_place(server, host)
        neighbours = [
            each
            for each in self.servers.values()
            if each.host == hostname and each.uuid != server.uuid
        ]
        self._check_groups(server, neighbours)
        self._check_room(host, neighbours, server)
        if server.needs.unjudged and hostname in self.judged:
            self.found.append(f"{hostname} takes two servers that only nova can judge")
        elif server.needs.unjudged:
            self.judged.add(hostname)
        return True

    def _check_place(self, server: Server, host: Host) -> None:
        zone = server.pinned_az or server.zone
        if zone and zone != host.zone:
            self.found.append(f"{server.name} must be in {zone}")
        if server.needs.required - host.traits or server.needs.forbidden & host.traits:
            self.found.append(f"{host.hostname} has not the traits that {server.name} needs")
        metadata, tenants = collections.defaultdict(set), set()
        for aggregate in host.aggregates:
            for key, value in aggregate.metadata.items():
                values = {each.strip() for each in value.split(",")}
                metadata[key] |= values
                if key.startswith(TENANTS):
                    tenants |= values
                if key.startswith("trait:") and key[6:] not in server.needs.required:
                    self.found.append(f"{host.hostname} is isolated by {key}")
        self.found += [
            f"{host.hostname} is for images with another {key}"
            for key, value in server.needs.properties
            if key in metadata and value not in metadata[key]
        ]
        if tenants and server.project_id not in tenants:
            self.found.append(f"{host.hostname} is reserved to other projects")
        for key, value in server.extra_specs.items():
            wanted = {each.strip() for each in value.split("<or>")}
            counts = key.startswith(SPEC) or any(
                key in aggregate.metadata
                for each in self.hosts.values()
                for aggregate in each.aggregates
            )
            if counts and not wanted & metadata[key.removeprefix(SPEC)]:
                self.found.append(f"{server.name} needs {key} {value}")

    def _check_groups(self, server: Server, neighbours: list[Server]) -> None:
        for group in self.groups:
            if group.policy == "anti-affinity" and server.uuid in group.members:
                there = [each for each in neighbours if each.uuid in group.members]
                if len(there) >= group.max_server_per_host:
                    self.found.append(f"{server.name} is too close to its group")

    def _check_room(self, host: Host, neighbours: list[Server], server: Server) -> None:
        for name, size in capacities(host).items():
            wanted = amount(server, name)
            used = sum(amount(each, name) for each in neighbours) + self.others[host.hostname][name]
            if wanted and used + wanted > size:
                self.found.append(
                    f"{host.hostname} has {size} {name} and would hold {used + wanted}"
                )
            units = host.units.get(name, Units())
            most = getattr(host, name) if units.most is None else units.most
            if wanted and (wanted < units.least or wanted > most or wanted % units.step):
                self.found.append(f"{host.hostname} gives no server {wanted} {name}")


def capacities(host: Host) -> dict[str, float]:
    return {
        "vcpus": (host.vcpus - host.vcpus_reserved) * host.vcpu_ratio,
        "memory_mb": (host.memory_mb - host.memory_mb_reserved) * host.memory_ratio,
        "disk_gb": (host.disk_gb - host.disk_gb_reserved) * host.disk_ratio,
        "pcpus": host.pcpus - host.pcpus_reserved,
    }


def amount(server: Server, name: str) -> int:
    if name == "pcpus":
        return server.needs.pcpus
    if name == "vcpus":
        return server.vcpus - server.needs.pcpus
    return getattr(server, name)


def _others(host: Host, servers: Sequence[Server]) -> dict[str, int]:
    """What of a host is used by what is none of its servers."""
    here = [each for each in servers if each.host == host.hostname]
    return {
        name: max(0, host.used.get(name, 0) - sum(amount(each, name) for each in here))
        for name in capacities(host)
    }


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Hosts and servers as drawn, and how busy they are."""

    hosts: list[Host]
    servers: list[Server]
    groups: list[ServerGroup]
    excluded: frozenset[str]
    """Uuids of the servers that the scope leaves in place."""
    values: dict[str, dict[str, float]]
    """Metric to name to value.  Some servers and hosts have none."""

    def without_wishes(self) -> "Cluster":
        """With groups alone that are rules."""
        groups = [each for each in self.groups if not each.policy.startswith("soft")]
        return dataclasses.replace(self, groups=groups)

    @property
    def model(self) -> ComputeModel:
        model = ComputeModel.build(self.hosts, self.servers, self.groups)
        movable = [server.uuid not in self.excluded for server in model.servers]
        return dataclasses.replace(model, movable=np.array(movable, dtype=np.bool_))

    @property
    def measured(self) -> clusters.Metrics:
        return clusters.Metrics(**self.values)


@st.composite
def drawn_clusters(draw, hosts: int = 6, servers: int = 25) -> Cluster:
    """A small cluster with all that plans have to take care of.

    Hosts may be down, disabled or in maintenance, in two zones, in aggregates with
    metadata; servers of any state may be locked, excluded, pinned, or in groups, and
    may lack metrics.  At times a host holds more than it may from the beginning.
    """
    machines = [_host(draw, number) for number in range(draw(st.integers(1, hosts)))]
    placed: list[Server] = []
    for number in range(draw(st.integers(0, servers))):
        one = _server(draw, number, draw(st.sampled_from(machines)).hostname)
        model = ComputeModel.build(machines, [*placed, one])
        if (model.used() <= model.capacity).all() or not draw(st.integers(0, 15)):
            placed.append(one)
    uuids = [one.uuid for one in placed]
    excluded = draw(st.sets(st.sampled_from(uuids), max_size=3)) if uuids else set()
    return Cluster(
        machines, placed, _groups(draw, uuids), frozenset(excluded), _values(draw, machines, placed)
    )


def _host(draw, number: int) -> Host:
    status = draw(st.sampled_from(["enabled"] * 5 + ["disabled"]))
    reasons = [None, "watcher_disabled", "watcher_maintaining", "broken fan"]
    return clusters.host(
        f"h{number}",
        draw(st.integers(4, 16)),
        vcpus_reserved=draw(st.sampled_from([0, 0, 1])),
        vcpu_ratio=draw(st.sampled_from([1.0, 2.0, 1.5])),
        memory_mb=draw(st.integers(4, 16)) * 1000,
        memory_mb_reserved=draw(st.sampled_from([0, 500])),
        disk_gb=draw(st.integers(5, 50)),
        disk_gb_reserved=draw(st.sampled_from([0, 1])),
        disk_ratio=draw(st.sampled_from([1.0, 1.1])),
        status=status,
        disabled_reason=draw(st.sampled_from(reasons)) if status == "disabled" else None,
        state=draw(st.sampled_from(["up"] * 7 + ["down"])),
        zone=draw(st.sampled_from(["az1", "az2"])),
        pcpus=draw(st.sampled_from([0, 0, 0, 4])),
        units=draw(st.sampled_from([{}] * 4 + UNITS)),
        used=draw(st.sampled_from([{}] * 4 + [{"vcpus": 8}, {"memory_mb": 4000, "pcpus": 2}])),
        traits=frozenset(draw(st.sampled_from([(), ("FAST",), ("FAST", "OLD")]))),
        aggregates=draw(
            st.lists(
                st.sampled_from(
                    [
                        Aggregate(1, "fast", {"disk": "ssd,nvme"}),
                        Aggregate(2, "slow", {"disk": "hdd"}),
                        Aggregate(3, "reserved", {TENANTS: "p1, p2"}),
                        Aggregate(4, "isolated", {"trait:FAST": "required"}),
                        Aggregate(5, "licensed", {"os_distro": "windows"}),
                    ]
                ),
                max_size=1,
            )
        ),
    )


def _server(draw, number: int, hostname: str) -> Server:
    rare = st.sampled_from([False] * 9 + [True])
    return clusters.server(
        f"s{number:02}",
        hostname,
        draw(st.integers(1, 4)),
        memory_mb=draw(st.integers(1, 4)) * 500,
        disk_gb=draw(st.integers(0, 5)),
        state=draw(st.sampled_from(["active"] * 9 + ["paused", "stopped", "error"])),
        task_state="migrating" if draw(rare) else None,
        locked=draw(rare),
        project_id=draw(st.sampled_from(["p1", "p2", "p3"])),
        pinned_az=draw(st.sampled_from([""] * 5 + ["az1", "az2"])),
        zone=draw(st.sampled_from([""] * 9 + ["az1"])),
        needs=draw(st.sampled_from([NOTHING] * 6 + NEEDS)),
        extra_specs=draw(st.sampled_from([{}] * 5 + SPECS)),
    )


def _groups(draw, uuids: list[str]) -> list[ServerGroup]:
    """A server is in one group at most, as in nova."""
    policies = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
    rest = draw(st.permutations(uuids)) if draw(st.booleans()) else []
    groups = []
    for number in range(draw(st.integers(0, 3))):
        members, rest = rest[:3], rest[3:]
        policy, limit = draw(st.sampled_from(policies)), draw(st.integers(1, 2))
        groups.append(ServerGroup(clusters.uid(f"g{number}"), policy, members, limit))
    return groups


def _values(draw, hosts: list[Host], servers: list[Server]) -> dict[str, dict[str, float]]:
    """Servers use what they use; hosts show their sum, or some more."""
    cpu = {one.name: draw(st.sampled_from([0.0, 3.5, 50.0, 97.0, 100.0])) for one in servers}
    unknown = draw(st.sets(st.sampled_from(list(cpu)), max_size=3)) if cpu else set()
    memory = {one.name: one.memory_mb * 0.7 for one in servers if one.name not in unknown}
    extra = draw(st.sampled_from([0.0, 5.0]))
    busy = {
        host.hostname: sum(
            one.vcpus * cpu[one.name] for one in servers if one.host == host.hostname
        )
        / host.cpus
        + extra
        for host in hosts
    }
    measured = draw(st.sets(st.sampled_from(list(busy))))
    return {
        "instance_cpu_usage": {name: cpu[name] for name in cpu if name not in unknown},
        "instance_ram_usage": memory,
        "instance_ram_allocated": {one.name: one.memory_mb for one in servers},
        "instance_root_disk_size": {one.name: one.disk_gb for one in servers},
        "host_cpu_usage": {name: min(100.0, busy[name]) for name in busy if name in measured},
        "host_ram_usage": {},
    }
