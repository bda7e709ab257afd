# SPDX-License-Identifier: Apache-2.0
"""How the growth in a soak is told from a pool that grows once."""

from tools.soak.samples import slope_of
from watcher.tests import base


class SlopeTest(base.TestCase):
    def test_a_leak_shows_through_noise(self):
        noise = (0.0, 40.0, -30.0, 25.0, -10.0)
        points = [(minute, 100.0 * minute + noise[minute % 5]) for minute in range(20)]
        self.assertAlmostEqual(100.0, slope_of(points), delta=5.0)

    def test_a_pool_that_grows_once_is_no_leak(self):
        points = [(minute, 1024.0 if minute >= 15 else 0.0) for minute in range(20)]
        self.assertEqual(0.0, slope_of(points))

    def test_two_points_tell_nothing(self):
        self.assertEqual(0.0, slope_of([(0.0, 0.0), (1.0, 500.0)]))
