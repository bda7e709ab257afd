# SPDX-License-Identifier: Apache-2.0
import json

from watcher.common.errors import Invalid
from watcher.decision_engine.scoring import MIB, DummyScorer, DummyScoringContainer
from watcher.tests.base import TestCase


class DummyScorerTest(TestCase):
    def score(self, cpu=0, reads=0, writes=0, disk_read=0, disk_write=0):
        features = [cpu, 4096 * MIB, 2048 * MIB, reads, writes, disk_read, disk_write, 0, 0]
        return json.loads(DummyScorer().score(json.dumps(features)))

    def test_workloads(self):
        self.assertEqual([0, 100, 0, 0, 0], self.score())
        self.assertEqual([1, 0, 100, 0, 0], self.score(cpu=80, reads=1000, writes=1000))
        self.assertEqual([2, 0, 0, 100, 0], self.score(cpu=79, reads=1000, writes=1000))
        self.assertEqual([3, 0, 0, 0, 100], self.score(disk_read=50 * MIB, disk_write=50 * MIB))
        self.assertEqual([0, 100, 0, 0, 0], self.score(disk_read=50 * MIB))

    def test_hints_of_an_idle_server(self):
        self.assertEqual([0, 50, 50, 0, 0], self.score(cpu=40))
        self.assertEqual([0, 50, 0, 50, 0], self.score(writes=500))
        self.assertEqual([0, 50, 50, 50, 0], self.score(cpu=40, reads=1000))

    def test_metainfo_names_features_and_results(self):
        metainfo = json.loads(DummyScorer.metainfo)
        self.assertEqual(9, len(metainfo["feature_columns"]))
        self.assertEqual(5, len(metainfo["result_columns"]))
        self.assertEqual(
            ["idle", "cpu-intensive", "memory-intensive", "disk-intensive"],
            metainfo["workloads"],
        )

    def test_other_features_are_refused(self):
        for features in ("", "{}", "[1]", '["a"]', json.dumps([True] * 9), json.dumps([0] * 10)):
            error = self.assertRaises(Invalid, DummyScorer().score, features)
            self.assertTrue(str(error).startswith("features: "))


class DummyScoringContainerTest(TestCase):
    def test_engines(self):
        engines = {engine.name: engine for engine in DummyScoringContainer().engines()}
        results = {name: json.loads(each.score("[3, 1, 2]")) for name, each in engines.items()}
        self.assertEqual(
            {"dummy_min_scorer": [1], "dummy_max_scorer": [3], "dummy_avg_scorer": [2]}, results
        )
        self.assertEqual(
            "Dummy Scorer calculating the average value", engines["dummy_avg_scorer"].description
        )
        self.assertRaises(Invalid, engines["dummy_avg_scorer"].score, "[]")
