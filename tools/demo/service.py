# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one as a child process, and the files in its state directory."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

_CONFIGURATION = """\
[DEFAULT]
use_json = true
# Alarms that come before there is an audit, and the reason of the first that comes after.
default_log_levels = watcher.simulation.alarm_rules=DEBUG

[watcher_workflow_engines.taskflow]
max_workers = 8
"""
_STOP_SECONDS = 60.0
_ROOT = Path(__file__).parents[2]


class Failed(Exception):
    """The demonstration failed; the sentence says why."""


def command(name: str) -> str:
    """A console script of the environment that runs the demonstration."""
    return str(Path(sys.executable).parent / name)


class Service:
    """The service, which runs as long as the ``with`` block."""

    def __init__(self, directory: str, cloud: str | None = None) -> None:
        self._directory = Path(directory)
        self._cloud = cloud
        self._log_read = 0
        self.endpoint = ""

    def __enter__(self) -> "Service":
        configuration = self._directory / "demo.conf"
        configuration.write_text(_CONFIGURATION)
        arguments = [sys.executable, "-m", "tools.demo.bound", "--port", "0"]
        arguments += ["--state-dir", str(self._directory), "--config-file", str(configuration)]
        if self._cloud:
            arguments += ["--cloud", os.path.abspath(self._cloud)]
        with open(self._directory / "stdout", "w") as out, open(self._log, "w") as log:
            # In a session of its own, so that only the demonstration gets Ctrl-C.
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                cwd=_ROOT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        assert self._process.stdin is not None
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            if error is None:
                raise Failed("watcher-all-in-one did not stop when it was asked to.") from None
        else:
            if status and error is None:
                raise Failed(f"watcher-all-in-one ended with status {status}.")
        finally:
            self._process.stdin.close()

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    def ready(self) -> bool:
        """Whether it listens; ``endpoint`` is known from then on.  Failed if it has ended."""
        self.check()
        match = re.search(r"listens on (\S+)\n", (self._directory / "stdout").read_text())
        self.endpoint = match[1] if match else ""
        return bool(match)

    def check(self) -> None:
        """Failed if the service has ended."""
        if self._process.poll() is not None:
            lines = self._log.read_text().splitlines() or ["it said nothing"]
            raise Failed(f"watcher-all-in-one has ended by itself: {lines[-1]}")

    def log(self) -> Iterator[tuple[float, str]]:
        """The lines that are new since the last call, each with its time."""
        with open(self._log, "rb") as log:
            log.seek(self._log_read)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # its end is not written yet
                self._log_read += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # a warning of a library, which is not the log's
                yield record["created"], record["message"]

    def cloud(self) -> tuple[float, dict[str, Any]] | None:
        """The saved state of the cloud and when it was saved; None before the first time."""
        try:
            with open(self._directory / "cloud.json") as saved:
                state: dict[str, Any] = json.load(saved)
                saved_at = Path(saved.name).stat().st_mtime
        except FileNotFoundError:
            return None
        return saved_at, state

    def migrations(self) -> dict[str, float]:
        """Progress of the servers that move now, 0 to 1, by uuid; at this moment, not at the last
        save."""
        saved = self.cloud()
        if saved is None:
            return {}
        saved_at, state = saved
        since = time.time() - saved_at
        return {
            move["server"]: min(1.0, (move["elapsed"] + since) / move["seconds"])
            for move in state["migrations"]
        }
