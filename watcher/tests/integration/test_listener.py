# SPDX-License-Identifier: Apache-2.0
import uuid

import kombu
from oslo_messaging.notify import Notifier

from watcher import rpc
from watcher.rpc.listener import CloudNotification, NotificationListener
from watcher.tests import base
from watcher.tests.integration.servers import broker


class ListenerOverRabbitMQ(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.url = broker(self)
        rpc.transport(self.conf, self.url)  # which registers the option
        self.conf.set_override("transport_url", self.url)
        self.name = f"watcher-test-{uuid.uuid4().hex}"
        self.conf.set_override(
            "notification_topics",
            [f"{self.name}.{self.name}"],
            group="watcher_decision_engine",
        )
        self.addCleanup(self.delete, f"{self.name}.info", f"{self.name}-1", f"{self.name}-2")

    def delete(self, *queues: str) -> None:
        with kombu.Connection(self.url.replace("rabbit://", "amqp://")) as connection:
            channel = connection.channel()
            for queue in queues:
                channel.queue_delete(queue)
            channel.exchange_delete(self.name)

    def listen(self, number: int) -> list[CloudNotification]:
        heard: list[CloudNotification] = []
        self.conf.set_override("host", f"{self.name}-{number}")
        listener = NotificationListener(
            self.conf, rpc.notification_transport(self.conf), heard.append
        )
        listener.start()
        self.addCleanup(listener.stop)
        base.wait_for(lambda: self.has_consumer(f"{self.name}-{number}"), "the listener")
        return heard

    def has_consumer(self, queue: str) -> bool:
        with kombu.Connection(self.url.replace("rabbit://", "amqp://")) as connection:
            try:
                declared = connection.default_channel.queue_declare(queue, passive=True)
            except connection.channel_errors:  # it is not there yet
                return False
            return bool(declared.consumer_count)

    def notifier(self) -> Notifier:
        self.conf.set_override("control_exchange", self.name)
        transport = rpc.notification_transport(self.conf)
        self.addCleanup(transport.cleanup)
        return Notifier(
            transport, driver="messagingv2", topics=[self.name], publisher_id="nova-compute:h1"
        )

    def test_every_engine_hears_everything_and_takes_nothing_from_others(self) -> None:
        first, second = self.listen(1), self.listen(2)
        notifier = self.notifier()
        for number in range(10):
            notifier.info({}, "instance.update", {"number": number})
        for heard in (first, second):
            base.wait_for(lambda heard=heard: len(heard) == 10, "ten notifications")
            self.assertEqual(
                set(range(10)), {notification.payload["number"] for notification in heard}
            )
        with kombu.Connection(self.url.replace("rabbit://", "amqp://")) as connection:
            waiting = connection.channel().queue_declare(f"{self.name}.info", passive=True)
        self.assertEqual(10, waiting.message_count)
