# SPDX-License-Identifier: Apache-2.0
"""The compute model of a real cloud, which its notifications keep as a reading would show it."""

import os

import kombu
import oslo_messaging

from watcher.cmd import cloud
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.model.compute import ComputeModel
from watcher.rpc.listener import NotificationListener
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
        self.collectors = Collectors(self.conf, self.cloud)
        transport = oslo_messaging.get_notification_transport(self.conf, url=url)
        self.conf.set_override("host", QUEUE)
        listener = NotificationListener(self.conf, transport, self.collectors.notify)
        listener.start()
        self.addCleanup(self.forget, url)
        self.addCleanup(listener.stop)

    def forget(self, url: str) -> None:
        """Or nova's notifications would pile up."""
        with kombu.Connection(url.replace("rabbit://", "amqp://")) as connection:
            connection.channel().queue_delete(QUEUE)

    def told(self, uuid: str) -> tuple[str, str] | None:
        """Where a server is and its state, by what was read at first and told since."""
        cluster = self.collectors._collectors["compute"]._cluster  # type: ignore[attr-defined]
        server = cluster._server(uuid)
        return (server.host, server.state) if server else None

    def test_notifications_give_the_model_that_a_reading_gives(self) -> None:
        compute = self.cloud.compute
        self.collectors.compute()
        uuid = self.boot(compute, "told", "lab.small")
        host = compute.server(uuid).host
        wait_for(lambda: self.told(uuid) == (host, "active"), "the new server", SECONDS)
        other = next(
            each.hostname for each in compute.hosts() if each.available and each.hostname != host
        )
        compute.live_migrate(uuid, other)
        wait_for(lambda: self.told(uuid) == (other, "active"), "the move", SECONDS)
        self.at_rest(compute, uuid)
        compute.stop(uuid)
        wait_for(lambda: self.told(uuid) == (other, "stopped"), "the stop", SECONDS)
        self.at_rest(compute, uuid, "stopped")
        told, read = self.collectors.recent_compute(), Collectors(self.conf, self.cloud).compute()
        self.assertEqual(_of(read, uuid), _of(told, uuid))
        self.admin().compute.delete_server(uuid)
        wait_for(lambda: self.told(uuid) is None, "the end", SECONDS)
        self.assertNotIn(uuid, self.collectors.recent_compute().server_index)


def _of(model: ComputeModel, uuid: str) -> object:
    position = model.server_index[uuid]
    return model.servers[position], model.hosts[model.placement[position]]
