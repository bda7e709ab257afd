# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.decision_engine.algorithms.loads import Loads
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server


class DeviationTest(TestCase):
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, 50), min_size=4, max_size=8), st.data())
    def test_it_is_that_of_the_loads_after_each_move(self, uses, data):
        hosts = [host(f"h{number}", 64) for number in range(4)]
        servers = [server(f"s{n}", f"h{n % 4}", 1) for n in range(len(uses))]
        model = ComputeModel.build(hosts, servers)
        use = np.bincount(model.placement, uses, minlength=4)
        loads = Loads(model, use=[use.tolist()], size=[[100.0] * 4])
        loads.measure([[float(each) for each in uses]])
        for each in range(len(uses)):
            there = np.flatnonzero(loads.hosts_for(each))
            loads.move(each, int(data.draw(st.sampled_from(there.tolist()))))
            self.assert_exact(loads)
        loads.undo(data.draw(st.integers(0, len(uses))))
        self.assert_exact(loads)

    def test_equal_loads_have_none(self):
        model = ComputeModel.build(
            [host("h1", 64), host("h2", 64)], [server("s1", "h1", 1), server("s2", "h1", 1)]
        )
        loads = Loads(model, use=[[0.6, 0.0]], size=[[1.0, 1.0]])
        loads.measure([[0.3, 0.3]])
        loads.move(0, 1)
        self.assertLess(loads.deviation[0], 1e-15)

    def assert_exact(self, loads):
        self.assertAlmostEqual(float(loads.load.std()), float(loads.deviation[0]), delta=1e-12)
        self.assertAlmostEqual(float(loads.load.mean()), float(loads.mean[0]), delta=1e-12)
