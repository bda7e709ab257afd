# SPDX-License-Identifier: Apache-2.0
import http.server
import json
import logging
import queue
import threading
from typing import Any

import fixtures

from watcher.common.errors import Invalid
from watcher.simulation import alarm_rules
from watcher.simulation.alarm_rules import Alarm, AlarmRules
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base


def make(clock: Any = lambda: 0.0, **rule: Any) -> SimulatedCloud:
    size = {"vcpus": 2, "memory_mb": 10, "disk_gb": 1}
    alarm = {"name": "hot", "threshold": 80, "audit": "react", "evaluation_seconds": 0.01, **rule}
    return SimulatedCloud(
        Scenario.from_dict(
            {
                "hosts": [{"hostname": name, **size} for name in ("a", "b")],
                "servers": [{"uuid": "s1", "name": "s1", "host": "a", "cpu": 10, **size}],
                "surges": [{"after_seconds": 5, "seconds": 3, "hosts": ["a"], "cpu": 95}],
                "alarms": [alarm],
            }
        ),
        clock,
    )


class AlarmTest(base.TestCase):
    def states(self, **rule: Any) -> list[str | None]:
        """What is posted in each of ten seconds: previous and current state."""
        now = [0.0]
        cloud = make(lambda: now[0], **rule)
        alarm = Alarm(cloud.scenario.alarms[0], cloud)
        posted: list[str | None] = []
        for _ in range(10):
            message = alarm.evaluate()
            posted.append(f"{message['previous']} -> {message['current']}" if message else None)
            now[0] += 1
        return posted

    def test_posts_when_it_begins_to_fire(self) -> None:
        self.assertEqual([None] * 5 + ["ok -> alarm"] + [None] * 4, self.states())

    def test_repeats_while_it_fires(self) -> None:
        self.assertEqual(
            [None] * 5 + ["ok -> alarm", "alarm -> alarm", "alarm -> alarm", None, None],
            self.states(repeat_actions=True),
        )

    def test_compares_by_the_configured_comparison(self) -> None:
        posted = self.states(comparison="lt", threshold=0.5)
        self.assertEqual("insufficient data -> alarm", posted[0])

    def test_an_unknown_comparison_is_refused(self) -> None:
        cloud = make(comparison="near")
        self.assertRaises(Invalid, AlarmRules, cloud)

    def test_the_message_has_the_shape_of_aodh(self) -> None:
        now = [0.0]
        cloud = make(lambda: now[0], severity="critical")
        alarm = Alarm(cloud.scenario.alarms[0], cloud)
        now[0] = 6
        message = alarm.evaluate() or {}
        self.assertEqual(
            ["alarm_name", "alarm_id", "severity", "previous", "current", "reason", "reason_data"],
            list(message),
        )
        self.assertEqual("critical", message["severity"])
        self.assertIn("host_cpu_usage of a is 95", message["reason"])
        self.assertEqual(
            {"type": "threshold", "disposition": "outside", "count": 1, "most_recent": 95.0},
            message["reason_data"],
        )


Received = queue.SimpleQueue[tuple[str, dict[str, str], bytes]]


class Receiver(http.server.BaseHTTPRequestHandler):
    received: Received
    status = 202

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.put((self.path, dict(self.headers), body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Silent."""


class PostTest(base.TestCase):
    def serve(self, status: int = 202) -> str:
        self.received: Received = queue.SimpleQueue()
        receiver = type("_", (Receiver,), {"received": self.received, "status": status})
        server = http.server.HTTPServer(("127.0.0.1", 0), receiver)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def test_rules_post_to_the_webhook_of_their_audit(self) -> None:
        endpoint = self.serve()
        rules = AlarmRules(make(threshold=5, audit="react now"))
        rules.start(endpoint)
        self.addCleanup(rules.stop)

        path, headers, body = self.received.get(timeout=base.TIMEOUT)

        self.assertEqual("/v1/webhooks/react%20now", path)
        headers = {name.lower(): value for name, value in headers.items()}
        self.assertEqual("application/json", headers["content-type"])
        self.assertTrue(headers["x-openstack-request-id"].startswith("req-"))
        self.assertEqual("hot", json.loads(body)["alarm_name"])

    def test_an_alarm_without_an_audit_is_logged_once(self) -> None:
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        rules = AlarmRules(make(threshold=5, repeat_actions=True))
        rules.start(self.serve(404))
        self.addCleanup(rules.stop)
        for _ in range(3):
            self.received.get(timeout=base.TIMEOUT)
        self.assertEqual(1, log.output.count("Alarm hot finds no EVENT audit named react"))
        self.assertEqual(1, log.output.count("answer 404"))

    def test_the_answer_is_returned(self) -> None:
        for status in (202, 404, 500):
            self.assertEqual(
                status, alarm_rules.post(self.serve(status) + "/x", {"alarm_name": "hot"})
            )

    def test_without_an_answer_the_status_is_none(self) -> None:
        self.assertIsNone(alarm_rules.post("http://127.0.0.1:1/x", {"alarm_name": "hot"}))
