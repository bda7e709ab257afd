# SPDX-License-Identifier: Apache-2.0
import datetime
import os
from typing import Any
from unittest import mock

from oslo_utils import timeutils

from watcher.common.errors import Invalid
from watcher.decision_engine.feedback.recent_moves import HostLoads
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base
from watcher.tests.unit.simulation.test_cloud import Clock, host, server

NOW = datetime.datetime(2026, 1, 2)


class AverageTest(base.TestCase):
    """Two servers of 20 % of a host each, of which one moves, 30 seconds after the beginning."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.cloud = self.make()

    def make(self, average: Any = None, **content: Any) -> SimulatedCloud:
        self.clock.now = 1000.0
        content["metrics_average"] = average or {"seconds": 60, "step": 10}
        content["hosts"] = [host("a"), host("b")]
        content["servers"] = [server("s1", "a", ram=1000), server("s2", "a")]
        return SimulatedCloud(Scenario.from_dict(content), self.clock)

    def measured(self, name: str = "host_cpu_usage") -> list[float]:
        values = self.cloud.loads.host_metric(name, self.cloud.hosts(), 600, "mean", 300)
        return [round(value, 3) for value in values.values()]

    def move(self) -> None:
        self.clock.now += 30
        self.cloud.live_migrate("s1", "b")

    def test_a_move_comes_into_the_average_little_by_little(self) -> None:
        self.assertEqual([40, 0], self.measured())
        self.move()
        found = []
        for _ in range(8):
            self.clock.now += 10
            found.append(self.measured())
        # It ends after 40 seconds, and the sixty before it have passed after 100.
        expected = [[40, 0], [36, 4], [33.333, 6.667], [30, 10], [26.667, 13.333], [23.333, 16.667]]
        self.assertEqual([*expected, [20, 20], [20, 20]], found)

    def test_times_between_two_readings_count_as_well(self) -> None:
        self.move()
        self.clock.now += 40
        self.assertEqual([30, 10], self.measured())
        before = (2048 + 1000) * 1024
        self.assertEqual([before - 512000, 2048 * 1024 + 512000], self.measured("host_ram_usage"))

    def test_it_ends_at_a_multiple_of_the_step(self) -> None:
        self.move()
        self.clock.now += 49
        self.assertEqual([30, 10], self.measured())
        second = datetime.timedelta(seconds=1)
        self.assertEqual((NOW - 69 * second, NOW - 9 * second), self.window())

    def window(self) -> tuple[datetime.datetime, datetime.datetime]:
        return self.cloud.loads.window(NOW, 600, 300)

    def test_the_first_average_is_of_what_there_is(self) -> None:
        self.assertEqual((NOW, NOW), self.window())
        self.clock.now += 5
        self.assertEqual((NOW - datetime.timedelta(seconds=5), NOW), self.window())
        self.clock.now += 10
        seconds = [(NOW - each).total_seconds() for each in self.window()]
        self.assertEqual([15, 5], seconds)

    def test_a_surge_counts_from_its_first_second(self) -> None:
        surge = {"after_seconds": 15, "seconds": 30, "hosts": ["a"], "cpu": 100}
        self.cloud = self.make({"seconds": 60}, surges=[surge])
        self.clock.now += 60
        self.assertEqual([60, 0], self.measured(), "half of the time at 80, the other at 40")
        values = self.cloud.loads.server_metric(
            "instance_cpu_usage", self.cloud.servers(), 600, "mean", 300
        )
        self.assertEqual({"s1": 75, "s2": 75}, values)

    def test_a_saved_cloud_begins_to_average_anew(self) -> None:
        path = os.path.join(self.directory, "cloud.json")
        self.move()
        self.clock.now += 20
        self.cloud.save(path)
        self.cloud = self.make()
        self.cloud.resume(path)
        self.assertEqual((NOW, NOW), self.window())
        self.clock.now += 10
        self.assertEqual([20, 20], self.measured())

    def test_corrected_it_is_the_present_load(self) -> None:
        self.move()
        self.clock.now += 40
        with mock.patch.object(timeutils, "utcnow", return_value=NOW):
            loads = HostLoads(
                NOW, lambda: self.cloud.loads, self.cloud.migrations, self.cloud.servers
            ).metric("host_cpu_usage", self.cloud.hosts(), 600, "mean", 300)
        self.assertEqual([20, 20], [round(each, 6) for each in loads.values()])
        self.assertEqual([30, 10], self.measured())

    def test_what_does_not_fit_is_named(self) -> None:
        for average in ({"seconds": 0}, {"seconds": 5, "step": -1}, {"step": 3}):
            error = self.assertRaises(Invalid, self.make, average)
            self.assertIn("metrics_average", str(error))
