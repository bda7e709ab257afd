# SPDX-License-Identifier: Apache-2.0
import queue
import time
import uuid
from typing import Any

from watcher import rpc
from watcher.common.errors import Unavailable
from watcher.rpc import doorbell
from watcher.rpc.engine_client import EngineClient
from watcher.rpc.message_server import RpcServer
from watcher.tests import base
from watcher.tests.integration.servers import broker


class Endpoint:
    """Notes the UUIDs that arrive."""

    def __init__(self) -> None:
        self.heard: queue.Queue[str] = queue.Queue()

    def trigger_audit(self, context: Any, audit_uuid: str) -> None:
        self.heard.put(audit_uuid)


class DoorbellOverRabbitMQ(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.url = broker(self)
        self.conf.set_override(
            "conductor_topic", f"watcher.test.{uuid.uuid4().hex}", group="watcher_decision_engine"
        )

    def transport(self) -> Any:
        """A connection of its own, as each process has."""
        transport = rpc.transport(self.conf, self.url)
        self.addCleanup(transport.cleanup)
        return transport

    def server(self, host: str) -> Endpoint:
        endpoint = Endpoint()
        topic = self.conf.watcher_decision_engine.conductor_topic
        server = RpcServer(self.transport(), topic, host, endpoint)
        server.start()
        self.addCleanup(server.stop)
        return endpoint

    def test_a_call_on_a_vhost_that_does_not_exist(self) -> None:
        transport = rpc.transport(self.conf, f"{self.url.rstrip('/')}/nowhere")
        self.addCleanup(transport.cleanup)
        self.assertRaises(
            Unavailable, EngineClient(self.conf, transport).data_model, "compute", None
        )

    def test_a_cast_reaches_one_of_the_engines(self) -> None:
        endpoints = [self.server("engine-1"), self.server("engine-2")]
        bell = doorbell.decision_engine(self.conf, self.transport())
        self.addCleanup(bell.stop)
        wanted = {f"audit-{number}" for number in range(20)}
        heard: list[str] = []
        deadline = time.monotonic() + base.TIMEOUT
        while set(heard) != wanted and time.monotonic() < deadline:
            for uuid_ in wanted - set(heard):
                bell.ring(uuid_)
            for endpoint in endpoints:
                try:
                    heard.append(endpoint.heard.get(timeout=0.5))
                    while True:
                        heard.append(endpoint.heard.get_nowait())
                except queue.Empty:
                    continue
        self.assertEqual(wanted, set(heard))
