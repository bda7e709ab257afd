# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
from unittest import mock

import numpy as np

from watcher.common.errors import MetricsUnavailable
from watcher.decision_engine.feedback.promises import Reading
from watcher.decision_engine.usual_loads import HOUR, HOURS, WEEK, UsualLoads
from watcher.tests import base
from watcher.tests.unit.decision_engine.clusters import server, uid

NOW = datetime.datetime(2026, 6, 3, 10, 40)
TEN = datetime.datetime(2026, 6, 3, 10)
CPU = Reading("instance_cpu_usage", 300, 60)


class Past:
    """A datasource, with the values of the hour that begins at a moment, by name of the server."""

    name = "past"

    def __init__(self):
        self.hours, self.asked, self.error = {}, [], None

    def past(self, name, servers, end, period, granularity):
        self.asked.append((name, end - datetime.timedelta(seconds=period), granularity))
        if self.error:
            raise self.error
        values = self.hours.get(end - HOUR, {})
        return {each.uuid: values[each.name] for each in servers if each.name in values}


class TestUsualLoads(base.TestCase):
    def setUp(self):
        super().setUp()
        self.source, self.loads = Past(), UsualLoads(self.conf)
        self.servers = mock.Mock(return_value=[server("a", "h1"), server("b", "h1")])

    def set_weeks(self, weeks):
        self.conf.set_override("history_weeks", weeks, group="optimization")

    def read(self, now=NOW, source=None):
        self.loads.read(source or self.source, CPU, self.servers, now)

    def expected(self, now=NOW, reading=CPU, **values):
        uuids, present = [uid(name) for name in values], np.array([*values.values()])
        return self.loads.expected(self.source, reading, now, uuids, present).tolist()

    def put(self, hour, *weeks):
        """The values of server ``a`` in an hour of the last weeks; None: it was not measured.
        A single value is that of three weeks."""
        weeks = weeks * 3 if len(weeks) == 1 else weeks
        for number, value in enumerate(weeks, 1):
            if value is not None:
                self.source.hours[TEN + hour * HOUR - number * WEEK] = {"a": value}

    def put_all(self, value):
        for hour in range(1 + HOURS):
            self.put(hour, value)

    def test_a_part_of_what_deviates_is_added_to_the_median(self):
        for hour, weeks in enumerate([(20, 10, 90), (30, 30, 30), (80, 0, 70), (9, 40, 80)]):
            self.put(hour, *weeks)
        self.read()
        self.assertEqual([[33], [73], [43]], self.expected(a=30.0))
        self.assertEqual([[30], [70], [40]], self.expected(a=20.0))
        self.assertEqual([[24], [64], [34]], self.expected(a=0.0))

    def test_no_load_is_below_zero(self):
        self.put(0, 80)
        self.put(1, 10)
        self.read()
        self.assertEqual([[0]], self.expected(a=0.0))

    def test_weeks_in_which_it_was_not_measured_do_not_count(self):
        self.put(0, 40)
        self.put(1, None, 50, 30)
        self.read()
        self.assertEqual([[30]], self.expected(a=40.0))

    def test_values_that_cannot_be_true_do_not_count(self):
        self.put(0, 40)
        self.put(1, 1e9, 30, 50)
        self.read()
        self.assertEqual([[30]], self.expected(a=40.0))

    def test_one_week_may_be_an_exception(self):
        self.put(0, 20)
        self.put(1, 90, None)
        self.read()
        self.assertEqual([], self.expected(a=40.0))

    def test_one_week_is_enough_for_who_wants_no_more(self):
        self.set_weeks(1)
        self.put(0, 20, None)
        self.put(1, 60, None)
        self.read()
        self.assertEqual([[66]], self.expected(a=40.0))

    def test_a_server_without_history_keeps_its_load(self):
        self.put(0, 20)
        self.put(1, 60)
        self.read()
        self.assertEqual([[60, 7]], self.expected(a=20.0, b=7.0))

    def test_without_any_history_nothing_is_expected(self):
        self.assertEqual([], self.expected(a=20.0))
        self.read()
        self.assertEqual([], self.expected(a=20.0))
        self.read(source=object())
        self.put(0, 20)
        self.assertEqual([], self.expected(a=20.0))

    def test_hours_count_as_far_as_they_are_known(self):
        self.put(0, 20)
        self.put(1, 30)
        self.put(3, 60)
        self.read()
        self.assertEqual([[30]], self.expected(a=20.0))
        self.assertEqual([], self.expected(NOW + HOUR, a=20.0) + self.expected(NOW - HOUR, a=20.0))

    def test_each_hour_is_read_once_and_before_it_is_needed(self):
        self.set_weeks(2)
        self.read()
        hours = [TEN + hour * HOUR - week * WEEK for hour in range(2 + HOURS) for week in (1, 2)]
        self.assertEqual([(CPU.name, each, 60) for each in hours], self.source.asked)
        self.read(NOW + datetime.timedelta(minutes=19))
        count = len(self.source.asked)
        self.assertEqual(len(hours), count)
        self.read(NOW + datetime.timedelta(minutes=20))
        self.assertEqual(
            [each + HOUR for each in hours[-2:]],
            [begin for _, begin, _ in self.source.asked[count:]],
        )

    def test_the_cloud_is_asked_only_if_there_is_something_to_read(self):
        self.read()
        self.servers.reset_mock()
        self.read(NOW + datetime.timedelta(minutes=19))
        self.read(source=object())
        self.set_weeks(0)
        self.read(NOW + HOUR)
        self.servers.assert_not_called()

    def test_hours_that_are_over_are_forgotten(self):
        self.put_all(20)
        self.read()
        self.assertEqual([[20]] * HOURS, self.expected(a=20.0))
        self.read(NOW + HOUR)
        self.assertEqual([], self.expected(a=20.0))

    def test_what_fails_is_tried_again(self):
        self.put_all(20)
        self.source.error = MetricsUnavailable("down")
        self.assertRaises(MetricsUnavailable, self.read)
        self.assertEqual([], self.expected(a=20.0))
        self.source.error = None
        self.read()
        self.assertEqual([[20]] * HOURS, self.expected(a=20.0))

    def test_each_metric_has_its_own(self):
        self.put_all(20)
        self.read()
        self.assertEqual([[20]] * HOURS, self.expected(a=20.0))
        memory = dataclasses.replace(CPU, name="instance_ram_usage")
        self.assertEqual([], self.expected(a=20.0, reading=memory))

    def test_it_can_be_turned_off_at_any_time(self):
        self.put_all(20)
        self.read()
        self.set_weeks(0)
        self.assertEqual([], self.expected(a=20.0))
        self.source.asked.clear()
        self.read(NOW + HOUR)
        self.assertEqual([], self.source.asked)
