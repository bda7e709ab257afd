# SPDX-License-Identifier: Apache-2.0
"""Of all services that see a change, one tells it."""

import datetime
from unittest import mock

from watcher.common.states import ServiceState
from watcher.db import services
from watcher.db.models import Service
from watcher.notifications import ServiceMonitor
from watcher.tests import base

NAME = "watcher-applier"
BEAT = datetime.timedelta(seconds=30)


class Node:
    """A node with a service that beats and looks when it is asked to."""

    def __init__(self, test: "TestServiceMonitor", host: str) -> None:
        self.test, self.host = test, host
        self.restart()

    def restart(self) -> None:
        conf = mock.Mock(host=self.host, service_down_time=90)
        self.notifications = mock.Mock(enabled=True)
        self.notifications.service_updated = self._note
        self.monitor = ServiceMonitor(conf, self.test.database, NAME, self.notifications)

    def beat(self, now: datetime.datetime) -> None:
        with self.test.database.writer() as session:
            services.beat(session, NAME, self.host, now)
        self.monitor.look(now)

    def _note(self, service: Service, old_state: str, state: str) -> None:
        self.test.sent.append((self.host, service.host, old_state, state))


class TestServiceMonitor(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sent: list[tuple[str, str, str, str]] = []
        self.now = datetime.datetime(2026, 1, 1)
        self.nodes = {host: Node(self, host) for host in "abc"}

    def beats(self, hosts: str, times: int = 1) -> None:
        for _ in range(times):
            self.now += BEAT
            for host in hosts:
                self.nodes[host].beat(self.now)

    def test_a_failure_is_notified_once(self) -> None:
        self.beats("abc", 3)
        self.beats("ab", 8)
        self.assertEqual([("a", "c", ServiceState.ACTIVE, ServiceState.FAILED)], self.sent)

    def test_the_failure_of_the_first_host_is_notified_by_the_next(self) -> None:
        self.beats("abc", 3)
        self.beats("bc", 8)
        self.assertEqual([("b", "a", ServiceState.ACTIVE, ServiceState.FAILED)], self.sent)

    def test_the_return_of_the_first_host_is_notified_by_another(self) -> None:
        self.beats("abc", 3)
        self.beats("bc", 8)
        self.sent.clear()
        self.nodes["a"].restart()
        self.beats("abc", 3)
        self.assertEqual([("b", "a", ServiceState.FAILED, ServiceState.ACTIVE)], self.sent)

    def test_a_service_seen_for_the_first_time_is_no_news(self) -> None:
        self.beats("a", 3)
        self.beats("abc", 3)
        self.assertEqual([], self.sent)

    def test_services_of_another_name_are_not_its_concern(self) -> None:
        with self.database.writer() as session:
            services.beat(session, "watcher-decision-engine", "z", self.now)
        self.beats("a", 8)
        self.assertEqual([], self.sent)

    def test_it_does_not_check_without_consumers(self) -> None:
        database = mock.Mock()
        ServiceMonitor(self.conf, database, NAME, mock.Mock(enabled=False)).look(self.now)
        database.reader.assert_not_called()
