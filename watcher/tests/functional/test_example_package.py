# SPDX-License-Identifier: Apache-2.0
"""The example package of the guide "Write a strategy": installed, tested and run."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import fixtures
from watcherclient import client as watcherclient

from watcher.tests.base import TIMEOUT, TestCase, wait_for
from watcher.tests.processes import Process

EXAMPLE = pathlib.Path(__file__).parents[3] / "doc/examples/memory-headroom"
CLOUD = {
    "hosts": [
        {"hostname": name, "vcpus": 10, "memory_mb": 1000, "disk_gb": 100}
        for name in ("host-1", "host-2")
    ],
    "servers": [
        {"name": f"s{size}", "host": "host-1", "vcpus": 1, "memory_mb": size, "disk_gb": 1}
        for size in (500, 200, 150)
    ],
    "migration_seconds": 0,
}


class ExamplePackageTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.site = pathlib.Path(self.directory, "site")
        source = pathlib.Path(self.directory, "source")
        shutil.copytree(EXAMPLE, source)
        self.run_python(
            *("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--no-index", "--target", str(self.site), str(source)),
        )
        self.useFixture(fixtures.EnvironmentVariable("PYTHONPATH", str(self.site)))

    def run_python(self, *arguments: str, **options: Any) -> None:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            **options,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_its_own_tests_pass(self) -> None:
        self.run_python("-m", "unittest", cwd=EXAMPLE)

    def test_its_strategy_makes_a_plan(self) -> None:
        cloud = pathlib.Path(self.directory, "cloud.json")
        cloud.write_text(json.dumps(CLOUD))
        service = Process(
            self,
            "watcher-all-in-one",
            f"--state-dir={self.directory}/state",
            f"--cloud={cloud}",
            "--port=0",
        )
        found = service.wait_until(
            "listened", lambda: re.search(r"http://127.0.0.1:\d+", service.log.read_text())
        )
        client = watcherclient.get_client("1", os_auth_token="none", os_endpoint_override=found[0])
        audit = client.audit.create(
            goal="memory_headroom",
            strategy="memory_headroom",
            audit_type="ONESHOT",
            parameters={"headroom": 20},
        )
        (plan,) = wait_for(lambda: client.action_plan.list(audit=audit.uuid), "there is a plan")
        (action,) = client.action.list(action_plan=plan.uuid, detail=True)
        self.assertEqual("s150", action.input_parameters["resource_name"])
        self.assertEqual("host-1 has 15 % of its memory free, 20 % are wanted.", action.reason)
        plan = client.action_plan.get(plan.uuid)
        self.assertEqual({"hosts short of memory": {"before": 1, "after": 0}}, plan.summary)
        self.assertEqual(100.0, plan.global_efficacy[0]["value"])
