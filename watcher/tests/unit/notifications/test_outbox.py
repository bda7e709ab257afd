# SPDX-License-Identifier: Apache-2.0
"""The broker may be slow, dead or broken; nobody but the outbox waits for it."""

import threading
from typing import Any
from unittest import mock

from watcher.notifications.outbox import Notification, Outbox
from watcher.tests import base

"""How long a test that hangs is given."""


class Broker:
    """Takes messages while its accepting is open, as oslo.messaging's Notifier would."""

    def __init__(self) -> None:
        self.accepting = threading.Event()
        self.waiting = threading.Event()
        self.taken: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def __getattr__(self, priority: str) -> Any:
        def take(context: dict[str, Any], event_type: str, payload: dict[str, Any]) -> None:
            self.waiting.set()
            self.accepting.wait(base.TIMEOUT)
            if event_type in self.broken:
                raise OSError("connection reset")
            self.taken.append((priority, event_type))

        return take


class TestOutbox(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.broker = Broker()
        self.addCleanup(self.broker.accepting.set)

    def outbox(self, limit: int = 100) -> Outbox:
        outbox = Outbox(self.broker, limit)
        self.addCleanup(outbox.stop, 0)
        return outbox

    def put(self, outbox: Outbox, *event_types: str) -> None:
        for event_type in event_types:
            outbox.put(Notification("info", event_type, {}))

    def test_messages_go_out_in_their_order_and_with_their_priority(self) -> None:
        self.broker.accepting.set()
        outbox = self.outbox()
        self.put(outbox, "a", "b")
        outbox.put(Notification("error", "c", {}))
        self.assertTrue(outbox.flush(base.TIMEOUT))
        self.assertEqual([("info", "a"), ("info", "b"), ("error", "c")], self.broker.taken)

    def test_a_dead_broker_does_not_delay_the_caller(self) -> None:
        outbox = self.outbox()
        self.put(outbox, "a", "b")
        self.assertTrue(self.broker.waiting.wait(base.TIMEOUT))
        self.put(outbox, "c")
        self.assertFalse(outbox.flush(0))
        self.broker.accepting.set()
        self.assertTrue(outbox.flush(base.TIMEOUT))
        self.assertEqual(["a", "b", "c"], [event_type for _, event_type in self.broker.taken])

    @mock.patch("watcher.notifications.outbox.LOG")
    def test_the_oldest_are_dropped_and_that_is_said_once(self, logger: mock.Mock) -> None:
        outbox = self.outbox(limit=2)
        self.put(outbox, "in the hands of the broker")
        self.assertTrue(self.broker.waiting.wait(base.TIMEOUT))
        self.put(outbox, "a", "b", "c", "d")
        self.assertEqual(1, logger.warning.call_count)
        self.broker.accepting.set()
        self.assertTrue(outbox.flush(base.TIMEOUT))
        self.assertEqual(["c", "d"], [event_type for _, event_type in self.broker.taken[1:]])
        logger.warning.assert_called_with("%d notifications were dropped", 2)

    @mock.patch("watcher.notifications.outbox.LOG")
    def test_an_error_of_the_driver_costs_one_message(self, logger: mock.Mock) -> None:
        self.broker.accepting.set()
        self.broker.broken.add("a")
        outbox = self.outbox()
        self.put(outbox, "a", "b")
        self.assertTrue(outbox.flush(base.TIMEOUT))
        self.assertEqual([("info", "b")], self.broker.taken)
        logger.exception.assert_called_once_with("Notification %s is lost", "a")

    @mock.patch("watcher.notifications.outbox.LOG")
    def test_a_stop_does_not_wait_for_a_dead_broker(self, logger: mock.Mock) -> None:
        outbox = self.outbox()
        self.put(outbox, "a", "b", "c")
        self.assertTrue(self.broker.waiting.wait(base.TIMEOUT))
        outbox.stop(0)
        logger.warning.assert_called_once_with("%d notifications were not sent", 2)

    def test_an_outbox_without_messages_has_no_thread(self) -> None:
        before = threading.active_count()
        self.outbox().stop(0)
        self.assertEqual(before, threading.active_count())
