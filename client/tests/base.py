# SPDX-License-Identifier: Apache-2.0
"""Commands of ``openstack`` in the process of the tests, against an API that is made up."""

import contextlib
import io
import json
import unittest
from typing import Any

import requests_mock
from openstackclient import shell

ENDPOINT = "http://watcher/infra-optim"
AUDIT = "5a2c4b0e-9d0f-4f7e-8f3e-0b6a2d1c7e90"
EVENT = "0c1d7b0a-6c43-4d2f-93b1-0a1b2c3d4e5f"
RUN = "7e0f2b1c-1111-4d2f-93b1-0a1b2c3d4e5f"
PLAN = "9f8e7d6c-2222-4d2f-93b1-0a1b2c3d4e5f"


class CommandTestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.api = self.enterContext(requests_mock.Mocker())

    if not hasattr(unittest.TestCase, "enterContext"):  # Python 3.10

        def enterContext(self, context: Any) -> Any:
            self.addCleanup(context.__exit__, None, None, None)
            return context.__enter__()

    def serve(self, method: str, path: str, body: Any = None, **values: Any) -> Any:
        """Answer a request with *body*."""
        headers = {**values.pop("headers", {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
            values["json"] = body
        return self.api.register_uri(method, f"{ENDPOINT}{path}", headers=headers, **values)

    def refuse(self, method: str, path: str, status: int, sentence: str) -> None:
        fault = {"faultcode": "Client", "faultstring": sentence, "debuginfo": None}
        self.serve(method, path, {"error_message": json.dumps(fault)}, status_code=status)

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of ``openstack optimize``."""
        out, error = io.StringIO(), io.StringIO()
        service = ["--os-auth-type", "none", "--os-endpoint", ENDPOINT, "optimize"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                status = shell.OpenStackShell().run([*service, *arguments])
            except SystemExit as end:  # of argparse
                status = int(end.code or 0)
        return status, out.getvalue(), error.getvalue()

    def printed(self, *arguments: str) -> str:
        status, out, error = self.run_command(*arguments)
        self.assertEqual((0, ""), (status, error))
        return out

    def shown(self, *arguments: str) -> Any:
        return json.loads(self.printed(*arguments, "-f", "json"))

    def refused(self, *arguments: str) -> str:
        status, out, error = self.run_command(*arguments)
        self.assertEqual(("", 1), (out, status))
        return error

    def sent(self) -> list[str]:
        """Method and path with query of the requests so far."""
        return [
            f"{request.method} {request.url.removeprefix(ENDPOINT)}"
            for request in self.api.request_history
        ]
