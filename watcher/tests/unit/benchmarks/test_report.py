# SPDX-License-Identifier: Apache-2.0
from tools.benchmarks.report import percentile
from watcher.tests import base


class PercentileTest(base.TestCase):
    def test_of_one_value_and_of_some(self):
        self.assertEqual(7.0, percentile([7.0], 99))
        self.assertEqual(2.0, percentile([1.0, 2.0, 3.0], 50))
