# SPDX-License-Identifier: Apache-2.0
import queue
import threading
from typing import Any
from unittest import mock

import fixtures
import oslo_messaging

from watcher import rpc
from watcher.common.errors import ModelUnavailable, Unanswered, Unavailable
from watcher.rpc import doorbell, pieces
from watcher.rpc.engine_client import EngineClient
from watcher.rpc.message_server import THREADS, RpcServer
from watcher.tests.base import TIMEOUT, TestCase, wait_for

NEEDS = [{"type": "CDM", "state": [], "mandatory": True, "comment": ""}]


class Endpoint:
    def __init__(self) -> None:
        self.rung: queue.Queue[tuple[str, str]] = queue.Queue()
        self.pieces, self.asked = pieces.Pieces("engine-1"), list[int]()
        self.threads = set[int]()

    def trigger_audit(self, context: Any, audit_uuid: str) -> None:
        self.threads.add(threading.get_ident())
        self.rung.put(("audit", audit_uuid))

    def launch_action_plan(self, context: Any, action_plan_uuid: str) -> None:
        self.rung.put(("plan", action_plan_uuid))

    def get_strategy_info(self, context: Any, strategy_name: str) -> list[dict[str, Any]]:
        return NEEDS if strategy_name == "dummy" else []

    @oslo_messaging.expected_exceptions(ModelUnavailable)
    def get_data_model_info(
        self, context: Any, data_model_type: str, audit: str | None
    ) -> dict[str, Any]:
        if audit is None:
            raise ModelUnavailable("nova is away")
        count = int(audit) if audit.isdecimal() else 1
        return self.pieces.first([{"node_uuid": audit, "row": row} for row in range(count)])

    @oslo_messaging.expected_exceptions(Unavailable)
    def get_data_model_piece(self, context: Any, answer: str, begin: int) -> dict[str, Any]:
        found = self.pieces.piece(answer, begin)
        self.asked.append(len(found["context"]))
        return found


