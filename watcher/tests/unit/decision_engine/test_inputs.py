# SPDX-License-Identifier: Apache-2.0
import datetime
import functools
import math

import numpy as np

from watcher.cloud import Cloud
from watcher.common.errors import (
    Invalid,
    MetricsUnavailable,
    ModelUnavailable,
    NotConfigured,
    NotFound,
)
from watcher.db import models
from watcher.decision_engine import inputs
from watcher.decision_engine.datasources import host_names
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.strategies.basic import Basic
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.decision_engine.strategies.workload_balance import WorkloadBalance
from watcher.decision_engine.strategies.workload_stabilization import WorkloadStabilization
from watcher.decision_engine.usual_loads import HOURS
from watcher.model import undone
from watcher.simulation.block_storage import SimulatedStorage
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid

HOW = {"period": 300, "aggregate": "mean", "granularity": 300}
RUN = "11111111-2222-3333-4444-555555555555"


class SmallCloud:
    """Counts how often it is looked at."""

    name = "small"

    def __init__(self, hosts=(), servers=()):
        self._hosts, self._servers, self.looks = hosts, servers, 0

    def hosts(self):
        self.looks += 1
        return self._hosts

    def servers(self):
        return self._servers

    def server_groups(self):
        return ()

    def migrations(self, since):
        return ()

    def host_metric(self, name, hosts, period, aggregate, granularity):
        return {each.uuid: period for each in hosts}

    def server_metric(self, name, servers, period, aggregate, granularity):
        return {each.uuid: granularity for each in servers}


class InputsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.compute = SmallCloud(
            [host("h1", zone="az1"), host("h2", zone="az2")],
            [server("s1", "h1"), server("s2", "h2")],
        )

    def make(self, strategy=Dummy, run=RUN, cloud=None, given=None, **audit):
        cloud = cloud or Cloud(self.compute, own_metrics=self.compute)
        values = {"uuid": uid("audit"), "audit_type": "ONESHOT", "parameters": {}, "scope": []}
        return inputs.make(
            strategy,
            models.AuditRun(uuid=run, parameters=given, audit=models.Audit(**(values | audit))),
            datetime.datetime(2026, 1, 1),
            Sources.of(self.conf, cloud),
            frozenset,
        )

    def test_times_that_no_clock_has_are_refused(self):
        for name in ("period", "granularity"):
            error = self.assertRaises(Invalid, self.make, Basic, parameters={name: 1e15})
            self.assertIn(f"{name}: must not be more than", str(error))
        periods = {"periods": {"instance": 10**15}}
        error = self.assertRaises(Invalid, self.make, WorkloadStabilization, parameters=periods)
        self.assertIn("periods.instance: must not be more than", str(error))

    def test_parameters_are_complete(self):
        self.assertEqual(
            {"para1": 3.2, "para2": "moo"}, self.make(parameters={"para2": "moo"}).parameters
        )
        self.assertEqual(3.2, self.make(parameters=None).parameters["para1"])

    def test_those_of_the_run_come_over_those_of_the_audit(self):
        made = self.make(parameters={"para1": 1.5, "para2": "moo"}, given={"para2": "baa"})
        self.assertEqual({"para1": 1.5, "para2": "baa"}, made.parameters)

    def test_parameters_that_fit_no_longer_are_named(self):
        for ours in ({"parameters": {"para1": 99}}, {"given": {"para1": 99}}):
            error = self.assertRaises(Invalid, self.make, **ours)
            self.assertIn("para1", str(error))

    def test_nothing_is_fetched_before_it_is_asked_for(self):
        made, how = self.make(cloud=Cloud()), {"period": 60, "aggregate": "mean", "granularity": 1}
        self.assertRaises(NotConfigured, made.compute_model)
        self.assertRaises(NotConfigured, made.host_metric, "host_cpu_usage", [], **how)
        self.assertRaises(NotConfigured, made.server_metric, "instance_cpu_usage", [], **how)
        self.assertEqual(0, self.compute.looks)

    def test_names_of_hosts_that_match_nothing_are_reported_once(self):
        found = host_names.HostValues({uid("h1"): 1.0})
        found.unmatched = {"x.org", "h2", "y"}
        self.compute.host_metric = lambda *_: found
        made = self.make(scope=[{"availability_zones": [{"name": "az1"}]}])
        for name in ("host_cpu_usage", "host_ram_usage"):
            made.host_metric(name, [], period=60, aggregate="mean", granularity=1)
        self.assertEqual(
            "2 names match nothing: 2 of hosts in the datasource, unknown to the cloud (x.org, y).",
            undone.sentence("", made.remarks().undone),
        )

    def test_the_model_is_taken_once_with_the_scope_applied(self):
        made = self.make(scope=[{"compute": [{"availability_zones": [{"name": "az2"}]}]}])
        self.assertEqual(["s2"], [each.name for each in made.compute_model().servers])
        self.assertIs(made.compute_model(), made.compute_model())
        self.assertEqual(1, self.compute.looks)

    def test_the_storage_model_has_the_scope_applied(self):
        content = {
            "pools": [{"name": f"node@{name}#p"} for name in "ab"],
            "types": [{"name": "fast", "extra_specs": {"volume_backend_name": "a"}}],
        }
        cloud = Cloud(block_storage_service=SimulatedStorage(content, lambda: 0.0))
        scope = [{"storage": [{"volume_types": [{"name": "fast"}]}]}]
        made = self.make(cloud=cloud, scope=scope)
        self.assertEqual(["node@a#p"], [pool.name for pool in made.storage_model().pools])
        self.assertIs(made.storage_model(), made.storage_model())

    def test_a_scope_of_the_old_style_is_understood(self):
        made = self.make(scope=[{"availability_zones": [{"name": "az1"}]}])
        self.assertEqual(["h1"], [each.hostname for each in made.compute_model().hosts])

    def test_no_scope_is_everything(self):
        self.assertEqual(2, len(self.make(scope=None).compute_model().hosts))

    def test_a_cloud_without_hosts_may_pass(self):
        made = self.make(cloud=Cloud(SmallCloud()))
        error = self.assertRaises(ModelUnavailable, made.compute_model)
        self.assertTrue(error.passing)

    def test_metrics_are_the_clouds(self):
        made, what = self.make(), {"aggregate": "mean", "granularity": 300}
        self.assertEqual(
            {uid("h1"): 60}, made.host_metric("x", self.compute.hosts()[:1], period=60, **what)
        )
        self.assertEqual(
            {uid("s1"): 300}, made.server_metric("x", self.compute.servers()[:1], period=60, **what)
        )

    def test_values_that_cannot_be_true_are_left_out_and_named_once(self):
        given = self.make(WorkloadStabilization)
        for wrong in (1e12, -50.0, math.inf, math.nan):
            self.compute.host_metric = lambda *_, wrong=wrong, **how: {
                uid("h1"): wrong,
                uid("h2"): 100.4,
            }
            self.compute.server_metric = lambda *_, wrong=wrong, **how: {
                uid("s1"): wrong,
                uid("s2"): -0.1,
            }
            hosts = given.host_metric("host_cpu_usage", self.compute.hosts(), **HOW)
            servers = given.server_metric("instance_cpu_usage", self.compute.servers(), **HOW)
            self.assertEqual({uid("h2"): 100.4, uid("s2"): -0.1}, {**hosts, **servers})
        self.assertEqual(
            "2 values cannot be true: 1 of host_cpu_usage (h1), 1 of instance_cpu_usage (s1).",
            undone.sentence("", given.remarks().undone),
        )

    def test_a_metric_that_the_datasource_lacks(self):
        class Unsure(Basic):
            optional_metrics = ("host_power",)

        def lacking(*what, **how):
            raise NotFound("There is no such metric.")

        self.compute.host_metric = lacking
        made, how = self.make(Unsure), {"period": 60, "aggregate": "mean", "granularity": 300}
        self.assertEqual({}, made.host_metric("host_power", [], **how))
        self.assertRaises(NotFound, made.host_metric, "host_cpu_usage", [], **how)

    def test_a_metric_without_values_that_the_datasource_does_not_have(self):
        self.compute.server_metric = lambda *what, **how: {}
        self.compute.metrics = {"instance_cpu_usage": "cpuu"}
        how = {"period": 60, "aggregate": "mean", "granularity": 300}
        for there, expected in ((False, MetricsUnavailable), (True, None)):
            self.compute.available = lambda name, there=there: there
            made = self.make(WorkloadBalance)
            ask = functools.partial(
                made.server_metric, "instance_cpu_usage", self.compute.servers(), **how
            )
            if expected:
                said = str(self.assertRaises(expected, ask))
                for word in ("small", "cpuu", "instance_cpu_usage", "metric_map_path"):
                    self.assertIn(word, said)
            else:
                self.assertEqual({}, ask())

    def test_attempts_at_one_run_share_their_seed(self):
        other = RUN.replace("1", "9")
        self.assertEqual(self.make().seed, self.make().seed)
        self.assertNotEqual(self.make().seed, self.make(run=other).seed)

    def test_scoring_engines_and_options_are_in_the_inputs(self):
        made = self.make(Basic)
        self.assertEqual("dummy_scorer", made.scoring_engine("dummy_scorer").name)
        self.assertRaises(NotFound, made.scoring_engine, "dance")
        self.assertFalse(made.options.check_optimize_metadata)

    def expected(self, **audit):
        """What is expected of s1 and s2, which now have 10 and 50."""
        given = {"audit_type": "EVENT", "auto_trigger": True, "goal": models.Goal(name="g")}
        given |= {"strategy": models.Strategy(name="workload_balance")}
        row = models.Audit(parameters={}, scope=[], **(given | audit))
        now = datetime.datetime(2026, 1, 1)
        sources = Sources.of(self.conf, Cloud(self.compute, own_metrics=self.compute))
        sources.look_ahead(row, now)
        run = models.AuditRun(uuid=RUN, audit=row)
        made = inputs.make(WorkloadBalance, run, now, sources, frozenset)
        (reading,) = WorkloadBalance.foresees(made.parameters)
        uuids = [uid("s1"), uid("s2")]
        return [list(row) for row in made.expected(reading, uuids, np.array([10.0, 50.0]))]

    def test_automatic_plans_know_what_is_usual(self):
        self.compute.past = lambda name, servers, *when: {uid("s1"): 30.0}
        self.assertEqual([[24, 50]] * HOURS, self.expected())
        self.assertEqual([[24, 50]] * HOURS, self.expected(audit_type="CONTINUOUS"))

    def test_others_do_not(self):
        self.compute.past = lambda name, servers, *when: {uid("s1"): 30.0}
        self.assertEqual([], self.expected(audit_type="ONESHOT"))
        self.assertEqual([], self.expected(auto_trigger=False))

    def test_a_datasource_without_a_past(self):
        self.assertEqual([], self.expected())

    def test_most_strategies_do_not_ask(self):
        self.compute.past = None
        self.expected(strategy=models.Strategy(name="workload_stabilization"))
        self.assertEqual(0, self.compute.looks)
