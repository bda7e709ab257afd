# SPDX-License-Identifier: Apache-2.0
"""Processes that can be killed and started again, and the services as such processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_CONFIGURATION = """\
[DEFAULT]
host = {host}
transport_url = {broker}
state_path = {directory}
enable_authentication = false
lease_duration = 6

[database]
connection = {database}
call_timeout = 3
max_pool_size = 8
max_overflow = 4

[oslo_messaging_rabbit]
amqp_auto_delete = true
rabbit_interval_max = 2

[oslo_messaging_notifications]
driver = messagingv2
topics = {prefix}

[api]
port = {port}
workers = 1

[webhooks]
max_recorded_per_minute = {recorded}

[watcher_decision_engine]
conductor_topic = {prefix}.decision
max_audit_workers = 4
poll_interval = 2

[watcher_applier]
conductor_topic = {prefix}.applier
workers = 4
poll_interval = 2
"""


class Process:
    """A command with its log.  Its children are killed with it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command, self._environment = command, environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it and all its children at once, as a failure of the machine would."""
        if self._process is not None:
            if self.alive:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def strike(self) -> None:
        """Make it fail until it is started again."""
        self.kill()

    def kill_worker(self) -> bool:
        """Kill the children alone, whose parent replaces them.  False if there is none now."""
        children = self._children()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it was about to end
        return bool(children)

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def pids(self) -> list[int]:
        """Its process id and those of its children; empty if it has ended."""
        return [self._process.pid, *self._children()] if self._process and self.alive else []

    def _children(self) -> list[int]:
        assert self._process is not None
        lists = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        try:
            return [int(child) for each in lists for child in each.read_text().split()]
        except OSError:
            return []


class Service(Process):
    """A console script with its own configuration and host name."""

    def __init__(self, script: str, name: str, directory: Path, **values: object) -> None:
        self.port = free_port()
        configuration = directory / f"{name}.conf"
        configuration.write_text(
            _CONFIGURATION.format(host=name, port=self.port, directory=directory, **values)
        )
        command = [str(Path(sys.executable).with_name(script))]
        super().__init__(name, [*command, "--config-file", str(configuration)], directory)


def wait_for(met: Callable[[], bool], what: str, seconds: float) -> None:
    """TimeoutError, which says *what*, unless *met* is so within *seconds*."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {seconds:g} seconds: {what}.")
        time.sleep(0.1)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
