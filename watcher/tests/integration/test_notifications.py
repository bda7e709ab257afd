# SPDX-License-Identifier: Apache-2.0
"""Notifications on a real broker, and on one that is away at first."""

import queue
import socket
import threading
import uuid
from typing import Any

import oslo_messaging
import sqlalchemy as sa

from watcher import rpc
from watcher.db.models import Service
from watcher.notifications import Notifications
from watcher.tests import base
from watcher.tests.integration import servers


class Consumer:
    """An endpoint that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[str, str, str, Any]] = queue.Queue()

    def info(self, context: Any, publisher: str, event_type: str, payload: Any, _: Any) -> None:
        self.heard.put(("info", publisher, event_type, payload))

    def warn(self, context: Any, publisher: str, event_type: str, payload: Any, _: Any) -> None:
        self.heard.put(("warn", publisher, event_type, payload))


class TestBroker(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.url = servers.broker(self)
        self.topic = f"watcher-test-{uuid.uuid4().hex}"
        self.consumer = Consumer()
        listener = oslo_messaging.get_notification_listener(
            self.transport(self.url),
            [oslo_messaging.Target(topic=self.topic)],
            [self.consumer],
            executor="threading",
        )
        listener.start()
        self.addCleanup(listener.stop)

    def transport(self, url: str) -> oslo_messaging.Transport:
        path = f"{self.directory}/watcher.conf"
        with open(path, "w") as config:
            # An exchange of its own, for one that deletes itself cannot be the real one.
            config.write(f"[DEFAULT]\ntransport_url = {url}\ncontrol_exchange = {self.topic}\n")
            config.write("[oslo_messaging_notifications]\ndriver = messagingv2\n")
            config.write(f"topics = {self.topic}\n")
            config.write("[oslo_messaging_rabbit]\namqp_auto_delete = true\n")
        self.conf(["--config-file", path], default_config_files=[])
        return rpc.notification_transport(self.conf)

    def tell(self, notifications: Notifications) -> None:
        service = Service(name="watcher-applier", host="node-2")
        notifications.service_updated(service, "FAILED", "ACTIVE")
        notifications.service_updated(service, "ACTIVE", "FAILED")

    def hear(self) -> None:
        heard = [self.consumer.heard.get(timeout=base.TIMEOUT) for _ in range(2)]
        self.assertEqual({"info", "warn"}, {priority for priority, *_ in heard})
        for _, publisher, event_type, payload in heard:
            self.assertEqual(("infra-optim:engine-1", "service.update"), (publisher, event_type))
            self.assertEqual("node-2", payload["watcher_object.data"]["sevice_host"])

    def test_a_consumer_gets_the_notifications(self) -> None:
        notifications = Notifications(self.conf, self.database, self.transport(self.url))
        self.addCleanup(notifications.stop)
        self.tell(notifications)
        self.hear()

    def test_a_broker_that_comes_later_gets_what_waited_for_it(self) -> None:
        relay = Relay(self.url)
        self.addCleanup(relay.close)
        notifications = Notifications(self.conf, self.database, self.transport(relay.url))
        self.addCleanup(notifications.stop)
        self.tell(notifications)
        self.assertTrue(self.consumer.heard.empty())
        relay.open()
        self.hear()


class Relay:
    """An address that passes connections on to the broker, once it is open."""

    def __init__(self, broker: str) -> None:
        url = sa.make_url(broker)
        self._broker = (url.host or "127.0.0.1", url.port or 5672)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        changed = url.set(host="127.0.0.1", port=port)
        self.url = changed.render_as_string(hide_password=False)
        self._ends: list[socket.socket] = [self._socket]

    def open(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._socket.accept()
            except OSError:
                return
            outer = socket.create_connection(self._broker)
            self._ends += [inner, outer]
            for source, target in ((inner, outer), (outer, inner)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return  # one of them has hung up
