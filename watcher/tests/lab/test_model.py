# SPDX-License-Identifier: Apache-2.0
"""The compute model of a real cloud, which its notifications keep as a reading would show it."""

import os
import threading

import kombu
import oslo_messaging
from oslo_utils import timeutils

from watcher.cloud.compute import Server
from watcher.cmd import cloud
from watcher.decision_engine.collectors import nova_notifications
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.model.compute import ComputeModel
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
        self.compute = cloud.connect(self.conf).compute
        self.known, self.lock = self.reading(), threading.Lock()
        transport = oslo_messaging.get_notification_transport(self.conf, url=url)
        self.conf.set_override("host", QUEUE)
        listener = NotificationListener(self.conf, transport, self.notify)
        listener.start()
        self.addCleanup(self.delete_queue, url)
        self.addCleanup(listener.stop)

    def reading(self) -> ComputeReadings:
        known, compute = ComputeReadings(), self.compute
        began = timeutils.utcnow()
        known.read_all(began, compute.hosts(), compute.servers(), compute.server_groups())
        return known

    def notify(self, notification: CloudNotification) -> None:
        with self.lock:
            nova_notifications.apply(self.known, notification)

    def model(self) -> ComputeModel:
        """The model of the first reading and of all notifications since."""
        with self.lock:
            return self.known.model()

    def delete_queue(self, url: str) -> None:
        """Else nova's notifications would pile up."""
        with kombu.Connection(url.replace("rabbit://", "amqp://")) as connection:
            connection.channel().queue_delete(QUEUE)

    def wait_for(self, uuid: str, host: str, state: str) -> None:
        def notified() -> bool:
            found = _of(self.model(), uuid)
            return found is not None and (found[0].host, found[0].state) == (host, state)

        wait_for(notified, f"the server on {host}, {state}", SECONDS)

    def test_notifications_lead_to_the_model_of_a_reading(self) -> None:
        compute = self.compute
        uuid = self.boot(compute, "watcher-lab", "lab.small")
        host = compute.server(uuid).host
        self.wait_for(uuid, host, "active")
        other = next(
            each.hostname for each in compute.hosts() if each.available and each.hostname != host
        )
        compute.live_migrate(uuid, other)
        self.wait_for(uuid, other, "active")
        self.at_rest(compute, uuid)
        compute.stop(uuid)
        self.wait_for(uuid, other, "stopped")
        self.at_rest(compute, uuid, "stopped")
        self.assertEqual(_of(self.reading().model(), uuid), _of(self.model(), uuid))
        self.admin().compute.delete_server(uuid)
        wait_for(lambda: _of(self.model(), uuid) is None, "the end", SECONDS)


def _of(model: ComputeModel, uuid: str) -> tuple[Server, str] | None:
    """A server of a model, and the name of its host."""
    position = model.server_index.get(uuid)
    if position is None:
        return None
    return model.servers[position], model.hosts[model.placement[position]].hostname
