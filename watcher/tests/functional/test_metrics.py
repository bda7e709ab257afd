# SPDX-License-Identifier: Apache-2.0
"""The metrics over HTTP."""

import http.client
import json
import re
import socket
import subprocess
import sys
import urllib.request
from typing import Any
from unittest import mock

import fixtures
from oslo_db.exception import DBConnectionError

from watcher.common.states import RunState
from watcher.db import models
from watcher.metrics import MetricsServer
from watcher.tests.base import TIMEOUT, DatabaseTestCase, wait_for
from watcher.tests.functional.all_in_one import ALARM, AllInOneTestCase

HOSTILE = "evil\n} 1\nwatcher_runs_total 666"
SERIES = re.compile(r'[a-z_]+(\{([a-z]+="[-A-Za-z0-9_.+ ]*",?)+\})? [0-9.e+]+')


def ask(port: int, method: str = "GET", path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class EndpointTest(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.conf.set_override("enabled", True, group="metrics")
        self.conf.set_override("port", 0, group="metrics")

    def serve(self) -> MetricsServer:
        endpoint = MetricsServer(self.conf, self.database)
        endpoint.start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def test_it_can_be_asked_again_and_again(self) -> None:
        port = self.serve().port
        for _ in range(2):
            status, text = ask(port)
            self.assertEqual(200, status)
            self.assertIn("\nwatcher_runs_ongoing 0.0\n", text)
        self.assertEqual(405, ask(port, "POST")[0])

    def test_ipv6(self) -> None:
        self.conf.set_override("host", "::1", group="metrics")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.skipTest(f"This machine has no IPv6: {error}")
        with socket.create_connection(("::1", self.serve().port)) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            self.assertTrue(client.recv(16).startswith(b"HTTP/1.0 200"))

    def test_a_client_that_takes_its_time_delays_no_other(self) -> None:
        port = self.serve().port
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /me")
            self.assertEqual(200, ask(port)[0])

    def test_without_a_database_it_says_so_and_goes_on(self) -> None:
        port = self.serve().port
        with mock.patch.object(self.database, "reader", side_effect=DBConnectionError()):
            status, text = ask(port)
        self.assertEqual(503, status)
        self.assertNotIn("watcher_", text)
        self.assertEqual(200, ask(port)[0])

    def test_without_its_tables_it_says_so(self) -> None:
        port = self.serve().port
        models.Base.metadata.drop_all(self.database.engine)
        self.assertEqual(503, ask(port)[0])

    def test_a_port_in_use_is_one_sentence_in_the_log(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.conf.set_override("port", port, group="metrics")
            self.assertEqual(0, self.serve().port)
        self.assertIn(f"nothing can listen on 127.0.0.1:{port}", self.log.output)
        self.assertNotIn("Traceback", self.log.output)

    def test_a_host_that_is_none_of_ours_is_one_sentence_in_the_log(self) -> None:
        self.conf.set_override("host", "watcher.invalid", group="metrics")
        self.assertEqual(0, self.serve().port)
        self.assertIn("nothing can listen on watcher.invalid", self.log.output)

    def test_disabled_it_listens_nowhere(self) -> None:
        self.conf.set_override("enabled", False, group="metrics")
        self.assertEqual(0, self.serve().port)

    def test_only_who_serves_metrics_loads_the_library(self) -> None:
        code = "import sys, watcher.cmd.all_in_one;sys.exit('prometheus_client' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        self.assertEqual((0, b""), (done.returncode, done.stderr))


class AllInOneTest(AllInOneTestCase):
    OPTIONS = {None: {"lease_duration": 3}, "metrics": {"enabled": True, "port": 0}}

    def scrape(self) -> str:
        status, text = ask(self.watcher.metrics_port)
        self.assertEqual(200, status)
        return text

    def test_an_alarm_and_what_came_of_it(self) -> None:
        audit = self.create(strategy="dummy")
        self.watcher.trigger(audit)
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        text = self.scrape()
        for line in (
            'watcher_events_total{decision="QUEUED",reason="",source="aodh"} 1.0',
            'watcher_runs_total{result="SUCCEEDED",strategy="dummy"} 1.0',
            "watcher_alarm_to_plan_seconds_count 1.0",
            'watcher_action_plans{state="RECOMMENDED"} 1.0',
        ):
            self.assertIn(f"\n{line}\n", text)
        for name in ("watcher-applier", "watcher-decision-engine"):
            self.assertIn(f'watcher_service_up{{host="all-in-one",service="{name}"}} 1.0\n', text)

    def test_heartbeats_write_the_ages_of_models(self) -> None:
        age = 'watcher_model_age_seconds{host="all-in-one",model="compute"} '
        wait_for(lambda: age in self.scrape(), "the age of the compute model")

    def test_nothing_from_a_request_becomes_a_label(self) -> None:
        audit = self.create(strategy="dummy", name=HOSTILE.replace("\n", " "))
        messages: list[Any] = [
            {field: HOSTILE for field in ALARM},
            {"source": HOSTILE, "decision": HOSTILE, "reason": HOSTILE},
            {"specversion": "1.0", "id": HOSTILE, "source": HOSTILE, "type": HOSTILE},
            [{"specversion": "1.0", "id": HOSTILE, "source": HOSTILE, "type": HOSTILE}] * 3,
            {
                "version": "4",
                "status": HOSTILE,
                "receiver": HOSTILE,
                "alerts": [{"status": HOSTILE}],
            },
            {"version": "1", "orgId": 1, "state": HOSTILE, "title": HOSTILE, "alerts": []},
            HOSTILE,
        ]
        for number in range(20):
            messages.append({**ALARM, "alarm_name": f"{HOSTILE}{number}", "severity": str(number)})
        webhook = f"{self.watcher.endpoint}/v1/webhooks/{audit}"
        for message in messages:
            request = urllib.request.Request(
                webhook, json.dumps(message).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as answer:
                self.assertEqual(202, answer.status)
        self.wait_for_end(audit)
        text = self.scrape()
        self.assertNotIn("evil", text)
        self.assertNotIn("666", text)
        series = [line for line in text.splitlines() if line[0] != "#"]
        self.assertEqual([], [line for line in series if not SERIES.fullmatch(line)])
        labels = set(re.findall(r'source="([^"]*)"', text))
        self.assertLessEqual(labels, {"aodh", "alertmanager", "grafana", "cloudevents", "generic"})
        events = [line for line in series if line.startswith("watcher_events_total")]
        self.assertLess(len(events), 20)
