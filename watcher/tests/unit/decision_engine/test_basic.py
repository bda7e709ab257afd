# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
from hypothesis import given, settings

from watcher.common import schemas
from watcher.decision_engine import efficacy
from watcher.decision_engine.goals import ServerConsolidationGoal
from watcher.decision_engine.strategies.basic import Basic
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server


def solve(hosts, servers, cpu, fixed=(), options=None, of_servers=None, **parameters):
    model = ComputeModel.build(hosts, servers)
    movable = np.array([each.name not in fixed for each in model.servers], dtype=bool)
    return Basic().execute(
        clusters.inputs(
            Basic,
            dataclasses.replace(model, movable=movable),
            Metrics(host_cpu_usage=cpu, instance_cpu_usage=of_servers or {}),
            options=options,
            **parameters,
        )
    )


def counts(solution):
    """(compute hosts, released ones, migrations)"""
    names = (
        "compute_nodes_count",
        "released_compute_nodes_count",
        "instance_migrations_count",
    )
    return tuple(solution.indicators[name] for name in names)


def disabled(solution):
    return [
        action.input_parameters["resource_name"]
        for action in solution.actions
        if action.action_type == "change_nova_service_state"
    ]


class BasicTest(TestCase):
    def setUp(self):
        super().setUp()
        # h1 is the idlest, h3 the busiest.  h9 has room for the next boot.
        self.hosts = [host("h1"), host("h2"), host("h3"), host("h9", 6)]
        self.cpu = {"h1": 10, "h2": 20, "h3": 30, "h9": 0}
        self.servers = [
            server("s1", "h1", 2),
            server("s2", "h1", 3),
            server("s3", "h2", 6),
            server("s4", "h3", 6),
        ]

    def test_two_hosts_with_an_idle_server_each_become_one(self):
        hosts = [host("h1"), host("h2")]
        servers = [server("s1", "h1"), server("s2", "h2")]
        solution = solve(hosts, servers, {"h1": 1, "h2": 1})
        _, disable = solution.actions
        self.assertEqual([("s1", "h1", "h2")], clusters.moves(solution))
        self.assertEqual("change_nova_service_state", disable.action_type)
        self.assertEqual(
            {
                "resource_id": clusters.uid("h1"),
                "resource_name": "h1",
                "state": "disabled",
                "disabled_reason": "watcher_disabled",
                "only_if_empty": True,
            },
            disable.input_parameters,
        )
        ratios, _ = efficacy.compute(ServerConsolidationGoal, solution.indicators)
        self.assertEqual(50, ratios[0]["value"])

    def test_the_busiest_server_goes_first_to_the_busiest_host_with_room(self):
        solution = solve(
            self.hosts, self.servers, self.cpu, of_servers={"s1": 10, "s2": 90, "s3": 1, "s4": 1}
        )
        self.assertEqual([("s2", "h1", "h3"), ("s1", "h1", "h2")], clusters.moves(solution))
        self.assertEqual(["h1"], disabled(solution))
        self.assertEqual((4, 1, 2), counts(solution))

    def test_a_host_is_emptied_as_a_whole_or_not_at_all(self):
        servers = [*self.servers, server("s5", "h1", 5)]
        solution = solve(self.hosts, servers, self.cpu)
        self.assertEqual([], clusters.moves(solution))
        self.assertEqual((4, 0, 0), counts(solution))

    def test_one_server_that_must_stay_keeps_its_host(self):
        for change in (
            {"locked": True},
            {"state": "paused"},
            {"state": "stopped"},
            {"task_state": "migrating"},
        ):
            servers = [dataclasses.replace(self.servers[0], **change), *self.servers[1:]]
            self.assertEqual([], disabled(solve(self.hosts, servers, self.cpu)))
        self.assertEqual([], disabled(solve(self.hosts, self.servers, self.cpu, fixed=["s1"])))

    def test_what_was_not_measured_counts_as_busy(self):
        servers = [server("s1", "h1"), server("s2", "h2")]
        solution = solve(self.hosts[:2], servers, {"h2": 99})
        self.assertEqual([("s2", "h2", "h1")], clusters.moves(solution))
        solution = solve(self.hosts, self.servers, self.cpu, of_servers={"s2": 99})
        self.assertEqual(["s1", "s2"], [name for name, _, _ in clusters.moves(solution)])

    def test_hosts_that_are_not_available_take_nothing(self):
        for change in ({"state": "down"}, {"status": "disabled"}):
            hosts = [
                self.hosts[0],
                *(dataclasses.replace(each, **change) for each in self.hosts[1:]),
            ]
            self.assertEqual([], clusters.moves(solve(hosts, self.servers[:2], self.cpu)))

    def test_a_disabled_host_is_emptied_but_not_released_again(self):
        hosts = [dataclasses.replace(self.hosts[0], status="disabled"), *self.hosts[1:]]
        solution = solve(hosts, self.servers, self.cpu)
        self.assertEqual(2, len(clusters.moves(solution)))
        self.assertEqual([], disabled(solution))
        self.assertEqual((3, 0, 2), counts(solution))

    def test_a_host_that_is_down_is_left_alone(self):
        hosts = [dataclasses.replace(self.hosts[0], state="down"), *self.hosts[1:]]
        self.assertEqual((3, 0, 0), counts(solve(hosts, self.servers, self.cpu)))

    def test_empty_hosts_stay_empty(self):
        hosts = [*self.hosts, host("h4")]
        solution = solve(hosts, self.servers, self.cpu | {"h4": 0})
        self.assertNotIn("h4", {to for _, _, to in clusters.moves(solution)})
        self.assertEqual((5, 1, 2), counts(solution))

    def test_attempts_end_after_so_many_hosts_that_stay(self):
        # h1, which comes first, cannot be emptied; the others can.
        servers = [server("s1", "h1", 1, locked=True), *self.servers[2:]]
        servers[1] = dataclasses.replace(servers[1], vcpus=3)
        for attempts, released in ((0, 2), (1, 2), (0.5, 0)):
            solution = solve(self.hosts, servers, self.cpu, migration_attempts=attempts)
            self.assertEqual((4, released, released), counts(solution), attempts)

    def test_metadata_may_decide(self):
        tagged = {"check_optimize_metadata": True}
        for metadata, moved in (
            ({}, 2),
            ({"optimize": "true"}, 2),
            ({"optimize": "no"}, 0),
            ({"colour": "red"}, 0),
        ):
            servers = [
                dataclasses.replace(self.servers[0], metadata=metadata),
                *self.servers[1:],
            ]
            solution = solve(self.hosts, servers, self.cpu, options=tagged)
            self.assertEqual(moved, len(clusters.moves(solution)), metadata)
            self.assertEqual(2, len(clusters.moves(solve(self.hosts, servers, self.cpu))))

    def test_metrics_are_read_as_the_audit_says(self):
        metrics = Metrics(host_cpu_usage={}, instance_cpu_usage={})
        parameters = {"period": 60, "aggregation_method": {"instance": "max", "node": "min"}}
        model = ComputeModel.build(self.hosts, self.servers)
        Basic().execute(clusters.inputs(Basic, model, metrics, **parameters))
        self.assertEqual(
            [("host_cpu_usage", 60, "min"), ("instance_cpu_usage", 60, "max")], metrics.calls
        )

    def test_defaults(self):
        self.assertEqual(
            {
                "migration_attempts": 0,
                "period": 7200,
                "granularity": 300,
                "aggregation_method": {"instance": "mean", "compute_node": "mean", "node": ""},
                "target_utilization": 1.0,
                "reserve_hosts": 0,
            },
            schemas.parameters(Basic.schema, {}),
        )

    def test_the_plan_says_why(self):
        solution = solve(self.hosts, self.servers, self.cpu, of_servers={"s1": 10, "s2": 90})
        self.assertEqual(
            [
                "h1 can be emptied (servers: 2); h3 has room",
                "h1 can be emptied (servers: 2); h2 has room",
                "h1 is empty once its servers have moved",
            ],
            [action.reason for action in solution.actions],
        )
        self.assertEqual({"before": 3, "after": 2}, solution.summary["hosts in use"])
        self.assertEqual(
            {"before": 56.7, "after": 85.0}, solution.summary["vCPU allotted on hosts in use, %"]
        )

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters())
    def test_rules(self, cluster):
        model = cluster.model
        solution = Basic().execute(clusters.inputs(Basic, model, cluster.measured))
        self.assertEqual([], checker.faults(solution, model))
        self.assertEqual([], checker.half_emptied(solution, model))
        efficacy.compute(ServerConsolidationGoal, solution.indicators)
