# SPDX-License-Identifier: Apache-2.0
"""What must be true of every datasource, whatever it talks to."""

from collections.abc import Mapping
from typing import Any

from watcher.common.errors import Invalid, MetricsUnavailable, NotFound
from watcher.decision_engine.datasources import queries
from watcher.decision_engine.datasources.source import Datasource, DatasourceTools
from watcher.tests.base import TestCase
from watcher.tests.emulated.server import EmulatedServer, Fault
from watcher.tests.unit.decision_engine.clusters import host, server

HOSTS = [host("h1"), host("h2"), host("h3")]
SERVERS = [server("s1", "h1"), server("s2", "h1"), server("s3", "h2")]
HOW: dict[str, Any] = {"period": 600, "aggregate": "mean", "granularity": 300}


class DatasourceTest(TestCase):
    """A test of one datasource and the server it asks."""

    service: Any
    """The WSGI application behind it."""

    def setUp(self) -> None:
        super().setUp()
        self.waits: list[float] = []
        self.patch(queries, "jittered", lambda seconds: seconds)
        self.stopping = False
        self.server = self.useFixture(EmulatedServer(self.service))
        self.source = self.make()

    def make(self, metric_map: Mapping[str, Any] | None = None) -> Datasource:
        raise NotImplementedError

    def tools(self, metric_map: Mapping[str, Any] | None = None) -> DatasourceTools:
        return DatasourceTools(self.conf, metric_map or {}, self.wait)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.stopping


class Stories:
    """Mixed into a ``DatasourceTest``: how it fails."""

    metric = "instance_cpu_usage"

    def ask(self, **how):
        return self.source.server_metric(self.metric, SERVERS, **(HOW | how))

    def assert_unavailable(self, *words):
        error = self.assertRaises(MetricsUnavailable, self.ask)
        self.assertTrue(error.passing)
        for word in (self.source.name, self.metric, *words):
            self.assertIn(word, str(error))

    def test_one_request_for_all(self):
        self.assertEqual({each.uuid for each in SERVERS[:2]}, set(self.ask()))
        self.assertEqual(1, len(self.server.requests))

    def test_it_is_asked_again(self):
        good = self.ask()
        for fault in (Fault.DOWN, Fault.GONE, Fault.HTML, Fault.TRUNCATED, Fault.WRONG_SHAPE):
            with self.subTest(fault):
                self.server.fail(fault, fault)
                self.assertEqual(good, self.ask())
        self.assertEqual([1, 2] * 5, self.waits)

    def test_not_for_ever(self):
        self.conf.set_override("query_max_retries", 6, group="watcher_datasources")
        self.server.fault = Fault.DOWN
        self.assert_unavailable("503")
        self.assertEqual(6, len(self.server.requests))
        self.assertEqual([1, 2, 4, 8, 8], self.waits)

    def test_what_is_wrong_is_named(self):
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        for fault, words in {
            Fault.GONE: "cannot be reached",
            Fault.HTML: "something else",
            Fault.TRUNCATED: "something else",
            Fault.WRONG_SHAPE: "something else",
            Fault.REFUSED: "401",
        }.items():
            with self.subTest(fault):
                self.server.fault = fault
                self.assert_unavailable(words)

    def test_who_says_no_is_not_asked_again(self):
        self.server.fault = Fault.REFUSED
        self.assert_unavailable("Unauthorized")
        self.assertEqual([], self.waits)

    def test_who_is_slow_is_not_asked_again(self):
        self.source.queries.timeout = 0.05  # options are in seconds
        self.server.fault = Fault.SLOW
        self.assert_unavailable("in time")
        self.assertEqual([], self.waits)

    def test_a_stop_ends_it(self):
        self.stopping, self.server.fault = True, Fault.DOWN
        self.assert_unavailable("stopping")
        self.assertEqual([1], self.waits)

    def test_unknown_metrics_and_aggregates_are_refused(self):
        error = self.assertRaises(NotFound, self.source.server_metric, "dance", SERVERS, **HOW)
        self.assertIn(self.metric, str(error))
        self.assertRaises(NotFound, self.source.host_metric, "dance", HOSTS, **HOW)
        error = self.assertRaises(Invalid, self.ask, aggregate="median")
        self.assertIn("mean, min, max, count", str(error))

    def test_the_check_is_one_request(self):
        self.source.check()
        self.server.fault = Fault.DOWN
        self.assertRaises(MetricsUnavailable, self.source.check)
        self.assertRaises(MetricsUnavailable, self.source.available, self.metric)
        self.assertEqual(3, len(self.server.requests))
        self.assertEqual([], self.waits)

    def test_what_it_does_not_map_is_not_available(self):
        self.assertTrue(self.source.available(self.metric))
        self.assertFalse(self.source.available("dance"))
