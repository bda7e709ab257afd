# SPDX-License-Identifier: Apache-2.0
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import Units
from watcher.decision_engine.strategies.uniform_airflow import UniformAirflow
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import Metrics, host, server

ALONE = "hosts with much airflow not relieved"


def solve(model, airflow, inlet, power, **parameters):
    measured = Metrics(host_airflow=airflow, host_inlet_temp=inlet, host_power=power)
    return UniformAirflow().execute(clusters.inputs(UniformAirflow, model, measured, **parameters))


class UniformAirflowTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host(f"h{number}") for number in (1, 2, 3, 4)]
        self.servers = [server("s1", "h1", 1), server("s2", "h1", 2), server("s3", "h2", 1)]
        self.airflow = {"h1": 500, "h2": 400, "h3": 300, "h4": 200}
        self.inlet, self.power = {"h1": 30}, {"h1": 400}

    def solve(self):
        model = ComputeModel.build(self.hosts, self.servers)
        return solve(model, self.airflow, self.inlet, self.power)

    def moves(self):
        return clusters.moves(self.solve())

    def test_a_sound_host_loses_its_largest_server(self):
        # Each to a host of its own, although h4 has less airflow.
        solution = self.solve()
        self.assertEqual([("s2", "h1", "h4"), ("s3", "h2", "h3")], clusters.moves(solution))
        self.assertEqual(
            "h1 has an airflow of 500, threshold 400; h4 200", solution.actions[0].reason
        )
        self.assertEqual({ALONE: {"before": 2, "after": 0}}, solution.summary)
        self.assertEqual({}, solution.indicators)

    def test_all_servers_leave_a_faulty_host(self):
        self.inlet, self.power = {"h1": 27.9}, {"h1": 349}
        solution = self.solve()
        self.assertEqual(
            [("s2", "h1", "h4"), ("s1", "h1", "h3"), ("s3", "h2", "h4")], clusters.moves(solution)
        )
        self.assertEqual(
            "h1 has an airflow of 500, threshold 400 with 349 W and air of 27.9 °C, so it "
            "seems faulty; h4 200",
            solution.actions[0].reason,
        )

    def test_warm_air_or_much_power_explain_airflow(self):
        for inlet, power in ((28, 349), (27, 350)):
            self.inlet, self.power = {"h1": inlet}, {"h1": power}
            self.assertEqual(["s2", "s3"], [name for name, _, _ in self.moves()])

    def test_what_is_not_known_of_a_host_makes_it_no_faulty_one(self):
        for inlet, power in (({}, {"h1": 1}), ({"h1": 1}, {}), ({}, {})):
            self.inlet, self.power = inlet, power
            self.assertEqual(["s2", "s3"], [name for name, _, _ in self.moves()])

    def test_a_faulty_host_is_emptied_of_all_that_can_leave_or_not_at_all(self):
        self.inlet, self.power = {"h1": 20}, {"h1": 300}
        self.hosts[2:] = [host("h3", 2), host("h4", 0)]
        self.assertEqual([("s3", "h2", "h3")], self.moves(), "s1 and s2 need three vCPUs")
        self.servers[0] = dataclasses.replace(self.servers[0], locked=True)
        self.assertEqual([("s2", "h1", "h3")], self.moves())

    def test_a_stopped_server_leaves_a_faulty_host_cold(self):
        self.inlet, self.power = {"h1": 20}, {"h1": 300}
        self.servers[1:] = [dataclasses.replace(self.servers[1], state="stopped")]
        self.assertEqual(
            ["cold", "live"],
            [action.input_parameters["migration_type"] for action in self.solve().actions],
        )

    def test_only_active_servers_leave_a_sound_host(self):
        self.servers[1] = dataclasses.replace(self.servers[1], state="paused")
        self.assertEqual(["s1", "s3"], [name for name, _, _ in self.moves()])

    def test_ratio_and_reserve_count(self):
        self.hosts[2:] = [
            host("h3", 1, vcpu_ratio=2.0, units={"vcpus": Units(most=2)}),
            host("h4", vcpus_reserved=9),
        ]
        self.assertEqual([("s2", "h1", "h3"), ("s3", "h2", "h4")], self.moves())

    def test_without_values_or_targets_nothing_moves(self):
        self.airflow = {"h1": 500}
        self.assertEqual([], self.moves())
        self.airflow = {}
        self.assertEqual([], self.moves())

    def test_hosts_are_asked_about_once_and_only_if_need_be(self):
        measured = Metrics(
            host_airflow=self.airflow, host_inlet_temp=self.inlet, host_power=self.power
        )
        model = ComputeModel.build(self.hosts, self.servers)
        for threshold, names in ((400, 3), (600, 1)):
            measured.calls.clear()
            UniformAirflow().execute(
                clusters.inputs(UniformAirflow, model, measured, threshold_airflow=threshold)
            )
            self.assertEqual(names, len(measured.calls))
            self.assertEqual({(300, "mean")}, {call[1:] for call in measured.calls})

    @settings(max_examples=60, deadline=None)
    @given(checker.drawn_clusters(), st.data())
    def test_nothing_is_broken(self, cluster, data):
        names = st.sampled_from([each.hostname for each in cluster.hosts])
        airflow = data.draw(st.dictionaries(names, st.floats(100, 700)))
        inlet = data.draw(st.dictionaries(names, st.sampled_from([20.0, 40.0])))
        power = data.draw(st.dictionaries(names, st.sampled_from([100.0, 600.0])))
        solution = solve(cluster.model, airflow, inlet, power)
        self.assertEqual([], checker.faults(solution, cluster.model))
        self.assertEqual(solution, solve(cluster.model, airflow, inlet, power))
        for name, source, destination in clusters.moves(solution):
            self.assertGreaterEqual(airflow[source], 400, name)
            self.assertLess(airflow[destination], 400, name)
