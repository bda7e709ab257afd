# SPDX-License-Identifier: Apache-2.0
import itertools
from unittest import mock

from watcher.cloud.compute import ServerGroup
from watcher.cloud.needs import Needs
from watcher.decision_engine import candidates
from watcher.decision_engine.strategies.actuator import Actuator
from watcher.decision_engine.strategies.host_maintenance import HostMaintenance
from watcher.decision_engine.strategies.node_resource_consolidation import (
    NodeResourceConsolidation,
)
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.clusters import host, server

PAGES = Needs(unjudged=("hw:mem_page_size",))


class CandidatesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.asked = []
        self.refused = set()
        self.needs = {"s1": PAGES, "s2": PAGES}

    def has_candidate(self, server_, hostnames):
        self.asked += [(server_.name, each) for each in hostnames]
        return any((server_.name, each) not in self.refused for each in hostnames)

    def solve(self, strategy=WorkloadBalance, hosts=3, servers=6, **parameters):
        model = ComputeModel.build(
            [host(f"h{n}") for n in range(hosts)],
            [
                server(f"s{n}", "h0", 2, needs=self.needs.get(f"s{n}", Needs()))
                for n in range(servers)
            ],
        )
        cpu = clusters.Metrics(instance_cpu_usage={f"s{n}": 100.0 for n in range(servers)})
        given = clusters.inputs(strategy, model, cpu, **parameters)
        self.solution = candidates.solve(strategy, given, self.has_candidate)
        steps = [each.input_parameters for each in self.solution.actions]
        return {each.get("resource_name"): each.get("destination_node") for each in steps}

    def test_each_move_of_what_the_model_cannot_judge_is_asked_of_placement(self):
        self.needs |= {f"s{n}": PAGES for n in range(6)}
        moves = self.solve(threshold=90)
        self.assertTrue(moves)
        self.assertEqual(sorted(moves.items()), sorted(self.asked))
        for action in self.solution.actions:
            self.assertIn("placement has a candidate there for its hw:mem_page_size", action.reason)

    def test_of_others_nothing_is_asked(self):
        self.needs.clear()
        self.assertTrue(self.solve(threshold=90))
        self.assertEqual([], self.asked)

    def test_one_that_is_refused_stays_and_others_go(self):
        self.refused = set(itertools.product(("s1", "s2"), ("h1", "h2")))
        moves = self.solve(threshold=90)
        self.assertTrue(moves)
        self.assertFalse({"s1", "s2"} & moves.keys())

    def test_all_stay_in_the_end_and_it_is_said(self):
        self.needs = {f"s{n}": PAGES for n in range(6)}
        self.refused = set(itertools.product(self.needs, ("h1", "h2")))
        self.assertEqual({}, self.solve(threshold=90))
        reasons = {each.reason: each.count for each in self.solution.undone}
        self.assertEqual({undone.UNJUDGED: 6}, reasons)

    def test_placement_is_not_asked_without_end(self):
        self.needs = {f"s{n}": PAGES for n in range(6)}
        with mock.patch.object(candidates, "MOST", 1):
            moves = self.solve(threshold=50)
        self.assertEqual(1, len(self.asked))
        self.assertFalse(moves.keys() - {name for name, _ in self.asked})
        self.asked.clear()
        with mock.patch.object(candidates, "SECONDS", -1.0):
            self.assertEqual({}, self.solve(threshold=50))
        self.assertEqual([], self.asked)

    def test_one_host_takes_one_of_them_in_a_plan(self):
        self.needs = {f"s{n}": PAGES for n in range(6)}
        moves = self.solve(threshold=20)
        self.assertEqual(len(moves), len(set(moves.values())))

    def test_where_the_scheduler_picks_the_host_placement_has_to_have_one(self):
        self.solve(HostMaintenance, maintenance_node="h0")
        self.assertEqual([*itertools.product(("s1", "s2"), ("h1", "h2"))], sorted(self.asked))
        reasons = [each.reason for each in self.solution.actions if "s1" in str(each)]
        self.assertIn("nova finds the host for its hw:mem_page_size", reasons[0])

    def test_where_the_scheduler_would_find_no_host_the_server_stays(self):
        self.refused = {("s1", "h1"), ("s1", "h2"), ("s2", "h1")}
        moves = self.solve(HostMaintenance, maintenance_node="h0")
        self.assertNotIn("s1", moves)
        self.assertIn("s2", moves)
        reasons = {each.reason: each.examples for each in self.solution.undone}
        self.assertEqual(("s1",), reasons[undone.UNJUDGED])

    def test_the_scheduler_picks_no_host_that_is_disabled_while_servers_move(self):
        hosts = [host(f"h{n}") for n in range(4)]
        servers = [
            server("s0", "h0", 1, needs=PAGES), server("s1", "h1", 1), server("s3", "h3", 20)
        ]  # fmt: skip
        given = clusters.inputs(NodeResourceConsolidation, ComputeModel.build(hosts, servers))
        solution = candidates.solve(NodeResourceConsolidation, given, self.has_candidate)
        steps = [each.input_parameters for each in solution.actions]
        closed = {each["resource_name"] for each in steps if each.get("state") == "disabled"}
        self.assertEqual({"h0", "h2"}, closed)
        self.assertEqual({("s0", "h1")}, set(self.asked), "h3 has no room")

    def test_the_scheduler_picks_no_host_with_another_member_of_the_group(self):
        servers = [server("s0", "h0", needs=PAGES), server("s1", "h1")]
        group = ServerGroup("g", "anti-affinity", [each.uuid for each in servers])
        model = ComputeModel.build([host(f"h{n}") for n in range(3)], servers, [group])
        given = clusters.inputs(HostMaintenance, model, maintenance_node="h0")
        candidates.solve(HostMaintenance, given, self.has_candidate)
        self.assertEqual([("s0", "h2")], self.asked)

    def test_the_scheduler_picks_no_host_that_other_moves_of_the_plan_fill(self):
        servers = [server("s0", "h0", 4), server("s1", "h0", 2, needs=PAGES)]
        model = ComputeModel.build([host("h0"), host("h1", 5), host("h2")], servers)
        self.refused = {("s1", "h2")}
        nodes = {"maintenance_node": "h0", "backup_node": "h1"}
        given = clusters.inputs(HostMaintenance, model, **nodes)
        solution = candidates.solve(HostMaintenance, given, self.has_candidate)
        self.assertEqual([("s1", "h2")], self.asked)
        self.assertEqual([("s0", "h0", "h1")], clusters.moves(solution))

    def test_orders_of_a_person_are_not_questioned(self):
        self.refused = {("s1", "h1")}
        one = {"action_type": "migrate", "resource_id": clusters.uid("s1"), "input_parameters": {
            "migration_type": "live", "source_node": "h0", "destination_node": "h1"
        }}  # fmt: skip
        self.solve(Actuator, actions=[one])
        self.assertEqual(1, len(self.solution.actions))
        self.assertEqual([], self.asked)
