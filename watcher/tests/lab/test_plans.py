# SPDX-License-Identifier: Apache-2.0
"""Strategies whose plans are carried out on a real nova, by metrics of a real Prometheus."""

import statistics

from watcher.cloud.compute import MAINTAINING
from watcher.tests.lab.services import ServicesTestCase


class PlansTest(ServicesTestCase):
    def test_workload_stabilization(self) -> None:
        actions = self.carried_out(
            self.audit("workload_stabilization", thresholds={"instance_cpu_usage": 0.05})
        )
        self.check_moves(actions)
        self.assertEqual({"migrate"}, {action.action_type for action in actions})

    def test_workload_balance(self) -> None:
        cpu = self.cpu_of_hosts().values()
        threshold = (max(cpu) + statistics.mean(cpu)) / 2
        actions = self.carried_out(self.audit("workload_balance", threshold=threshold))
        self.check_moves(actions)

    def test_host_maintenance(self) -> None:
        hostname = self.fullest_host()
        actions = self.carried_out(self.audit("host_maintenance", maintenance_node=hostname))
        self.check_moves(actions)
        host = self.nova.host(hostname)
        self.assertEqual(("disabled", MAINTAINING), (host.status, host.disabled_as))
        self.assertEqual(
            [], [server.name for server in self.nova.servers() if server.host == hostname]
        )

    def test_zone_migration(self) -> None:
        source = self.fullest_host()
        target = next(host for host in self.nova.hosts() if host.hostname != source)
        actions = self.carried_out(
            self.audit(
                "zone_migration",
                compute_nodes=[{"src_node": source, "dst_node": target.hostname}],
                parallel_total=2,
            )
        )
        self.check_moves(actions)
        self.assertEqual(2, len(actions))

    def test_vm_workload_consolidation(self) -> None:
        actions = self.carried_out(self.audit("vm_workload_consolidation", period=300))
        self.check_moves(actions)
        self.assertIn("disabled", {host.status for host in self.nova.hosts()})

    def test_node_resource_consolidation(self) -> None:
        for choice, types in (
            ("specify", {"migrate"}),
            ("auto", {"migrate", "change_nova_service_state"}),
        ):
            actions = self.carried_out(
                self.audit("node_resource_consolidation", host_choice=choice)
            )
            self.check_moves(actions)
            self.assertEqual(types, {action.action_type for action in actions})
            self.bring_back()
