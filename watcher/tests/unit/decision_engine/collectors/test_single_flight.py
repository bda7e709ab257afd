# SPDX-License-Identifier: Apache-2.0
import datetime
import queue
from concurrent.futures import wait

import fixtures

from watcher.common.errors import CloudUnavailable, ModelUnavailable
from watcher.decision_engine.collectors.reading import SingleFlight
from watcher.tests.base import TIMEOUT, TestCase


class SingleFlightTest(TestCase):
    def setUp(self):
        super().setUp()
        self.begun, self.results = queue.Queue(), queue.Queue()
        self.calls = SingleFlight("compute", self.work)

    def work(self):
        self.begun.put("begun")
        result = self.results.get(timeout=TIMEOUT)
        if isinstance(result, Exception):
            raise result
        return result

    def test_requests_during_a_call_share_the_next_one(self):
        first = self.calls.submit()
        self.begun.get(timeout=TIMEOUT)
        others = {self.calls.submit() for _ in range(5)}
        self.assertEqual(1, len(others))
        self.assertTrue(self.begun.empty())
        self.results.put("old")
        self.results.put("new")
        self.assertEqual("old", first.result(10))
        self.assertEqual("new", others.pop().result(10))

    def test_all_requests_get_the_error_of_their_call_only(self):
        first = self.calls.submit()
        self.begun.get(timeout=TIMEOUT)
        second = self.calls.submit()
        self.results.put(CloudUnavailable("nova is away"))
        self.results.put("model")
        wait([first, second], 10)
        self.assertIn("nova is away", str(first.exception()))
        self.assertEqual("model", second.result())

    def test_the_time_of_the_last_reading_is_when_one_that_succeeded_began(self):
        times = iter([datetime.datetime(2026, 1, day) for day in (1, 2, 3)])
        self.useFixture(fixtures.MonkeyPatch("oslo_utils.timeutils.utcnow", lambda: next(times)))
        self.assertIsNone(self.calls.read_at)
        for result, day in (("model", 1), (CloudUnavailable("nova is away"), 1), ("model", 3)):
            self.results.put(result)
            wait([self.calls.submit()], TIMEOUT)
            self.assertEqual(datetime.datetime(2026, 1, day), self.calls.read_at)

    def test_who_waits_for_too_long_is_refused_with_a_reason(self):
        error = self.assertRaises(ModelUnavailable, self.calls.result, 0)
        self.assertIn("compute model takes longer than 0 s", str(error))
        self.results.put("model")

    def test_a_timeout_of_the_work_itself_is_another(self):
        self.results.put(TimeoutError("nova"))
        error = self.assertRaises(TimeoutError, self.calls.result, 10)
        self.assertEqual("nova", str(error))
