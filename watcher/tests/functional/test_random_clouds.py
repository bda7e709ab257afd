# SPDX-License-Identifier: Apache-2.0
"""Plans for random clouds, carried out against a nova and a placement that refuse what real ones
refuse."""

import dataclasses
import itertools
import os
import random

from watcher.applier import recheck
from watcher.cloud.nested import nested_of, with_nested
from watcher.cloud.openstack import server_groups
from watcher.cmd import cloud
from watcher.common.errors import CloudRefused, CloudUnavailable, NotFound
from watcher.decision_engine import candidates, planning
from watcher.decision_engine.catalog import Catalog
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
from watcher.tests.emulated.random_changes import change
from watcher.tests.emulated.random_cloud import RandomCloud
from watcher.tests.unit.decision_engine import clusters

CLOUDS = 80
"""Of the seeds from 0 on.  RANDOM_CLOUDS in the environment names others, by the first one and
their number, such as 1000:500."""
PINS_HIDDEN = ("2.87", "2.95")
UNKNOWN_PIN = "it is in another zone"
"""What nova may answer if it does not show pins, and a person has named the destination."""
UNKNOWN_OPTION = "it is in no aggregate of the project"
"""What nova may answer if it is configured to confine projects, which it does not show: so servers
that are on hosts of their project stay on such, unless a person names the destination."""
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
    (ZoneMigration, {"compute_nodes": [{"src_node": "h0"}]}),
)


def unknowable(why, version, parameters):
    named = {"maintenance_node", "compute_nodes"} & parameters.keys()
    hidden = [UNKNOWN_OPTION, *([UNKNOWN_PIN] if version in PINS_HIDDEN else [])]
    return bool(named) and any(each in why for each in hidden)


class RandomCloudsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.emulated = self.useFixture(EmulatedCloud())
        self.emulated.configure(self.conf)
        self.catalog, self.refused = Catalog(self.conf), []
        # Connections know soft-deleted servers for five minutes, and have several clouds here.
        self.patch(server_groups, "monotonic", itertools.count(step=301).__next__)

    def solve(self, compute, strategy, parameters, draw):
        try:
            hosts, servers, groups = compute.hosts(), compute.servers(), compute.server_groups()
        except CloudUnavailable:  # a cell is down
            return ()
        nested = nested_of(hosts)
        model = ComputeModel.build(hosts, [with_nested(each, nested) for each in servers], groups)
        if any(name not in model.host_index for name in ("h0", "h1")):
            return ()
        values = {each.uuid: draw.uniform(0, 60) for each in (*model.hosts, *model.servers)}
        given = dataclasses.replace(
            clusters.inputs(strategy, model, **parameters),
            host_metric=lambda name, what, **how: {each.uuid: values[each.uuid] for each in what},
            server_metric=lambda name, what, **how: {each.uuid: values[each.uuid] for each in what},
        )
        solution = candidates.solve(strategy, given, compute.has_candidate)
        # Invalid if the checker finds a fault in the plan.
        return planning.plan(strategy, solution, given, self.catalog.planner(strategy.planner))

    def carry_out(self, compute, actions, draw):
        """How many moves were asked of nova.  What needs the room of a failed one is left out."""
        stuck, asked, self.picked = set(), 0, False
        for action in actions:
            what = action.input_parameters
            if action.action_type == "change_nova_service_state":
                if what["state"] == "enabled":
                    compute.enable(what["resource_name"])
                else:
                    compute.disable(what["resource_name"], what["disabled_reason"])
            elif action.action_type == "migrate":
                needs_room = what.get("destination_node") in stuck
                arrived = None if needs_room else self.move(compute, what, draw.random() < 0.1)
                asked += arrived is not None
                stuck |= set() if arrived else {what["source_node"]}
        return asked

    def move(self, compute, what, fails):
        """Whether the server has arrived; None if nova has refused that."""
        nova, uuid, host = self.emulated.nova, what["resource_id"], what.get("destination_node")
        is_live = what["migration_type"] == "live"
        if fails:
            nova.fails[uuid] = "It was configured to fail."
        try:
            (compute.live_migrate if is_live else compute.cold_migrate)(uuid, host)
        except CloudRefused:
            nova.fails.clear()
            if not host and self.picked:
                nova.refused.clear()  # nova might have picked another host for one before
            return None
        self.picked |= not host
        nova.finish(uuid)
        nova.fails.clear()
        if not fails and not is_live:
            compute.confirm_resize(uuid)
        return not fails

    def is_ready(self, compute, action):
        """Whether an action would begin, as each looks at its own server first."""
        what = action.input_parameters
        if action.action_type != "migrate":
            return True
        try:
            server = compute.server(what["resource_id"])
        except NotFound:
            return False
        return server.host == what["source_node"] and server.migration == what["migration_type"]

    def clouds(self):
        """Number, random numbers, cloud, and the connection to it."""
        first, count = map(int, os.environ.get("RANDOM_CLOUDS", f"0:{CLOUDS}").split(":"))
        connected = {}
        for number in range(first, first + count):
            draw = random.Random(number)
            chosen = RandomCloud(self.emulated, draw)
            version = chosen.nova.newest
            if version not in connected:
                connected[version] = cloud.connect(self.conf).compute
            yield number, draw, chosen, connected[version]

    def test_what_has_changed_before_the_start_is_skipped(self):
        """All but the moves for which nova picks the host, as that may not have one any more."""
        skipped = 0
        for number, draw, chosen, compute in self.clouds():
            strategy, parameters = draw.choice(STRATEGIES)
            actions = self.solve(compute, strategy, parameters, draw)
            change(chosen.nova, chosen.placement, draw)
            try:
                stale = recheck.stale_actions(actions, recheck.read(actions, compute))
            except CloudUnavailable:  # a cell is down
                continue
            skipped += len(stale)
            left = [each for each in actions if each.uuid not in stale]
            self.carry_out(compute, [each for each in left if self.is_ready(compute, each)], draw)
            named = [each for each in chosen.nova.refused if " to any host: " not in each]
            self.refused += [(number, strategy.name, each) for each in named]
        self.assertEqual([], self.refused)
        self.assertGreater(skipped, 0)

    def test_refusals_that_the_model_could_predict_do_not_happen(self):
        asked, kinds, count = 0, set(), 0
        for number, draw, chosen, compute in self.clouds():
            count += 1
            for strategy, parameters in draw.sample(STRATEGIES, 3):
                actions = self.solve(compute, strategy, parameters, draw)
                made = self.carry_out(compute, actions, draw)
                asked += made
                kinds |= {strategy.name} if made else set()
                self.refused += [
                    (number, strategy.name, each)
                    for each in chosen.nova.refused
                    if not unknowable(each, chosen.nova.newest, parameters)
                ]
                chosen.nova.refused.clear()
        self.assertEqual([], self.refused, f"of {asked} moves")
        self.assertGreater(asked, count)
        self.assertEqual({strategy.name for strategy, _ in STRATEGIES}, kinds)
