# SPDX-License-Identifier: Apache-2.0
"""A proxy between all services and the database, which can stop passing data on."""

import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa

from tools.drill.processes import Process, free_port


class DatabaseProxy(Process):
    """A proxy that passes nothing on between ``strike`` and the next ``start``."""

    def __init__(self, directory: Path, address: str) -> None:
        server = sa.make_url(address)
        self.port = free_port()
        self.url = server.set(host="127.0.0.1", port=self.port).render_as_string(
            hide_password=False
        )
        target = f"{server.host}:{server.port or 3306}"
        command = [sys.executable, "-m", "tools.drill.proxy", str(self.port), target]
        super().__init__("connections", command, directory)

    def start(self) -> None:
        if self.alive:
            self._signal(signal.SIGUSR2)
        else:
            super().start()

    def strike(self) -> None:
        self._signal(signal.SIGUSR1)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
