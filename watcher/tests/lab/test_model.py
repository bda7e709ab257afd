# SPDX-License-Identifier: Apache-2.0
"""The compute model of a real cloud, and a notification of it."""

import os
import threading

import kombu
import oslo_messaging

from watcher.cmd import cloud
from watcher.decision_engine.collectors.compute import ComputeCollector
from watcher.rpc.listener import CloudNotification, NotificationListener
from watcher.tests.base import wait_for
from watcher.tests.lab.real_cloud import RealCloudTestCase

QUEUE = "watcher-tests"
SECONDS = 120.0


class ModelTest(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        url = os.environ.get("LAB_TRANSPORT_URL")
        if not url:
            self.skipTest("Set LAB_TRANSPORT_URL to where nova sends its notifications.")
        self.cloud = cloud.connect(self.conf)
        self.deleted, self.lock = list[str](), threading.Lock()
        transport = oslo_messaging.get_notification_transport(self.conf, url=url)
        self.conf.set_override("host", QUEUE)
        listener = NotificationListener(self.conf, transport, self.notify)
        listener.start()
        self.addCleanup(self.delete_queue, url)
        self.addCleanup(listener.stop)

    def notify(self, notification: CloudNotification) -> None:
        if notification.event_type == ComputeCollector.DELETION:
            with self.lock:
                self.deleted.append(notification.payload["nova_object.data"]["uuid"])

    def delete_queue(self, url: str) -> None:
        """Else nova's notifications would pile up."""
        with kombu.Connection(url.replace("rabbit://", "amqp://")) as connection:
            connection.channel().queue_delete(QUEUE)

    def test_what_has_changed_is_read_as_everything_is(self) -> None:
        compute = self.cloud.compute
        kept = ComputeCollector(self.conf, self.cloud)
        kept.snapshot()
        uuid = self.boot(compute, "watcher-lab", "lab.small")
        host = compute.server(uuid).host
        other = next(
            each.hostname for each in compute.hosts() if each.available and each.hostname != host
        )
        compute.live_migrate(uuid, other)
        self.at_rest(compute, uuid)
        compute.stop(uuid)
        self.at_rest(compute, uuid, "stopped")
        model, anew = kept.snapshot(), ComputeCollector(self.conf, self.cloud).snapshot()
        self.assertEqual(other, model.server_of[uuid].host)
        self.assertEqual(anew.server_of[uuid], model.server_of[uuid])
        self.admin().compute.delete_server(uuid)
        wait_for(lambda: uuid in self.deleted, "the notification of its deletion", SECONDS)
        self.assertNotIn(uuid, kept.snapshot().server_of)
