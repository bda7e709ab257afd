# SPDX-License-Identifier: Apache-2.0
"""The demonstration, on a cloud that is small and quick, and where nobody has a terminal."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from watcher.tests.base import TIMEOUT, TestCase, wait_for

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


class DemoTestCase(TestCase):
    def command(self, *arguments: str) -> list[str]:
        path = os.path.join(self.directory, "cloud.json")
        with open(path, "w") as file:
            json.dump(CLOUD, file)
        return [sys.executable, "-m", "tools.demo", f"--cloud={path}", *arguments]


class DemoTest(DemoTestCase):
    def run_demo(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def test_one_alarm_becomes_an_action_plan(self) -> None:
        picture = Path(self.directory, "demo.svg")
        done = self.run_demo(f"--record={picture}")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        frames = ElementTree.parse(picture).findall(".//*[@class='frame']")
        self.assertGreater(len(frames), 5)
        expected = [
            "$ openstack optimize audit create --audit_type EVENT --name react-to-hot-host",
            "Alarm hot: host_cpu_usage of compute-0003 is",
            "POST /v1/webhooks/react-to-hot-host is answered 202",
            " ms after the alarm",
            "CPU of 8 hosts when the alarm came:",
            "The plan is SUCCEEDED",
            "CPU of 8 hosts after the plan:",
            "/watcher-all-in-one\n",
        ]
        places = [done.stdout.index(words) for words in expected]
        self.assertEqual(sorted(places), places)
        self.assertNotIn("\x1b", done.stdout)
        times = re.findall(r"^\d\d:\d\d:\d\d\.\d{3} ", done.stdout, re.MULTILINE)
        self.assertEqual(sorted(times), times)

    def test_a_threshold_that_cannot_be_reached(self) -> None:
        done = self.run_demo("--threshold=0")
        self.assertEqual(1, done.returncode)
        self.assertEqual("The load is not as even as the audit wants it.\n", done.stderr)

    def test_a_cloud_that_does_not_fit(self) -> None:
        done = self.run_demo("--cloud=/nowhere")
        self.assertEqual(1, done.returncode)
        self.assertIn("/nowhere cannot be read", done.stderr)


def processes_of(mark: str) -> list[str]:
    """The command lines of all processes that have *mark* in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


class InterruptionTest(DemoTestCase):
    """Nothing is left, neither processes nor files, whenever it is stopped."""

    def setUp(self) -> None:
        super().setUp()
        self.mark = f"DEMO_TEST={self.directory}"
        self.temporary = Path(self.directory, "tmp")
        self.temporary.mkdir()
        self.out = Path(self.directory, "out")

    def start(self) -> "subprocess.Popen[bytes]":
        name, _, value = self.mark.partition("=")
        with self.out.open("w") as out:
            process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, name: value, "TMPDIR": str(self.temporary)},
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def has_file(self, pattern: str) -> bool:
        return any(self.temporary.glob(pattern))

    def has_said(self, words: str) -> bool:
        return words in self.out.read_text()

    def test_ctrl_c_at_several_moments(self) -> None:
        moments: list[functools.partial[bool]] = [
            functools.partial(self.has_file, "watcher-demo-*"),
            functools.partial(self.has_file, "watcher-demo-*/log"),
            functools.partial(self.has_file, "watcher-demo-*/watcher.sqlite"),
            functools.partial(self.has_said, "listens on"),
            functools.partial(self.has_said, "is PENDING"),
            functools.partial(self.has_said, "ONGOING"),
        ]
        for moment in moments:
            process = self.start()
            wait_for(moment, f"{moment.args}")
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)  # as tox does after its timeout
            self.assertEqual(130, process.wait(TIMEOUT), self.out.read_text())
            self.assertTrue(self.out.read_text().endswith("Interrupted.\n"))
            self.assertEqual([], processes_of(self.mark))
            self.assertEqual([], list(self.temporary.iterdir()))

    def test_a_kill_that_nothing_can_catch(self) -> None:
        process = self.start()
        wait_for(lambda: self.has_said("listens on"), "the service is there")
        process.kill()
        wait_for(lambda: not processes_of(self.mark), "no process is left")
