# SPDX-License-Identifier: Apache-2.0
"""The console scripts as child processes of a test."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from watcher.tests.base import TIMEOUT, TestCase, wait_for

T = TypeVar("T")


class Process:
    """A service under test.  The test ends it with all its children."""

    def __init__(self, test: TestCase, script: str, *arguments: str, log: str = "") -> None:
        self.log = pathlib.Path(test.directory, f"{log or script}.log")
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command(script, *arguments),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        test.addCleanup(self.kill)

    def wait_until(self, what: str, condition: Callable[[], T]) -> T:
        """What *condition* gives when that is something, as long as the process lives."""

        def met() -> T:
            if self._process.poll() is not None:
                raise AssertionError(f"It ended before it {what}:\n{self.log.read_text()}")
            return condition()

        try:
            return wait_for(met, f"it {what}", TIMEOUT)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None

    def has_written(self, lines: int) -> bool:
        """Whether its log has so many lines."""
        return len(self.log.read_text().splitlines()) >= lines

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.ask_to_stop()
        return self.wait()

    def ask_to_stop(self) -> None:
        self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def children(self) -> list[int]:
        """The ids of the processes that it has started."""
        lists = pathlib.Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(child) for each in lists for child in each.read_text().split()]

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        return self._process.wait(TIMEOUT)

    def kill(self) -> None:
        """End it, and its children, without a chance to say good-bye."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def start_node(test: TestCase, script: str, host: str, config: str) -> Process:
    """A service on a node of its own: *host* names its configuration and its log."""
    path = pathlib.Path(test.directory, f"{host}.conf")
    path.write_text(config)
    return Process(test, script, "--config-file", str(path), log=f"{script}-{host}")


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(script, *arguments), capture_output=True, text=True, timeout=TIMEOUT
    )


def command(script: str, *arguments: str) -> list[str]:
    return [str(pathlib.Path(sys.executable).with_name(script)), *arguments]


def status_of(url: str, body: bytes | None = None) -> int | None:
    """The status that a URL answers with; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, body, timeout=TIMEOUT) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
