# SPDX-License-Identifier: Apache-2.0
"""The demonstration, on a cloud that is small and quick, and where nobody has a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

from watcher.tests.base import PATIENCE, TestCase

ROOT = Path(__file__).parents[3]
CLOUD = {
    "generate": {"hosts": 8, "servers": 100, "seed": 3},
    "migration_seconds": 0.3,
    "surges": [{"after_seconds": 0, "hosts": ["compute-0003"], "cpu": 99}],
    "alarms": [
        {
            "name": "hot",
            "metric": "host_cpu_usage",
            "threshold": 80,
            "audit": "react-to-hot-host",
            "repeat_actions": True,
            "evaluation_seconds": 0.3,
        }
    ],
}


class DemoTest(TestCase):
    def run_demo(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        path = os.path.join(self.directory, "cloud.json")
        with open(path, "w") as file:
            json.dump(CLOUD, file)
        return subprocess.run(
            [sys.executable, "-m", "tools.demo", f"--cloud={path}", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def test_one_alarm_becomes_an_action_plan(self) -> None:
        done = self.run_demo()
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        told = [
            "$ openstack optimize audit create --audit_type EVENT --name react-to-hot-host",
            "Alarm hot: host_cpu_usage of compute-0003 is",
            "POST /v1/webhooks/react-to-hot-host is answered 202",
            " ms after the alarm",
            "CPU of 8 hosts when the alarm came:",
            "The plan is SUCCEEDED",
            "CPU of 8 hosts after the plan:",
        ]
        places = [done.stdout.index(words) for words in told]
        self.assertEqual(sorted(places), places)
        self.assertNotIn("\x1b", done.stdout)

    def test_a_threshold_that_cannot_be_reached(self) -> None:
        done = self.run_demo("--threshold=0")
        self.assertEqual(1, done.returncode)
        self.assertEqual("The load is not as even as the audit wants it.\n", done.stderr)

    def test_a_cloud_that_does_not_fit(self) -> None:
        done = self.run_demo("--cloud=/nowhere")
        self.assertEqual(1, done.returncode)
        self.assertIn("/nowhere cannot be read", done.stderr)
