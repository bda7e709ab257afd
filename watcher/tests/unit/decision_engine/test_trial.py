# SPDX-License-Identifier: Apache-2.0
from watcher.common.errors import MetricsUnavailable, ModelUnavailable, NotFound
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.base import Strategy
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid


class Tasteful(Strategy):
    metrics = ("needed",)
    optional_metrics = ("nice",)


class TrialTest(TestCase):
    def test_a_parameter_may_be_called_metrics(self):
        hosts = [host("h1", 4), host("h2", 4)]
        servers = [server("s1", "h1", memory_mb=4000), server("s2", "h1", memory_mb=4000)]
        used = {uid("s1"): 2000.0, uid("s2"): 2000.0}
        solution = WorkloadBalance().execute(
            trial.inputs(
                WorkloadBalance,
                ComputeModel.build(hosts, servers),
                measured={"instance_ram_usage": used},
                metrics="instance_ram_usage",
                threshold=30,
            )
        )
        self.assertEqual(["migrate"], [action.action_type for action in solution.actions])

    def test_what_is_not_given_is_not_there(self):
        inputs = trial.inputs(Tasteful)
        for model in (inputs.compute_model, inputs.storage_model, inputs.baremetal_model):
            self.assertRaises(ModelUnavailable, model)
        self.assertRaises(MetricsUnavailable, inputs.server_metric, "needed", [])
        self.assertEqual({}, inputs.server_metric("nice", []))
        self.assertRaises(NotFound, inputs.scoring_engine, "dummy_scorer")
