# SPDX-License-Identifier: Apache-2.0
import datetime

import hypothesis
from hypothesis import strategies as st

from watcher.common import schedule
from watcher.common.errors import Invalid
from watcher.tests import base

NOW = datetime.datetime(2026, 3, 1, 12, 0, 30)
MINUTE = datetime.timedelta(minutes=1)


class TestValidate(base.TestCase):
    def test_seconds_and_cron_expressions(self):
        for interval in ("1", "3600", "316224000", "*/5 * * * *", "0 9 * * 1-5", "@hourly"):
            schedule.validate(interval)

    def test_what_is_neither(self):
        for interval in ("", "x", "0", "-5", "--5", "5.5", "316224001", "٣", "61 * * * *", "* * *"):
            error = self.assertRaises(Invalid, schedule.validate, interval)
            self.assertIn("interval: ", str(error))

    def test_a_time_that_never_comes(self):
        self.assertRaises(Invalid, schedule.validate, "0 0 31 2 *")

    def test_the_length_of_the_column(self):
        error = self.assertRaises(Invalid, schedule.validate, "1," * 1000)
        self.assertIn("longer than 36 characters", str(error))

    @hypothesis.given(st.text("0123456789*/-, @LR#", max_size=40))
    def test_what_passes_has_a_next_time(self, interval):
        try:
            schedule.validate(interval)
            self.assertLess(NOW, schedule.next_run(interval, NOW))
            self.assertLessEqual(NOW, schedule.first_run(interval, NOW, None))
        except Invalid as error:
            self.assertTrue(str(error).startswith("interval: "))


class TestTimes(base.TestCase):
    def test_seconds_begin_at_once_and_count_from_the_end_of_a_run(self):
        self.assertEqual(NOW, schedule.first_run("60", NOW, None))
        self.assertEqual(NOW, schedule.first_run("60", NOW, NOW - MINUTE))
        self.assertEqual(NOW + MINUTE, schedule.first_run("60", NOW, NOW + MINUTE))
        self.assertEqual(NOW + MINUTE, schedule.next_run("60", NOW))

    def test_cron_waits_for_its_next_time(self):
        whole = datetime.datetime(2026, 3, 1, 12, 1)
        self.assertEqual(whole, schedule.first_run("* * * * *", NOW, None))
        self.assertEqual(whole, schedule.next_run("* * * * *", NOW))
        later = schedule.first_run("* * * * *", NOW, NOW + 5 * MINUTE)
        self.assertEqual(whole + 5 * MINUTE, later)

    def test_an_expression_that_is_over(self):
        self.assertRaises(Invalid, schedule.next_run, "* * * * * * 2020-2025", NOW)
