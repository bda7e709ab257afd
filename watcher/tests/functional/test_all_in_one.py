# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one as a program."""

import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from typing import Any

from watcherclient import client as watcherclient

from watcher.tests.base import TIMEOUT, TestCase, wait_for

PROGRAM = os.path.join(os.path.dirname(sys.executable), "watcher-all-in-one")


def _has_lines(path: str, number: int) -> bool:
    with open(path) as file:
        return len(file.readlines()) >= number


class RefusalTest(TestCase):
    """What it cannot start with, it names in one sentence."""

    def refused(self, *arguments: str) -> str:
        """The last line of a start that must fail; the others are the log's."""
        done = subprocess.run(
            [PROGRAM, f"--state-dir={self.directory}", *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertNotIn("Traceback", done.stderr)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("watcher-all-in-one: "), last)
        return last

    def file(self, name: str, content: str) -> str:
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(content)
        return path

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.assertIn(f"127.0.0.1:{port}", self.refused(f"--port={port}"))

    def test_a_state_directory_that_is_none(self) -> None:
        path = self.file("file", "")
        self.assertIn(f"state-dir: {path}", self.refused(f"--state-dir={path}"))
        self.assertIn(f"state-dir: {path}/x", self.refused(f"--state-dir={path}/x"))

    def test_a_cloud_that_cannot_be_read(self) -> None:
        self.assertIn("/nowhere", self.refused("--cloud=/nowhere"))
        path = self.file("cloud.yaml", "hosts: [{hostnam: h}]")
        self.assertIn("hostnam", self.refused(f"--cloud={path}"))

    def test_a_saved_cloud_that_is_none(self) -> None:
        path = self.file("cloud.json", "[]")
        self.assertIn(path, self.refused())

    def test_a_database_that_is_none(self) -> None:
        self.file("watcher.sqlite", "Not a database, but a text that is as long as a header.")
        self.assertIn("[database] connection", self.refused("--port=0"))

    def test_a_disk_that_takes_no_more(self) -> None:
        small = (64 * 1024, 64 * 1024)
        soft_and_hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (small[0], soft_and_hard[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, soft_and_hard)
        self.assertRegex(self.refused("--port=0"), "disk|File too large")

    def test_a_configuration_that_is_not_there(self) -> None:
        self.assertIn("/nowhere", self.refused("--config-file=/nowhere"))


class ProgramTest(TestCase):
    def start(self, *arguments: str) -> tuple["subprocess.Popen[str]", str]:
        """The program and its endpoint, as soon as it is printed."""
        log = os.path.join(self.directory, "log")
        with open(log, "a") as stderr:
            process = subprocess.Popen(
                [PROGRAM, f"--state-dir={self.directory}/state", *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        line = process.stdout.readline()
        self.assertTrue(line.startswith("Watcher listens on http://127.0.0.1:"), line)
        return process, line.split()[-1]

    def test_a_stop_at_any_moment_of_the_start(self) -> None:
        for lines in range(5):
            log = os.path.join(self.directory, f"log-{lines}")
            with open(log, "w") as stderr:
                process = subprocess.Popen(
                    [PROGRAM, f"--state-dir={self.directory}/state", "--port=0", "--debug"],
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            wait_for(functools.partial(_has_lines, log, lines), "it begins")
            process.send_signal(signal.SIGTERM)
            self.assertIn(process.wait(TIMEOUT), (0, -signal.SIGTERM))

    def stop(self, process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> None:
        """Stop it; that must be in order, and say nothing more."""
        process.send_signal(number)
        out, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual((0, ""), (process.returncode, out))
        with open(os.path.join(self.directory, "log")) as log:
            self.assertNotIn("Traceback", log.read())

    def cloud(self) -> Any:
        with open(os.path.join(self.directory, "state", "cloud.json")) as file:
            return json.load(file)

    def client(self, endpoint: str) -> Any:
        return watcherclient.get_client(
            "1",
            os_auth_token="none",
            os_endpoint_override=endpoint,
            os_infra_optim_api_version="1.5",
        )

    def test_a_second_start_goes_on(self) -> None:
        process, endpoint = self.start("--port=0")
        audit = self.client(endpoint).audit.create(audit_type="EVENT", goal="dummy", name="kept")
        self.stop(process)
        with open(os.path.join(self.directory, "log")) as log:
            self.assertIn(f"run: rm -r {self.directory}/state\n", log.read())
        first = self.cloud()
        self.assertEqual((40, 600), (len(first["hosts"]), len(first["servers"])))

        process, endpoint = self.start("--port=0")
        self.assertEqual(audit.uuid, self.client(endpoint).audit.get("kept").uuid)
        wait_for(lambda: self.cloud()["elapsed"] > first["elapsed"], "the cloud goes on")
        self.stop(process, signal.SIGINT)

    def test_a_configuration_file(self) -> None:
        path = os.path.join(self.directory, "watcher.conf")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with open(path, "w") as file:
            file.write(f"[DEFAULT]\nhost = somewhere\n[api]\nport = {port}\n")
        process, endpoint = self.start(f"--config-file={path}")
        self.assertEqual(f"http://127.0.0.1:{port}", endpoint)
        hosts = {service.host for service in self.client(endpoint).service.list()}
        self.assertEqual({"somewhere"}, hosts)
        self.stop(process)

    def test_help(self) -> None:
        shown = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
        self.assertEqual("", shown.stderr)
        for word in ("simulated cloud", "--cloud FILE", "--state-dir DIR", "--port PORT"):
            self.assertIn(word, shown.stdout)
