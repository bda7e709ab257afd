# SPDX-License-Identifier: Apache-2.0
import dataclasses
import types

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine import efficacy
from watcher.decision_engine.goals import ServerConsolidationGoal
from watcher.decision_engine.planners import NodeResourceConsolidationPlanner
from watcher.decision_engine.solution import Solution
from watcher.decision_engine.strategies.node_resource_consolidation import (
    NodeResourceConsolidation,
)
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import host, server


def solve(model, failed=(), **parameters):
    return NodeResourceConsolidation().execute(
        clusters.inputs(NodeResourceConsolidation, model, failed=failed, **parameters)
    )


def steps(solution):
    """(server, destination) of each migration, (host, state) of each change."""
    return [
        (
            action.input_parameters["resource_name"],
            action.input_parameters.get("destination_node", action.input_parameters.get("state")),
        )
        for action in solution.actions
    ]


class NodeResourceConsolidationTest(TestCase):
    """h1 has least, h3 most; h4 is empty and h5 out of service."""

    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in range(1, 5)]
        self.hosts.append(host("h5", status="disabled"))
        self.servers = [
            server("s1", "h1", 1),
            server("s2", "h1", 2),
            server("s3", "h2", 3),
            server("s4", "h2", 3),
            server("s5", "h3", 8),
        ]

    def solve(self, **parameters):
        return solve(ComputeModel.build(self.hosts, self.servers), **parameters)

    def test_the_scheduler_picks(self):
        self.assertEqual(
            [
                ("h1", "disabled"),
                ("h4", "disabled"),
                ("s2", None),
                ("s1", None),
                ("h1", "enabled"),
                ("h4", "enabled"),
            ],
            steps(self.solve()),
        )

    def test_where_a_scheduler_would_leave_a_server_without_a_host_the_strategy_picks(self):
        self.hosts = [host("h1", 10), host("h2", 10), host("h3", 10, memory_mb=20000)]
        self.servers = [
            server("small", "h1", 2, memory_mb=2000),  # would be spread to h3
            server("large", "h1", 1, memory_mb=8000),
            server("b", "h2", 8, memory_mb=5000),
            server("c", "h3", 7, memory_mb=11000),
        ]
        self.assertEqual([("small", "h2"), ("large", "h3")], steps(self.solve()))

    def test_why(self):
        disable, _, migrate, _, enable, _ = self.solve().actions
        self.assertEqual(
            {
                "resource_id": clusters.uid("h1"),
                "resource_name": "h1",
                "state": "disabled",
                "disabled_reason": "watcher_disabled",
            },
            disable.input_parameters,
        )
        self.assertEqual("Keeps the scheduler from picking h1 while servers move", disable.reason)
        self.assertEqual(
            "h1 can be emptied (servers: 2); the scheduler picks the host", migrate.reason
        )
        self.assertEqual("h1 was disabled only while servers moved", enable.reason)

    def test_the_strategy_picks(self):
        solution = self.solve(host_choice="specify")
        self.assertEqual([("s2", "h3"), ("s1", "h2")], steps(solution))
        self.assertEqual([5, 1, 2], list(solution.indicators.values()))
        self.assertEqual({"before": 3, "after": 2}, solution.summary["hosts in use"])

    def test_a_host_that_a_server_could_not_leave_is_not_tried_again(self):
        solution = self.solve(host_choice="specify", failed=[clusters.uid("s1")])
        self.assertEqual([("s3", "h1"), ("s4", "h1")], steps(solution))
        gone = self.solve(host_choice="specify", failed=[clusters.uid("gone")])
        self.assertEqual(2, len(steps(gone)))

    def test_the_host_with_fewest_servers_is_emptied(self):
        self.servers[2:4] = [server("s3", "h2", 6)]
        self.assertEqual([("s3", "h1")], steps(self.solve(host_choice="specify")))

    def test_a_host_without_servers_comes_back_when_servers_have_moved(self):
        """Else the scheduler would pick it; one that keeps servers comes back before."""
        standby = {"status": "disabled", "disabled_reason": "watcher_disabled"}
        self.hosts = [
            host("h1", 3),
            host("h2", 20),
            host("h5", 3, **standby),
            host("h6", **standby),
        ]
        self.servers = [
            server("s1", "h1", 3),
            server("s2", "h2", 12),
            server("s3", "h5", 3, locked=True),
        ]
        solution = self.solve(reserve_hosts=2)
        expected = [("h5", "enabled"), ("h1", "disabled"), ("s1", None), ("h1", "enabled")]
        self.assertEqual([*expected, ("h6", "enabled")], steps(solution))
        options = types.SimpleNamespace(migrations_per_host=1)
        planned = NodeResourceConsolidationPlanner(options).plan(solution)
        self.assertEqual([*expected, ("h6", "enabled")], steps(Solution(planned)))

    def test_nothing_to_empty(self):
        self.servers[0] = dataclasses.replace(self.servers[0], vcpus=5)
        for choice in ("auto", "specify"):
            self.assertEqual([], steps(self.solve(host_choice=choice)))

    def test_stopped_servers_move_cold(self):
        self.servers[:2] = [dataclasses.replace(self.servers[0], state="stopped")]
        for choice in ("auto", "specify"):
            ways = [
                action.input_parameters["migration_type"]
                for action in self.solve(host_choice=choice).actions
                if action.action_type == "migrate"
            ]
            self.assertEqual(["cold"], ways)

    @settings(max_examples=50, deadline=None)
    @given(checker.drawn_clusters(), st.sampled_from(["auto", "specify"]), st.data())
    def test_rules(self, cluster, choice, data):
        model = cluster.model
        uuids = [one.uuid for one in cluster.servers]
        failed = data.draw(st.sets(st.sampled_from(uuids), max_size=2)) if uuids else set()
        solution = solve(model, failed, host_choice=choice)
        self.assertEqual([], checker.faults(solution, model))
        self.assertEqual([], checker.half_emptied(solution, model))
        sources = {
            action.input_parameters["source_node"]
            for action in solution.actions
            if action.action_type == "migrate"
        }
        self.assertFalse(sources & {one.host for one in cluster.servers if one.uuid in failed})
        self.assertEqual(len(sources), solution.indicators["released_compute_nodes_count"])
        efficacy.compute(ServerConsolidationGoal, solution.indicators)
        self.assertEqual(solution, solve(model, failed, host_choice=choice))
