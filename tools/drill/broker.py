# SPDX-License-Identifier: Apache-2.0
"""A message broker that may be killed: a RabbitMQ node of our own, or a proxy to another one."""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tools.drill.processes import Process, free_port

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""Debian's program; the one in the PATH changes the user and drops the environment."""


class Node(Process):
    """A RabbitMQ node with ports, data and a cookie of its own."""

    what = "a RabbitMQ node of its own"

    def __init__(self, directory: Path) -> None:
        home = directory / "broker"
        home.mkdir()
        self.port, names_port = free_port(), str(free_port())
        for name, content in (("environment", ""), ("configuration", ""), ("plugins", "[].")):
            (home / name).write_text(content)
        environment = {
            "HOME": str(home),
            "ERL_EPMD_PORT": names_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
            "RABBITMQ_CONFIG_FILE": str(home / "configuration"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_NODENAME": "drill@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
        }
        # epmd, which knows the names of nodes.  Otherwise the node would start one that outlives
        # it.
        self._names = Process(
            "epmd", ["epmd", "-port", names_port, "-address", "127.0.0.1"], directory
        )
        super().__init__("broker", [_SERVER], directory, {**os.environ, **environment})

    @property
    def url(self) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        if not self._names.alive:
            self._names.start()
        super().start()

    def end(self) -> None:
        super().end()
        self._names.end()


class BrokerProxy(Process):
    """A proxy in front of a broker that others use, too.  A kill cuts all connections."""

    what = "a proxy in front of a shared broker"

    def __init__(self, directory: Path, url: str) -> None:
        target = urlsplit(url)
        self.port = free_port()
        self.url = url.replace(
            target.netloc, f"{target.username}:{target.password}@127.0.0.1:{self.port}", 1
        )
        address = f"{target.hostname}:{target.port or 5672}"
        command = [sys.executable, "-m", "tools.drill.proxy", str(self.port), address]
        super().__init__("broker", command, directory)


def make(directory: Path, url: str | None) -> Node | BrokerProxy:
    """The proxy if there is a *url*; else the node.  SystemExit if RabbitMQ is not installed."""
    if url:
        return BrokerProxy(directory, url)
    if os.access(_SERVER, os.X_OK) and shutil.which("epmd"):
        return Node(directory)
    raise SystemExit(f"There is no {_SERVER}; name a broker that answers with --broker.")