class BusTest(TestCase):
    """Over oslo.messaging's transport within a process."""

    def setUp(self) -> None:
        super().setUp()
        self.transport = rpc.transport(self.conf, "fake://")
        self.endpoint = Endpoint()

    def serve(self, topic: str) -> None:
        server = RpcServer(self.transport, topic, "engine-1", self.endpoint)
        server.start()
        self.addCleanup(server.stop)

    def test_doorbells(self) -> None:
        self.serve(self.conf.watcher_decision_engine.conductor_topic)
        self.serve(self.conf.watcher_applier.conductor_topic)
        for bell in (doorbell.decision_engine, doorbell.applier):
            rung = bell(self.conf, self.transport)
            self.addCleanup(rung.stop)
            rung.ring("a-uuid")
        self.assertEqual(
            {("audit", "a-uuid"), ("plan", "a-uuid")},
            {self.endpoint.rung.get(timeout=TIMEOUT), self.endpoint.rung.get(timeout=TIMEOUT)},
        )

    def test_a_call(self) -> None:
        self.serve(self.conf.watcher_decision_engine.conductor_topic)
        self.assertEqual(NEEDS, EngineClient(self.conf, self.transport).strategy_info("dummy"))

    def test_calls_that_wait_for_the_broker_occupy_few_threads(self) -> None:
        """oslo.messaging connects for as long as it takes."""
        connected = threading.Event()
        self.addCleanup(connected.set)
        self.useFixture(fixtures.MonkeyPatch("watcher.rpc.engine_client._CONNECT_SECONDS", 0))
        EngineClient(self.conf, self.transport)  # which registers this option
        self.conf.set_override("rpc_response_timeout", 0)
        self.conf.set_override("threads", 8, group="api")
        client = EngineClient(self.conf, self.transport)
        calls = mock.Mock(side_effect=lambda *_, **__: connected.wait(TIMEOUT))
        self.useFixture(fixtures.MockPatchObject(client, "_client", mock.Mock(call=calls)))
        for words in ("cannot be reached", "cannot be reached", "Too many", "Too many"):
            error = self.assertRaises(Unavailable, client.strategy_info, "dummy")
            self.assertIn(words, str(error))
        self.assertEqual(2, calls.call_count)

    def test_few_threads_answer(self) -> None:
        """Each of oslo.messaging's 64 would keep freed memory for itself."""
        self.endpoint.rung = queue.Queue(maxsize=1)
        self.serve(self.conf.watcher_decision_engine.conductor_topic)
        bell = doorbell.decision_engine(self.conf, self.transport)
        self.addCleanup(bell.stop)
        uuids = {f"uuid-{number}" for number in range(2 * THREADS)}
        for uuid in uuids:
            bell.ring(uuid)
        wait_for(lambda: len(self.endpoint.threads) >= THREADS, "all threads are at work", TIMEOUT)
        rung = {self.endpoint.rung.get(timeout=TIMEOUT) for _ in uuids}
        self.assertEqual({("audit", uuid) for uuid in uuids}, rung)
        self.assertEqual(THREADS, len(self.endpoint.threads))

    def test_a_data_model_and_why_there_is_none(self) -> None:
        self.serve(self.conf.watcher_decision_engine.conductor_topic)
        client = EngineClient(self.conf, self.transport)
        self.assertEqual(
            [{"node_uuid": "a-uuid", "row": 0}], client.data_model("compute", "a-uuid")
        )
        error = self.assertRaises(ModelUnavailable, client.data_model, "compute", None)
        self.assertEqual("nova is away", str(error))

    def test_a_large_data_model_comes_in_pieces(self) -> None:
        self.useFixture(fixtures.MockPatchObject(pieces, "ROWS", 10))
        self.serve(self.conf.watcher_decision_engine.conductor_topic)
        client = EngineClient(self.conf, self.transport)
        for rows, asked in ((10, []), (11, [1]), (35, [10, 10, 5])):
            found = client.data_model("compute", str(rows))
            self.assertEqual(list(range(rows)), [each["row"] for each in found])
            self.assertEqual(asked, self.endpoint.asked)
            self.endpoint.asked.clear()

    def test_a_piece_of_an_answer_that_is_gone(self) -> None:
        self.useFixture(fixtures.MockPatchObject(pieces, "ROWS", 1))
        kept = pieces.Pieces("engine-1")
        first = kept.first([{"row": 0}, {"row": 1}])["rest"]["answer"]
        for _ in range(pieces.KEPT):
            last = kept.first([{"row": 2}, {"row": 3}])["rest"]["answer"]
        self.assertEqual({"context": [{"row": 3}]}, kept.piece(last, 1))
        for answer in (first, last):
            error = self.assertRaises(Unavailable, kept.piece, answer, 1)
            self.assertIn("ask again", str(error))

    def test_a_call_without_an_answer(self) -> None:
        self.conf.set_override("conductor_topic", "unused", group="watcher_decision_engine")
        client = EngineClient(self.conf, self.transport)
        self.conf.set_override("rpc_response_timeout", 1)
        error = self.assertRaises(Unanswered, client.strategy_info, "dummy")
        self.assertIn("watcher-decision-engine", str(error))

    def test_a_server_that_cannot_start_tries_again(self) -> None:
        topic = self.conf.watcher_decision_engine.conductor_topic
        make, away = oslo_messaging.get_rpc_server, mock.Mock()
        away.start.side_effect = OSError("Connection refused")
        servers = iter([away, away])
        with mock.patch.object(oslo_messaging, "get_rpc_server") as get:
            get.side_effect = lambda *args, **names: next(servers, None) or make(*args, **names)
            self.serve(topic)
            wait_for(lambda: get.call_count == 3, "the third server")
        bell = doorbell.decision_engine(self.conf, self.transport)
        self.addCleanup(bell.stop)
        bell.ring("a-uuid")
        self.assertEqual(("audit", "a-uuid"), self.endpoint.rung.get(timeout=TIMEOUT))
