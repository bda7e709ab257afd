# SPDX-License-Identifier: Apache-2.0
"""Plans for random clouds, carried out against a nova and a placement that refuse what real ones
refuse."""

import dataclasses
import random
import uuid

from watcher.cmd import cloud
from watcher.common.errors import CloudRefused
from watcher.decision_engine import candidates
from watcher.decision_engine.strategies.allocation_balance import AllocationBalance
from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.host_maintenance import HostMaintenance
from watcher.decision_engine.strategies.node_resource_consolidation import NodeResourceConsolidation
from watcher.decision_engine.strategies.outlet_temperature import OutletTemperature
from watcher.decision_engine.strategies.uniform_airflow import UniformAirflow
from watcher.decision_engine.strategies.vm_workload_consolidation import VmWorkloadConsolidation
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.decision_engine.strategies.zone_migration import ZoneMigration
from watcher.model.compute import ComputeModel
from watcher.tests import base
from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.placement import inventory
from watcher.tests.unit.decision_engine import clusters

CLOUDS = 80
VERSIONS = ("2.95", "2.97", "2.100")
"""Of nova, which shows pinned zones from 2.96 on and properties of images from 2.98 on."""
UNKNOWN_PIN = "it is in another zone"
"""What nova may answer if it does not show pins, and a person has named the destination."""
STRATEGIES = (
    (AllocationBalance, {"thresholds": {"vcpus": 0.01, "memory": 0.01}}),
    (Basic, {}),
    (HostMaintenance, {"maintenance_node": "h0", "backup_node": "h1"}),
    (HostMaintenance, {"maintenance_node": "h0"}),
    (NodeResourceConsolidation, {}),
    (NodeResourceConsolidation, {"host_choice": "specify"}),
    (OutletTemperature, {"threshold": 30.0}),
    (
        UniformAirflow,
        {"threshold_airflow": 30.0, "threshold_inlet_t": 30.0, "threshold_power": 30.0},
    ),
    (VmWorkloadConsolidation, {}),
    (WorkloadBalance, {"threshold": 30.0}),
    (WorkloadStabilization, {"thresholds": {"instance_cpu_usage": 0.01}}),
    (ZoneMigration, {"compute_nodes": [{"src_node": "h0", "dst_node": "h1"}]}),
)
SPECS = [
    *[{}] * 8,
    {"hw:cpu_policy": "dedicated"},
    {"trait:FAST": "required"},
    {"trait:OLD": "forbidden"},
    {"hw:mem_page_size": "large"},
    {"resources:VGPU": "1"},
    {"resources1:VGPU": "1", "hw:cpu_policy": "dedicated"},
    {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0"},
    {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0"},
    {"resources:DISK_GB": "0"},
    {"aggregate_instance_extra_specs:ssd": "true"},
    {"ssd": "<or> true <or> maybe"},
]
PROPERTIES = [
    {},
    *[{"os_distro": "debian"}, {"os_distro": "windows"}] * 3,
    {"trait:FAST": "required"},
    {"trait:OLD": "forbidden", "os_distro": "windows"},
    {"hw_cpu_policy": "dedicated"},
    {"hw_machine_type": "q35"},
]
"""Of images."""
STATES = (
    *["active"] * 12,
    *["stopped", "resized"] * 2,
    *["paused", "suspended", "rescued", "shelved", "error"],
)
ISOLATED = (
    {"filter_tenant_id": "ours"},
    {"trait:FAST": "required"},
    {"ssd": "true"},
    {"ssd": "maybe", "filter_tenant_id_2": "ours, others"},
    {"os_distro": "debian,ubuntu"},
    {"os_distro": "windows"},
)
"""Metadata of aggregates."""


def named(parameters):
    """Whether a person names the destination."""
    return "backup_node" in parameters or "compute_nodes" in parameters


class RandomCloud:
    """Hosts in two zones with unlike CPUs, servers of flavors of every sort, and others' claims."""

    def __init__(self, emulated, draw):
        self.nova, self.placement, self.draw = emulated.nova, emulated.placement, draw
        self.placement.__init__()
        self.nova.__init__(placement=self.placement)
        self.nova.newest = draw.choice(VERSIONS)
        self.nova.new_uuid = lambda: str(uuid.UUID(int=draw.getrandbits(128)))
        self.names = [f"h{number}" for number in range(draw.randint(4, 8))]
        for name in self.names:
            self._host(name)
        for number, metadata in enumerate(ISOLATED):
            hosts = draw.sample(self.names, draw.choice([0, 0, 0, 1, 2]))
            self.nova.aggregates.append(
                {"id": number, "name": f"a{number}", "metadata": metadata, "hosts": hosts}
            )
        for number in range(draw.randint(8, 24)):
            self._server(number)
        for row in self.nova.hypervisors.values():
            row["status"] = "disabled" if draw.random() < 0.05 else "enabled"
            row["state"] = "down" if draw.random() < 0.05 else "up"
        self._groups()

    def _host(self, name):
        draw = self.draw
        ident = self.nova.add_host(name, zone=draw.choice(["east", "east", "west"]))
        has = {
            "MEMORY_MB": inventory(draw.choice([8192, 16384]), 512, 1.5),
            "DISK_GB": inventory(draw.choice([40, 200])),
        }
        cpus = draw.choice(["shared", "shared", "both", "dedicated"])
        if cpus != "dedicated":
            most = draw.choice([{}, {"max_unit": 2}, {"step_size": 2}])
            has["VCPU"] = inventory(draw.choice([4, 8, 16]), 0, draw.choice([1.0, 4.0]), **most)
        if cpus != "shared":
            has["PCPU"] = inventory(8)
        self.placement.put(ident, has, draw.sample(["FAST", "OLD"], draw.randint(0, 2)))
        if draw.random() < 0.5:
            self.placement.put(f"gpu-{ident}", {"VGPU": inventory(draw.randint(1, 2))}, below=ident)
        if draw.random() < 0.3:
            self.placement.allocate(f"claim-{ident}", {ident: {"VCPU": 2, "MEMORY_MB": 1024}})

    def _server(self, number):
        """On a host that the scheduler would give it, or that a user has forced."""
        draw = self.draw
        flavor = self.nova.add_flavor(
            f"f{number}",
            draw.choice([1, 2, 4, 8]),
            draw.choice([512, 1024, 4096]),
            draw.choice([0, 10]),
            ephemeral=draw.choice([0, 0, 5]),
            swap=draw.choice([0, 0, 1000]),
        )
        flavor["extra_specs"] = draw.choice(SPECS)
        image = draw.choice(["", {"id": "image"}])
        if image and self.nova.newest == VERSIONS[-1]:
            image["properties"] = draw.choice(PROPERTIES)
        project = draw.choice(["ours", "theirs"])
        ident = self.nova.add_server(f"s{number}", None, flavor, image=image, tenant_id=project)
        row = self.nova.all[ident]
        forced = draw.random() < 0.05
        fit = [name for name in self.names if forced or not self.nova.refusal(ident, name)]
        if not fit:
            del self.nova.all[ident]
            return
        host = draw.choice(fit)
        zone = next(
            each["zone"] for each in self.nova.compute_services.values() if each["host"] == host
        )
        pin = zone if draw.random() < 0.3 else None
        self.nova.touch(ident, **{
            "OS-EXT-SRV-ATTR:host": host,
            "OS-EXT-AZ:availability_zone": zone,
            "pinned_availability_zone": pin,
            "OS-EXT-STS:vm_state": draw.choice(STATES),
            "OS-EXT-STS:task_state": "spawning" if draw.random() < 0.03 else None,
            "locked": draw.random() < 0.03,
        })  # fmt: skip
        if row["OS-EXT-STS:vm_state"] == "resized":
            self.nova.holds[ident] = draw.choice(fit)
            self.nova.touch(ident)

    def _groups(self):
        uuids = self.draw.sample(list(self.nova.all), min(6, len(self.nova.all)))
        self._group("soft-anti-affinity", uuids[:3])
        self._group("soft-affinity", uuids[3:])
        homes = {}
        for ident in sorted(self.nova.all.keys() - {*uuids}):
            homes.setdefault(self.nova.all[ident]["OS-EXT-SRV-ATTR:host"], []).append(ident)
        most = self.draw.choice([1, 1, 2])
        apart = [ident for each in homes.values() for ident in each[:most]][:4]
        self._group("anti-affinity", apart, rules={"max_server_per_host": most})
        for each in homes.values():
            if self.draw.random() < 0.2:
                self._group("affinity", [ident for ident in each if ident not in apart][:3])

    def _group(self, policy, members, **more):
        number = len(self.nova.groups)
        self.nova.groups.append({"id": f"g{number}", "policy": policy, "members": members, **more})


class RandomCloudsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.emulated = self.useFixture(EmulatedCloud())
        self.emulated.configure(self.conf)

    def solve(self, compute, strategy, parameters, draw):
        model = ComputeModel.build(compute.hosts(), compute.servers(), compute.server_groups())
        if any(name not in model.host_index for name in ("h0", "h1")):
            return ()
        values = {each.uuid: draw.uniform(0, 60) for each in (*model.hosts, *model.servers)}
        given = dataclasses.replace(
            clusters.inputs(strategy, model, **parameters),
            host_metric=lambda name, what, **how: {each.uuid: values[each.uuid] for each in what},
            server_metric=lambda name, what, **how: {each.uuid: values[each.uuid] for each in what},
        )
        return candidates.solve(strategy, given, compute.has_candidate).actions

    def carry_out(self, compute, actions, draw):
        """How many moves were asked of nova.  What needs the room of a failed one is left out."""
        nova, stuck, asked = self.emulated.nova, set(), 0
        for action in actions:
            what = action.input_parameters
            if action.action_type == "change_nova_service_state":
                if what["state"] == "enabled":
                    compute.enable(what["resource_name"])
                else:
                    compute.disable(what["resource_name"], what["disabled_reason"])
            if action.action_type != "migrate":
                continue
            if what.get("destination_node") in stuck:
                stuck.add(what["source_node"])
                continue
            uuid, fails = what["resource_id"], draw.random() < 0.1
            if fails:
                nova.fails[uuid] = "It was configured to fail."
            is_live = what["migration_type"] == "live"
            move = compute.live_migrate if is_live else compute.cold_migrate
            try:
                move(uuid, what.get("destination_node"))
            except CloudRefused:
                stuck.add(what["source_node"])
                continue
            asked += 1
            nova.finish(uuid)
            nova.fails.clear()
            if fails:
                stuck.add(what["source_node"])
            elif not is_live:
                compute.confirm_resize(uuid)
        return asked

    def test_refusals_that_the_model_could_predict_do_not_happen(self):
        asked, kinds, connected = 0, set(), {}
        for number in range(CLOUDS):
            draw = random.Random(number)
            chosen = RandomCloud(self.emulated, draw)
            version = chosen.nova.newest
            if version not in connected:
                connected[version] = cloud.connect(self.conf).compute
            compute = connected[version]
            for strategy, parameters in draw.sample(STRATEGIES, 3):
                actions = self.solve(compute, strategy, parameters, draw)
                made = self.carry_out(compute, actions, draw)
                asked += made
                kinds |= {strategy.name} if made else set()
                hidden = version == VERSIONS[0] and named(parameters)
                refused = [
                    each
                    for each in chosen.nova.refused
                    if not (hidden and each.endswith(UNKNOWN_PIN))
                ]
                self.assertEqual([], refused, (number, strategy.name))
                chosen.nova.refused.clear()
        self.assertGreater(asked, CLOUDS)
        self.assertEqual({strategy.name for strategy, _ in STRATEGIES}, kinds)
