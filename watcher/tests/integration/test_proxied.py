# SPDX-License-Identifier: Apache-2.0
"""The API under other servers, behind nginx as the installation guide has it."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from watcher.tests.base import DatabaseTestCase, wait_for
from watcher.tests.functional.test_wsgi import CONFIG

GUIDE = pathlib.Path(__file__).parents[3] / "doc" / "source" / "install" / "nginx.conf"

NGINX = """
daemon off;
{user}
error_log {directory}/nginx.log;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/bodies;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {guide}
}}
"""


class ProxiedTest(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.configuration = f"{self.directory}/watcher.conf"
        with open(self.configuration, "w") as file:
            file.write(CONFIG.format(connection=self.conf.database.connection))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.socket = f"{self.directory}/api.sock"

    def program(self, name: str) -> str:
        found = shutil.which(name, path="/usr/sbin:/usr/bin")
        if found is None:
            self.skipTest(f"There is no {name} here.")
        return found

    def start(self, *command: str) -> None:
        with open(f"{self.directory}/{pathlib.Path(command[0]).name}.out", "wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={
                    "OS_WATCHER_CONFIG_FILES": self.configuration,
                    "PYTHONPATH": ":".join(path for path in sys.path if path),
                    "PATH": "/usr/bin:/bin",
                },
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def serve(self) -> None:
        guide = GUIDE.read_text().replace("/run/watcher/api.sock", self.socket)
        guide = guide.replace("listen 9322", f"listen 127.0.0.1:{self.port}")
        path = f"{self.directory}/nginx.conf"
        with open(path, "w") as file:
            # Who may not change users is one that may read what is written here.
            user = "user root;" if os.geteuid() == 0 else ""
            file.write(NGINX.format(directory=self.directory, guide=guide, user=user))
        self.start(self.program("nginx"), "-c", path, "-p", self.directory)
        wait_for(self.probe, "the API answers through nginx")

    def probe(self) -> bool:
        try:
            address = f"http://127.0.0.1:{self.port}/healthcheck"
            with urllib.request.urlopen(address, timeout=60) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as error:
            assert error.code == 502, error
            return False
        except OSError:
            return False

    def sends_slowly(self) -> None:
        for number in range(30):
            connection = socket.create_connection(("127.0.0.1", self.port))
            self.addCleanup(connection.close)
            head = "POST /v1/webhooks/x HTTP/1.1\r\nHost: x\r\n"
            rest = "Content-Length: 100\r\n\r\n{" if number % 2 else "X"
            connection.sendall((head + rest).encode())

    def test_gunicorn(self) -> None:
        self.start(
            sys.executable,
            "-m",
            "gunicorn",
            "--bind",
            f"unix:{self.socket}",
            "--workers=1",
            "--threads=2",
            "watcher.wsgi.api:application",
        )
        self.serve()
        self.sends_slowly()
        self.assertTrue(self.probe())

    def test_uwsgi(self) -> None:
        self.start(
            self.program("uwsgi"),
            "--plugins=python3",
            "--master",
            "--lazy-apps",
            "--enable-threads",
            "--processes=1",
            "--threads=2",
            "--die-on-term",
            "--http-socket",
            self.socket,
            "--chmod-socket=666",
            "--module=watcher.wsgi.api",
        )
        self.serve()
        self.sends_slowly()
        self.assertTrue(self.probe())
        head = b"POST /v1/audits HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as direct:
            direct.connect(self.socket)
            direct.sendall(head + b"2\r\n{}\r\n0\r\n\r\n")
            self.assertIn(b"Transfer-Encoding: this server", direct.makefile("rb").read())
